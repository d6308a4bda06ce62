#include "agent/rollout/release_planner.hpp"

#include <algorithm>
#include <map>

#include "agent/domain/order.hpp"
#include "agent/rollout/taking_back.hpp"

namespace deploy::rollout {

using std::chrono::milliseconds;

namespace {

/// Nothing is gained by beginning the same again. A person who names nothing wants whatever is newest, and that may be
/// it.
bool wants_the_same(const store::Job& job, const domain::Rollout& rollout) {
  if (job.kind != rollout.kind) return false;
  if (job.kind == domain::RolloutKind::rollback) return false;
  const bool brings_others = std::any_of(job.others.begin(), job.others.end(), [&](const auto& other) {
    const auto found = rollout.others.find(other.first);
    return found == rollout.others.end() || found->second != other.second;
  });
  if (brings_others) return false;
  const bool names_nothing = job.commit.empty() && job.ref.empty() && job.image.empty();
  return names_nothing || (job.commit == rollout.commit && job.image == rollout.image);
}

/// Another repository wants the service to be made again, and nobody wants a commit of its own.
bool only_rebuilds(const store::Job& job) {
  const bool names_nothing = job.commit.empty() && job.ref.empty() && job.image.empty();
  return job.kind == domain::RolloutKind::deploy && !job.others.empty() && names_nothing;
}

/// What another repository wants goes out together with what else is wanted of the service; of one repository the
/// newest counts. nullopt: the later job takes the earlier one's place.
std::optional<store::Job> joined(const store::Job& earlier, const store::Job& later) {
  if (earlier.kind != domain::RolloutKind::deploy || later.kind != domain::RolloutKind::deploy) return std::nullopt;
  if (!only_rebuilds(earlier) && !only_rebuilds(later)) return std::nullopt;
  const bool replaced = std::all_of(earlier.others.begin(), earlier.others.end(),
                                    [&](const auto& other) { return later.others.contains(other.first); });
  if (only_rebuilds(earlier) && replaced) return std::nullopt;
  auto both = only_rebuilds(later) ? earlier : later;
  both.others = later.others;
  both.others.insert(earlier.others.begin(), earlier.others.end());
  both.cause = earlier.cause + "; " + later.cause;
  return both;
}

}  // namespace

std::optional<milliseconds> ReleasePlanner::plan_due() {
  take_back_failed();
  const auto waiting = jobs_.waiting();
  if (waiting.empty()) return std::nullopt;
  const auto due = std::min(waiting.back().created + settle_.quiet, waiting.front().created + settle_.most);
  const auto left = std::chrono::ceil<milliseconds>(due - journal_.now());
  const bool clock_went_back = waiting.front().created > journal_.now();
  if (left > milliseconds::zero() && !clock_went_back) return left;
  journal_.transaction([&] { plan(waiting); });
  return std::nullopt;
}

/// Once, when all of the release's rollouts have ended or went live.
void ReleasePlanner::take_back_failed() {
  for (const auto id : journal_.rollouts.atomic_releases()) {
    const auto together = journal_.rollouts.of_release(id);
    const bool decided = std::all_of(together.begin(), together.end(), [this](const auto& rollout) {
      return domain::is_final(rollout.phase) || journal_.promoted(rollout.id);
    });
    if (!decided) continue;
    const auto failed = std::find_if(together.begin(), together.end(), [this](const auto& rollout) {
      const bool badly = rollout.phase == domain::Phase::rolled_back || rollout.phase == domain::Phase::needs_operator;
      return badly && !journal_.promoted(rollout.id);
    });
    journal_.transaction([&] {
      journal_.rollouts.set_atomic(id, false);
      if (failed == together.end()) return;
      const auto cause = "release " + std::to_string(id.value) + " is atomic, and " + failed->service +
                         " failed in it (rollout " + std::to_string(failed->id.value) + ")";
      const auto back = take_back(journal_, services_, id, cause, false);
      for (const auto* reasons : {&back.irreversible, &back.left}) {
        for (const auto& reason : *reasons) journal_.tell(*failed, "note", "not taken back: " + reason);
      }
      if (!back.jobs.empty()) plan_now(back.jobs);
    });
  }
}

domain::ReleaseId ReleasePlanner::plan_now(const std::vector<store::Job>& wishes) {
  domain::ReleaseId release;
  journal_.transaction([&] {
    std::vector<store::Job> stored = wishes;
    for (auto& job : stored) job.id = jobs_.add(job, journal_.now());
    release = plan(stored);
  });
  return release;
}

domain::ReleaseId ReleasePlanner::plan(const std::vector<store::Job>& jobs) {
  std::map<std::string, store::Job> newest;
  std::map<std::string, std::vector<std::int64_t>> ids;  // of the jobs that are one there
  for (const auto& job : jobs) {
    const auto earlier = newest.find(job.service);
    const auto both = earlier == newest.end() ? std::nullopt : joined(earlier->second, job);
    if (!both) {
      for (const auto id : ids[job.service]) {
        jobs_.set_outcome(id, "a newer change of " + job.service + " took its place");
      }
      ids[job.service].clear();
    }
    newest[job.service] = both.value_or(job);
    ids[job.service].push_back(job.id);
  }
  const auto release = journal_.rollouts.add_release(journal_.now());
  auto order = domain::dependency_order(services_);
  const bool goes_back = std::all_of(newest.begin(), newest.end(), [](const auto& entry) {
    return entry.second.kind == domain::RolloutKind::rollback;
  });
  // What depends on something goes back before it.
  if (goes_back) std::reverse(order.begin(), order.end());
  journal_.rollouts.set_atomic(release, settle_.atomic && !goes_back && newest.size() > 1);
  for (const auto& name : order) {
    const auto found = newest.find(name);
    if (found == newest.end()) continue;
    auto rollout = rollout_for(found->second, release);
    supersede(found->second, release);
    rollout.id = journal_.rollouts.add(rollout);
    for (const auto id : ids[name]) jobs_.set_release(id, release);
    journal_.tell(rollout, "rollout.queued", "queued: " + rollout.cause);
    newest.erase(found);
  }
  // A service that was in the configuration when its delivery came, and is not any more.
  for (const auto& [name, job] : newest) {
    for (const auto id : ids[name]) jobs_.set_outcome(id, "there is no service " + name + " any more");
  }
  return release;
}

void ReleasePlanner::supersede(const store::Job& by, domain::ReleaseId release) {
  const std::string reason = "release " + std::to_string(release.value) + " brings a newer change";
  const auto service = std::find_if(services_.begin(), services_.end(),
                                    [&](const domain::Service& other) { return other.name == by.service; });
  const bool running_too = service != services_.end() && service->supersede == domain::Supersede::running;
  for (auto& rollout : journal_.rollouts.unfinished()) {
    if (rollout.service != by.service) continue;
    if (rollout.phase == domain::Phase::queued) {
      journal_.end(rollout, domain::Phase::superseded, reason);
      continue;
    }
    const bool may_go = running_too || journal_.prepares(rollout);
    if (may_go && !wants_the_same(by, rollout) && journal_.can_stop(rollout)) {
      journal_.stop(rollout, {domain::Phase::superseded, reason});
    }
  }
}

/// What of its own the service is made from when another repository wants it to be made again: whatever its branch is
/// at then (empty) where a push is all it takes to go out; else, and where somebody took a version back, the commit
/// that is on its way or live.
std::string ReleasePlanner::commit_to_rebuild(const std::string& name) {
  const auto service =
      std::find_if(services_.begin(), services_.end(), [&](const auto& other) { return other.name == name; });
  const auto last = journal_.rollouts.history(name, 1);
  const bool taken_back = !last.empty() && last.front().kind == domain::RolloutKind::rollback;
  const bool goes_by_push = service->trigger == domain::Trigger::push && service->source.image.empty();
  if (goes_by_push && !taken_back) return "";
  const auto unfinished = journal_.rollouts.unfinished();
  const auto coming = std::find_if(unfinished.rbegin(), unfinished.rend(), [&](const domain::Rollout& rollout) {
    return rollout.service == name && rollout.kind == domain::RolloutKind::deploy && !rollout.commit.empty();
  });
  if (coming != unfinished.rend()) return coming->commit;
  const auto live = journal_.targets.live(name);
  return live.empty() || !live.front().revision ? "" : journal_.revisions.get(*live.front().revision).commit;
}

domain::Rollout ReleasePlanner::rollout_for(const store::Job& job, domain::ReleaseId release) {
  domain::Rollout rollout;
  rollout.release = release;
  rollout.service = job.service;
  rollout.kind = job.kind;
  rollout.cause = job.cause;
  rollout.commit = only_rebuilds(job) ? commit_to_rebuild(job.service) : job.commit;
  rollout.others = job.others;
  rollout.ref = job.ref;
  rollout.image = job.image;
  rollout.created = journal_.now();
  if (job.kind == domain::RolloutKind::rollback) {
    const auto revision = journal_.revisions.find(job.service, job.revision);
    if (revision) rollout.revision = revision->id;
  }
  return rollout;
}

}  // namespace deploy::rollout
