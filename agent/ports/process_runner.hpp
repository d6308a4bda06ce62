// Running a program of the host: argv only, never a shell.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/async.hpp"

namespace deploy::ports {

struct ProcessSpec {
  std::vector<std::string> argv;                   // argv[0] is a path, or a name looked up in PATH
  std::map<std::string, std::string> environment;  // added to the agent's own
  std::string standard_input;                      // written, then closed
  std::chrono::milliseconds deadline{60000};
  std::size_t output_bytes_max = 1 << 20;                 // of each stream; what is beyond is read and dropped
  std::function<void(std::string_view)> on_output;        // live standard output; may be empty
  std::function<void(std::string_view)> on_error_output;  // live standard error; may be empty
};

struct ProcessResult {
  int exit_code = 0;  // 128 + signal where a signal ended it
  std::string output;
  std::string error_output;
};

class ProcessRunner {
 public:
  virtual ~ProcessRunner() = default;
  /// Runs to the end. Throws Error(timed_out) at the deadline, and operation_aborted when cancelled, after the whole
  /// process group was killed and reaped; Error(not_found) where there is no such program. A non-zero exit is a result.
  virtual Task<ProcessResult> run(ProcessSpec spec) = 0;
};

}  // namespace deploy::ports
