#include "agent/adopt/source_access.hpp"

#include <fmt/format.h>

#include <cstdlib>
#include <map>
#include <set>
#include <utility>

#include "agent/base/error.hpp"
#include "agent/base/text.hpp"

namespace deploy::adopt {

namespace {

constexpr auto commit_variable = "{sha}";

class Access {
 public:
  explicit Access(Host host) : host_(host) {}

  Task<void> repositories() {
    struct Remote {
      std::string who;
      domain::GitSource git;
      std::string branch;
    };
    std::vector<Remote> remotes;
    for (const auto& service : host_.configuration.services) {
      if (service.source.git) remotes.push_back({service.name, *service.source.git, service.branch});
      for (const auto& other : service.rebuilt_by) {
        if (other.git) remotes.push_back({service.name, *other.git, other.branch});
      }
    }
    if (const auto& own = host_.configuration.agent.config_repo) {
      remotes.push_back({"config_repo", own->git, own->branch});
    }
    std::set<Branch> asked;
    for (const auto& [who, git, branch] : remotes) {
      if (!asked.emplace(git.url, branch).second) continue;
      if (!git.token_env.empty() && std::getenv(git.token_env.c_str()) == nullptr) {
        add(Finding::Level::note, "git",
            fmt::format("{}: {} was not asked, because the variable {} is not set here; set it, and look again", who,
                        git.url, git.token_env));
        continue;
      }
      std::string failure;
      try {
        tips_[{git.url, branch}] = co_await host_.source.tip(git, branch);
      } catch (const Error& error) {
        failure = error.message();
      }
      if (!failure.empty()) add(Finding::Level::problem, "git", who + ": " + failure);
    }
    if (tips_.empty()) co_return;
    add(Finding::Level::good, "git",
        tips_.size() == 1 ? "1 repository and its branch was found"
                          : std::to_string(tips_.size()) + " repositories and their branches were found");
  }

  /// Where its name holds a commit: that of the newest commit.
  Task<void> images() {
    std::set<std::string> asked;
    std::size_t answered = 0;
    for (const auto& service : host_.configuration.services) {
      auto image = replaced(replaced(service.source.image, "{branch}", service.branch), "{tag}", service.branch);
      const bool of_commit = image.find(commit_variable) != std::string::npos;
      if (of_commit) {
        const auto tip = service.source.git ? tips_.find({service.source.git->url, service.branch}) : tips_.end();
        if (tip == tips_.end()) continue;
        image = replaced(image, commit_variable, tip->second);
      }
      if (image.empty() || !asked.insert(image).second) continue;
      std::string failure;
      bool is_not_there = false;
      try {
        co_await host_.engine.remote_digest(image);
        ++answered;
      } catch (const Error& error) {
        failure = error.message();
        is_not_there = error.kind() == ErrorKind::not_found;
      }
      if (is_not_there && of_commit) {
        add(Finding::Level::note, "registry",
            fmt::format("{}: there is no image of the newest commit of {}: {}; if its workflow has ended, see under "
                        "which name it pushes",
                        service.name, service.branch, failure));
      } else if (!failure.empty()) {
        add(Finding::Level::problem, "registry", service.name + ": " + failure);
      }
    }
    if (answered > 0) add(Finding::Level::good, "registry", counted(answered, "image") + " can be pulled");
  }

  std::vector<Finding> findings;

 private:
  using Branch = std::pair<std::string, std::string>;  // address, name

  void add(Finding::Level level, std::string subject, std::string text) {
    findings.push_back({level, std::move(subject), std::move(text)});
  }

  Host host_;
  std::map<Branch, std::string> tips_;  // commits
};

}  // namespace

Task<std::vector<Finding>> source_access(Host host, bool ask_registries) {
  Access access(host);
  co_await access.repositories();
  if (ask_registries) co_await access.images();
  co_return std::move(access.findings);
}

}  // namespace deploy::adopt
