// Runs a program of the host: argv only, never a shell, and nothing of it outlives the call.
// Call it on the io_context's thread. ports::ProcessRunner is this behind a seam.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/async.hpp"

namespace deploy {

struct ProcessOptions {
  std::vector<std::string> argv;                   // argv[0] is a path, or a name looked up in PATH
  std::map<std::string, std::string> environment;  // added to our own
  std::string standard_input;                      // what it can read; kept in memory only
  std::chrono::milliseconds deadline{60000};
  std::size_t output_bytes_max = 1 << 20;                 // kept of each stream; what is beyond is read and dropped
  std::function<void(std::string_view)> on_output;        // live standard output, as it comes; may be empty
  std::function<void(std::string_view)> on_error_output;  // live standard error, as it comes; may be empty
};

struct ProcessOutcome {
  int exit_code = 0;  // 128 + signal where a signal ended it
  std::string output;
  std::string error_output;
};

/// Runs the program in a process group of its own, to its end. What it left behind in that group is killed then, so a
/// daemon must call setsid(2). A non-zero exit is a result. Throws Error: not_found (no such program), invalid (empty
/// argv), failed (cannot be started), and timed_out at the deadline. At the deadline, and when the coroutine is
/// cancelled (operation_aborted is thrown on), the whole group gets SIGKILL and is reaped before this returns. An
/// exception of a callback is thrown on in the same way.
Task<ProcessOutcome> run_process(ProcessOptions options);

}  // namespace deploy
