// GitHub as far as the agent asks it: branches and runs that a test sets, and what was asked.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/base/error.hpp"
#include "agent/ports/github.hpp"

namespace deploy::tests {

class FakeGitHub final : public ports::GitHub {
 public:
  std::map<std::string, ports::BranchTip> tips;                  // repo + " " + branch -> tip
  std::map<std::string, std::vector<domain::WorkflowRun>> runs;  // by commit
  std::optional<Error> fail;
  std::vector<std::string> asked;  // in order

  Task<ports::BranchTip> branch_tip(std::string repo, std::string branch) override {
    asked.push_back("tip " + repo + " " + branch);
    if (fail) throw *fail;
    const auto found = tips.find(repo + " " + branch);
    if (found == tips.end()) throw Error(ErrorKind::not_found, repo + " has no branch \"" + branch + "\"");
    co_return found->second;
  }

  Task<std::vector<domain::WorkflowRun>> green_runs(std::string repo, std::string branch, std::string commit) override {
    asked.push_back("runs " + repo + " " + branch + " " + commit.substr(0, 7));
    if (fail) throw *fail;
    co_return runs[commit];
  }
};

}  // namespace deploy::tests
