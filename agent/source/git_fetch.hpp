// The child process that fetches a repository into its mirror: `deployd git-fetch`. It is a process of its own because
// libgit2 has no socket timeouts before 1.7: the agent kills it at its deadline.
#pragma once

#include <iosfwd>

namespace deploy::source {

/// Reads one job (git_job.hpp) from `in`, fetches, and writes progress and the outcome to `out`. Returns the exit code:
/// 0 done, 1 failed. For a process that does nothing else: it is killed with the thread that started it.
int git_fetch_main(std::istream& in, std::ostream& out);

}  // namespace deploy::source
