// The command line as a function, so that tests run it in their own process.
#pragma once

#include <ostream>

#include "agent/ctl/environment.hpp"

namespace deploy::ctl {

/// Reads the arguments, runs the command to its end and returns the exit code (session.hpp). Never throws: every error
/// is a line on `err`. Data goes to `out`, progress and messages to `err`.
int run(int argc, const char* const* argv, std::ostream& out, std::ostream& err, const Environment& environment);

}  // namespace deploy::ctl
