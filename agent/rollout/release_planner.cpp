#include "agent/rollout/release_planner.hpp"

#include <algorithm>
#include <map>

#include "agent/domain/order.hpp"

namespace deploy::rollout {

using std::chrono::milliseconds;

std::optional<milliseconds> ReleasePlanner::plan_due() {
  const auto waiting = jobs_.waiting();
  if (waiting.empty()) return std::nullopt;
  const auto due = std::min(waiting.back().created + settle_.quiet, waiting.front().created + settle_.most);
  const auto left = std::chrono::ceil<milliseconds>(due - journal_.now());
  const bool clock_went_back = waiting.front().created > journal_.now();
  if (left > milliseconds::zero() && !clock_went_back) return left;
  journal_.transaction([&] { plan(waiting); });
  return std::nullopt;
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
  for (const auto& name : domain::dependency_order(services_)) {
    const auto found = newest.find(name);
    if (found == newest.end()) continue;
    supersede_queued(name, release);
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

void ReleasePlanner::supersede_queued(const std::string& service, domain::ReleaseId by) {
  for (auto& rollout : journal_.rollouts.unfinished()) {
    if (rollout.service != service || rollout.phase != domain::Phase::queued) continue;
    journal_.end(rollout, domain::Phase::superseded, "release " + std::to_string(by.value) + " brings a newer change");
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
