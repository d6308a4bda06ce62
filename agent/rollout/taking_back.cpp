#include "agent/rollout/taking_back.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace deploy::rollout {

namespace {

/// Where dumps are looked for: those of older rollouts are known to `deployctl history`.
constexpr int rollouts_looked_at = 100;

/// What the hooks of the rollouts that brought a revision say of what they saved.
std::string dumps_of(Journal& journal, const std::string& service, domain::RevisionId revision) {
  std::string said;
  for (const auto& rollout : journal.rollouts.history(service, rollouts_looked_at)) {
    if (rollout.revision != revision) continue;
    for (const auto& step : journal.rollouts.steps(rollout.id)) {
      const bool saved = step.kind == domain::StepKind::before && step.detail.find(" saved, ") != std::string::npos;
      if (saved) said += "; before it, " + step.detail;
    }
  }
  return said;
}

bool has_other_rollout(const std::vector<domain::Rollout>& unfinished, const domain::Rollout& rollout) {
  return std::any_of(unfinished.begin(), unfinished.end(), [&](const domain::Rollout& other) {
    return other.service == rollout.service && other.id != rollout.id;
  });
}

}  // namespace

std::string irreversible_since(Journal& journal, const std::string& service, const std::string& revision) {
  for (const auto& later : journal.revisions.promoted(service)) {
    if (later.name == revision) return "";
    const auto config = domain::service_from_json(nlohmann::json::parse(later.config));
    const auto& hooks = config.hooks.before;
    const auto hook = std::find_if(hooks.begin(), hooks.end(), [](const auto& other) { return other.irreversible; });
    std::string said;
    if (hook != hooks.end()) {
      said = later.name + " ran \"" + domain::to_text(*hook) + "\", which is irreversible";
    } else if (config.migrates_on_boot) {
      said = later.name + " changed the data when it started (migrates_on_boot)";
    }
    if (!said.empty()) return said + dumps_of(journal, service, later.id);
  }
  return "";
}

std::string live_revision(Journal& journal, const std::string& service) {
  const auto live = journal.targets.live(service);
  if (live.empty() || !live.front().revision) return "";
  return journal.revisions.get(*live.front().revision).name;
}

TakingBack take_back(Journal& journal, domain::ReleaseId release, const std::string& cause, bool confirmed) {
  TakingBack result;
  const auto unfinished = journal.rollouts.unfinished();
  for (const auto& rollout : journal.rollouts.of_release(release)) {
    if (rollout.phase != domain::Phase::succeeded || !rollout.revision) continue;
    const auto& service = rollout.service;
    if (!rollout.previous) {
      result.left.push_back(service + " had no revision before");
      continue;
    }
    if (live_revision(journal, service) != journal.revisions.get(*rollout.revision).name) {
      result.left.push_back(service + " has another revision by now");
      continue;
    }
    if (has_other_rollout(unfinished, rollout)) {
      result.left.push_back(service + " has a later rollout");
      continue;
    }
    store::Job job;
    job.kind = domain::RolloutKind::rollback;
    job.service = service;
    job.revision = journal.revisions.get(*rollout.previous).name;
    job.cause = cause;
    const auto irreversible = irreversible_since(journal, service, job.revision);
    if (!irreversible.empty() && !confirmed) {
      result.irreversible.push_back(irreversible);
    } else {
      result.jobs.push_back(job);
    }
  }
  return result;
}

}  // namespace deploy::rollout
