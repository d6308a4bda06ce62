// ports::GitHub over GitHub's REST API, on HTTPS alone. Source: GitHub REST API 2022-11-28, "Branches" and "Workflow
// runs". One thread. The token goes into one header field and nowhere else.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "agent/http/client.hpp"
#include "agent/ports/github.hpp"

namespace deploy::source {

class GithubApi final : public ports::GitHub {
 public:
  /// `api` is https://host[:port][/path]: https://api.github.com, or https://HOST/api/v3 of a GitHub Enterprise Server.
  /// Throws Error(invalid) where it is something else.
  GithubApi(const std::string& api, std::string token);

  Task<ports::BranchTip> branch_tip(std::string repo, std::string branch) override;
  Task<std::vector<domain::WorkflowRun>> green_runs(std::string repo, std::string branch, std::string commit) override;

 private:
  struct Address {
    std::string host;
    std::uint16_t port = 443;
    std::string path;  // before every path of a request; empty: none
  };
  static Address parse(const std::string& api);

  /// Redirects are not followed: the token would go along.
  Task<nlohmann::json> ask(std::string repo, std::string path);
  Error refusal(const std::string& what, const http::Response& answer) const;

  Address address_;
  std::string token_;
  http::Client client_;
};

}  // namespace deploy::source
