#include "agent/rollout/taking_back.hpp"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "agent/domain/order.hpp"

namespace deploy::rollout {

namespace {

/// Later rollouts than these are looked at.
constexpr int rollouts_looked_at = 200;

/// What it did to data for good, whether or not its version went live; empty: nothing.
std::string irreversible_in(Journal& journal, const domain::Rollout& rollout) {
  if (rollout.config.empty()) return "";
  const auto config = domain::service_from_json(nlohmann::json::parse(rollout.config));
  std::string did;
  std::string saved;
  std::size_t hook = 0;
  for (const auto& step : journal.rollouts.steps(rollout.id)) {
    const bool begun = step.attempts > 0;
    if (step.kind == domain::StepKind::start && begun && config.migrates_on_boot && did.empty()) {
      did = " changed the data when it started (migrates_on_boot)";
    }
    if (step.kind != domain::StepKind::before) continue;
    const auto& ran = config.hooks.before.at(hook++);
    if (begun && ran.irreversible) did = " ran \"" + domain::to_text(ran) + "\", which is irreversible";
    const auto end = step.detail.find(" saved, ");
    const bool there = end != std::string::npos && std::filesystem::exists(step.detail.substr(0, end));
    if (there) saved += "; before it, " + step.detail;
  }
  if (did.empty()) return "";
  const auto name =
      rollout.revision ? journal.revisions.get(*rollout.revision).name : "rollout " + std::to_string(rollout.id.value);
  return name + did + saved;
}

bool has_later_rollout(const std::vector<domain::Rollout>& unfinished, const domain::Rollout& rollout) {
  return std::any_of(unfinished.begin(), unfinished.end(), [&](const domain::Rollout& other) {
    return other.service == rollout.service && other.id > rollout.id;
  });
}

/// What stays needs what it depends on as it is.
void leave_what_is_needed(TakingBack& back, const std::set<std::string>& staying,
                          const std::vector<domain::Service>& services) {
  for (const auto& name : staying) {
    const auto needed = domain::dependencies_of(name, services);
    std::erase_if(back.jobs, [&](const store::Job& job) {
      if (!needed.contains(job.service)) return false;
      back.left.push_back(job.service + " stays with " + name + ", which depends on it");
      return true;
    });
  }
}

}  // namespace

std::string irreversible_since(Journal& journal, const std::string& service, const std::string& revision) {
  for (const auto& rollout : journal.rollouts.history(service, rollouts_looked_at)) {
    const bool brought_it = rollout.revision && journal.revisions.get(*rollout.revision).name == revision;
    if (brought_it && journal.promoted(rollout.id)) return "";
    auto did = irreversible_in(journal, rollout);
    if (!did.empty()) return did;
  }
  return "";
}

std::string live_revision(Journal& journal, const std::string& service) {
  const auto live = journal.targets.live(service);
  if (live.empty() || !live.front().revision) return "";
  return journal.revisions.get(*live.front().revision).name;
}

TakingBack take_back(Journal& journal, const std::vector<domain::Service>& services, domain::ReleaseId release,
                     const std::string& cause, bool confirmed) {
  TakingBack result;
  std::set<std::string> staying;
  const auto unfinished = journal.rollouts.unfinished();
  for (const auto& rollout : journal.rollouts.of_release(release)) {
    if (!journal.promoted(rollout.id) || !rollout.revision) continue;
    const auto& service = rollout.service;
    staying.insert(service);
    if (!rollout.previous) {
      result.left.push_back(service + " had no revision before");
      continue;
    }
    if (live_revision(journal, service) != journal.revisions.get(*rollout.revision).name) {
      result.left.push_back(service + " has another revision by now");
      continue;
    }
    if (has_later_rollout(unfinished, rollout)) {
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
      staying.erase(service);
    }
  }
  leave_what_is_needed(result, staying, services);
  return result;
}

}  // namespace deploy::rollout
