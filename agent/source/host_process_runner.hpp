// ports::ProcessRunner on this host: base/process behind the seam.
#pragma once

#include "agent/ports/process_runner.hpp"

namespace deploy::source {

class HostProcessRunner : public ports::ProcessRunner {
 public:
  Task<ports::ProcessResult> run(ports::ProcessSpec spec) override;
};

}  // namespace deploy::source
