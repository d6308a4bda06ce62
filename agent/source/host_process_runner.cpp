#include "agent/source/host_process_runner.hpp"

#include <utility>

#include "agent/base/process.hpp"

namespace deploy::source {

Task<ports::ProcessResult> HostProcessRunner::run(ports::ProcessSpec spec) {
  ProcessOptions options{.argv = std::move(spec.argv),
                         .environment = std::move(spec.environment),
                         .standard_input = std::move(spec.standard_input),
                         .deadline = spec.deadline,
                         .output_bytes_max = spec.output_bytes_max,
                         .on_output = std::move(spec.on_output),
                         .on_error_output = std::move(spec.on_error_output)};
  ProcessOutcome outcome = co_await run_process(std::move(options));
  co_return ports::ProcessResult{.exit_code = outcome.exit_code,
                                 .output = std::move(outcome.output),
                                 .error_output = std::move(outcome.error_output)};
}

}  // namespace deploy::source
