// What GitHub itself knows and git does not: whether a commit is green, and the branches of a repository of which only
// the image is here.
#pragma once

#include <string>
#include <vector>

#include "agent/base/async.hpp"
#include "agent/domain/github.hpp"

namespace deploy::ports {

struct BranchTip {
  std::string commit;   // 40 lower-case hexadecimal digits
  std::string message;  // of that commit
};

/// Every call has a deadline of its own and throws Error: unreachable, timed_out, not_found (no such repository or
/// branch, or it is not shown to the token), failed with what GitHub answered. `repo` is owner/name.
class GitHub {
 public:
  virtual ~GitHub() = default;

  virtual Task<BranchTip> branch_tip(std::string repo, std::string branch) = 0;

  /// The newest runs of this commit that ended with success for a push to the branch, at most 50.
  virtual Task<std::vector<domain::WorkflowRun>> green_runs(std::string repo, std::string branch,
                                                            std::string commit) = 0;
};

}  // namespace deploy::ports
