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
  const bool names_nothing = job.commit.empty() && job.ref.empty() && job.image.empty();
  return names_nothing || (job.commit == rollout.commit && job.image == rollout.image);
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
  for (const auto& job : jobs) {
    const auto earlier = newest.find(job.service);
    if (earlier != newest.end())
      jobs_.set_outcome(earlier->second.id, "a newer change of " + job.service + " took its place");
    newest[job.service] = job;
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
    supersede(found->second, release);
    auto rollout = rollout_for(found->second, release);
    rollout.id = journal_.rollouts.add(rollout);
    jobs_.set_release(found->second.id, release);
    journal_.tell(rollout, "rollout.queued", "queued: " + rollout.cause);
    newest.erase(found);
  }
  // A service that was in the configuration when its delivery came, and is not any more.
  for (const auto& [name, job] : newest) jobs_.set_outcome(job.id, "there is no service " + name + " any more");
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

domain::Rollout ReleasePlanner::rollout_for(const store::Job& job, domain::ReleaseId release) const {
  domain::Rollout rollout;
  rollout.release = release;
  rollout.service = job.service;
  rollout.kind = job.kind;
  rollout.cause = job.cause;
  rollout.commit = job.commit;
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
