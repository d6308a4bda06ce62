#include "webhook/gate.hpp"

#include <algorithm>
#include <cctype>
#include <functional>
#include <string_view>
#include <utility>

namespace deploy::webhook {

namespace {

using domain::Service;

/// A service, and how a repository deploys it: its own, or one that it is rebuilt by.
struct Deployed {
  const Service* service;
  const domain::OtherRepository* other;  // nullptr: its own repository

  const std::string& repo() const { return other != nullptr ? other->repo : service->repo; }
  const std::string& branch() const { return other != nullptr ? other->branch : service->branch; }
  domain::Trigger trigger() const { return other != nullptr ? other->trigger : service->trigger; }
  const std::vector<std::string>& workflows() const { return other != nullptr ? other->workflows : service->workflows; }
};
using Candidates = std::vector<Deployed>;
using Describe = std::function<std::string(const Deployed&)>;

Decision because(std::string reason) { return {{}, "", std::move(reason)}; }

std::string in_quotes(std::string_view text) { return "\"" + std::string(text) + "\""; }

bool equal_without_case(std::string_view left, std::string_view right) {
  return std::equal(left.begin(), left.end(), right.begin(), right.end(), [](char a, char b) {
    return std::tolower(static_cast<unsigned char>(a)) == std::tolower(static_cast<unsigned char>(b));
  });
}

Candidates of_repository(const std::vector<Service>& services, const std::string& full_name) {
  Candidates found;
  // GitHub's names ignore case, and keep the case that their owner wrote.
  const auto add = [&](const Deployed& candidate) {
    const auto& repo = candidate.repo();
    if (!repo.empty() && equal_without_case(repo, full_name)) found.push_back(candidate);
  };
  for (const auto& service : services) {
    add({&service, nullptr});
    for (const auto& other : service.rebuilt_by) add({&service, &other});
  }
  return found;
}

Candidates only(const Candidates& candidates, const std::function<bool(const Deployed&)>& wanted) {
  Candidates found;
  std::copy_if(candidates.begin(), candidates.end(), std::back_inserter(found), wanted);
  return found;
}

/// "backend is deployed from "main", worker from "release"": the verb stands once.
std::string listed(const Candidates& candidates, const std::string& verb, const Describe& describe) {
  std::string text;
  for (const auto& candidate : candidates) {
    const auto& name = candidate.service->name;
    text += text.empty() ? name + " " + verb + " " : ", " + name + " ";
    text += describe(candidate);
  }
  return text;
}

bool is_null_commit(const std::string& commit) { return commit.find_first_not_of('0') == std::string::npos; }

std::string wrong_branch(const std::string& branch, const Candidates& known) {
  return "branch " + in_quotes(branch) + " is not deployed; " +
         listed(known, "is deployed", [](const Deployed& other) { return "from " + in_quotes(other.branch()); });
}

std::string wrong_trigger(domain::Trigger trigger, const Candidates& on_branch) {
  return "nothing is deployed on " + domain::to_string(trigger) + "; " +
         listed(on_branch, "is deployed",
                [](const Deployed& other) { return "on " + domain::to_string(other.trigger()); });
}

std::string skipped() { return "the head commit's message says " + std::string(domain::skip_mark); }

/// The services of `repository` that `trigger` deploys from `branch`, or the reason why there are none.
std::pair<Candidates, std::string> matching(const std::vector<Service>& services, const std::string& repository,
                                            const std::string& branch, domain::Trigger trigger) {
  const auto known = of_repository(services, repository);
  if (known.empty()) return {{}, "no service is deployed from repository " + in_quotes(repository)};
  const auto on_branch = only(known, [&](const Deployed& one) { return one.branch() == branch; });
  if (on_branch.empty()) return {{}, wrong_branch(branch, known)};
  auto triggered = only(on_branch, [&](const Deployed& one) { return one.trigger() == trigger; });
  if (triggered.empty()) return {{}, wrong_trigger(trigger, on_branch)};
  return {triggered, {}};
}

Decision deploy(const Candidates& candidates, const std::string& commit) {
  Decision decision;
  for (const auto& [service, other] : candidates) {
    domain::Change change;
    change.service = service->name;
    if (other != nullptr) {
      change.others = {{other->repo, commit}};
    } else {
      change.commit = commit;
      change.ref = service->branch;
    }
    decision.changes.push_back(std::move(change));
  }
  return decision;
}

struct Decide {
  const std::vector<Service>& services;
  const domain::ConfigRepo* config_repo;

  Decision operator()(const PushEvent& push) const {
    constexpr std::string_view branches = "refs/heads/";
    const auto& repository = push.repository.full_name;
    const bool configures = config_repo != nullptr && equal_without_case(config_repo->repo, repository);
    const bool deploys = !of_repository(services, repository).empty();
    if (!deploys && !configures) return because("no service is deployed from repository " + in_quotes(repository));
    if (!push.ref.starts_with(branches)) {
      return because(in_quotes(push.ref) + " is not a branch, and only branches are deployed");
    }
    const auto branch = push.ref.substr(branches.size());
    if (push.deleted || is_null_commit(push.after)) return because("the branch " + in_quotes(branch) + " was deleted");
    const bool pulls = configures && branch == config_repo->branch;
    const auto [found, reason] =
        deploys ? matching(services, repository, branch, domain::Trigger::push) : std::pair<Candidates, std::string>();
    if (found.empty() && !pulls) {
      if (!configures) return because(reason);
      return because((deploys ? reason + "; " : "branch " + in_quotes(branch) + " is not pulled; ") +
                     "this host's configuration is pulled from " + in_quotes(config_repo->branch));
    }
    if (domain::asks_to_skip(push.message)) return because(skipped());
    auto decision = deploy(found, push.after);
    if (pulls) decision.config_commit = push.after;
    return decision;
  }

  Decision operator()(const WorkflowRunEvent& run) const {
    if (of_repository(services, run.repository.full_name).empty()) {
      return because("no service is deployed from repository " + in_quotes(run.repository.full_name));
    }
    if (run.action != "completed") {
      return because("the workflow run has not completed; its state is " + in_quotes(run.action));
    }
    if (auto why = domain::why_not_green(run); !why.empty()) return because(std::move(why));
    const auto [found, reason] =
        matching(services, run.repository.full_name, run.head_branch, domain::Trigger::workflow_run);
    if (found.empty()) return because(reason);
    const auto allowed =
        only(found, [&](const Deployed& one) { return domain::allows_workflow(one.workflows(), run.path); });
    if (allowed.empty()) return because(wrong_workflow(run.path, found));
    if (domain::asks_to_skip(run.message)) return because(skipped());
    return deploy(allowed, run.head_sha);
  }

  Decision operator()(const PingEvent&) const { return because("a ping deploys nothing"); }

  Decision operator()(const OtherEvent& other) const {
    return because("events of type " + in_quotes(other.name) + " deploy nothing");
  }

  static std::string wrong_workflow(const std::string& path, const Candidates& candidates) {
    return "workflow " + in_quotes(path) + " deploys nothing; " +
           listed(candidates, "is deployed", [](const Deployed& other) {
             std::string names;
             for (const auto& workflow : other.workflows())
               names += (names.empty() ? "" : " or ") + in_quotes(workflow);
             return "by " + names;
           });
  }
};

}  // namespace

Decision decide(const GithubEvent& event, const std::vector<Service>& services, const domain::ConfigRepo* config_repo) {
  return std::visit(Decide{services, config_repo}, event);
}

}  // namespace deploy::webhook
