#include "agent/rollout/planner.hpp"

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <utility>

#include "agent/base/error.hpp"
#include "agent/base/text.hpp"

namespace deploy::rollout {

namespace {

using std::chrono::milliseconds;

bool has(const std::vector<domain::TargetId>& ids, domain::TargetId wanted) {
  return std::find(ids.begin(), ids.end(), wanted) != ids.end();
}

struct Slots {
  std::vector<domain::TargetId> fresh;
  std::vector<domain::TargetId> old;     // those without traffic first
  std::vector<domain::TargetId> routed;  // of the old ones; the others are not healthy
};

/// `before`: how many steps come before it.
domain::Step new_step(const domain::Rollout& rollout, std::size_t before, domain::StepKind kind) {
  domain::Step step;
  step.rollout = rollout.id;
  step.position = static_cast<int>(before) + 1;
  step.kind = kind;
  return step;
}

/// The stored form of a strategy's list, after the steps that are there `already`: slots become target ids, a switch
/// learns who had the traffic before it, and an old target that has none gets none.
std::vector<domain::Step> to_steps(const domain::Rollout& rollout, std::size_t already,
                                   const std::vector<strategies::PlannedStep>& planned, const Slots& slots) {
  std::vector<domain::Step> steps;
  const auto add = [&](domain::StepKind kind) -> domain::Step& {
    return steps.emplace_back(new_step(rollout, already + steps.size(), kind));
  };
  auto routed = slots.routed;
  for (const auto& item : planned) {
    const bool switches = item.kind == domain::StepKind::switch_traffic;
    auto& step = add(item.kind);
    for (const auto& slot : item.targets) {
      const bool is_fresh = slot.side == strategies::Slot::Side::fresh;
      const auto id = (is_fresh ? slots.fresh : slots.old).at(static_cast<std::size_t>(slot.index));
      if (!switches || is_fresh || has(slots.routed, id)) step.targets.push_back(id);
    }
    if (switches) {
      step.before = routed;
      routed = step.targets;
    }
  }
  return steps;
}

/// The users' hooks are the same whatever the strategy: `before` comes before everything, and not when going back;
/// `verify` after the first proof of health; `after` once all new targets have the traffic, while undo is still
/// possible.
std::vector<strategies::PlannedStep> with_hooks(const std::vector<strategies::PlannedStep>& planned,
                                                const domain::Hooks& hooks, domain::RolloutKind kind) {
  using domain::StepKind;
  std::vector<strategies::PlannedStep> steps;
  if (kind == domain::RolloutKind::deploy) steps.assign(hooks.before.size(), {StepKind::before, {}});
  bool verified = false;
  bool checked = false;
  const auto promoted =
      std::find_if(planned.begin(), planned.end(), [](const auto& step) { return step.kind == StepKind::promote; });
  for (const auto& step : planned) {
    const bool settled = step.kind == StepKind::bake || step.kind == StepKind::promote;
    if (settled && !std::exchange(checked, true)) {
      steps.insert(steps.end(), hooks.after.size(), {StepKind::after, promoted->targets});
    }
    steps.push_back(step);
    if (step.kind == StepKind::probe && !std::exchange(verified, true)) {
      steps.insert(steps.end(), hooks.verify.size(), {StepKind::verify, step.targets});
    }
  }
  return steps;
}

}  // namespace

std::vector<strategies::PlannedStep> planned_steps(const domain::Service& service, int live, domain::RolloutKind kind) {
  const bool routed = service.proxy.port != 0;
  const bool bakes = service.bake > service.bake.zero();
  const auto planned = strategies::plan(
      service.strategy, {live, service.replicas, routed, service.max_surge, service.max_unavailable, bakes});
  return with_hooks(planned, service.hooks, kind);
}

const std::vector<domain::Hook>* hooks_of(const domain::Hooks& hooks, domain::StepKind kind) {
  if (kind == domain::StepKind::before) return &hooks.before;
  if (kind == domain::StepKind::verify) return &hooks.verify;
  return kind == domain::StepKind::after ? &hooks.after : nullptr;
}

namespace {

constexpr int rollouts_looked_at = 20;

/// For how long nobody answered in the newest rollout that recreated the service and went live.
std::optional<milliseconds> last_gap(Journal& journal, const std::string& service) {
  using domain::StepKind;
  for (const auto& rollout : journal.rollouts.history(service, rollouts_looked_at)) {
    if (rollout.phase != domain::Phase::succeeded || rollout.config.empty()) continue;
    if (domain::service_from_json(nlohmann::json::parse(rollout.config)).strategy != domain::StrategyKind::recreate) {
      continue;
    }
    std::optional<domain::Time> left;
    for (const auto& step : journal.rollouts.steps(rollout.id)) {
      const bool leaves =
          step.kind == StepKind::stop || (step.kind == StepKind::switch_traffic && step.targets.empty());
      if (leaves && !left) left = step.started;
      if (step.kind == StepKind::promote && left && step.finished) {
        return std::chrono::duration_cast<milliseconds>(*step.finished - *left);
      }
    }
  }
  return std::nullopt;
}

}  // namespace

std::string warning_of(Journal& journal, const domain::Service& service) {
  if (service.strategy != domain::StrategyKind::recreate || journal.targets.live(service.name).empty()) return "";
  const auto last = last_gap(journal, service.name);
  const auto most = service.drain + service.container.stop_grace_period + service.health.deadline;
  return "the strategy is recreate, so " + service.name +
         " answers nothing from the stop of the old version until the new one is healthy: " +
         (last ? "the last time for " + human_duration(*last)
               : "for " + human_duration(most) + " at the most (drain, stop_grace_period and health.deadline)");
}

std::vector<domain::StepKind> source_steps(const domain::Rollout& rollout, const domain::Service& service) {
  using enum domain::StepKind;
  if (rollout.kind == domain::RolloutKind::rollback) return {image};
  if (!rollout.image.empty()) return {pull};
  // Whoever names a branch, tag or commit by hand wants just that built; what events bring was built by somebody else.
  const bool by_hand = rollout.commit.empty() && !rollout.ref.empty();
  if (!service.source.image.empty() && !(by_hand && service.source.git)) {
    const bool needs_commit = service.source.image.find("{sha}") != std::string::npos;
    if (!needs_commit || !rollout.commit.empty()) return {pull};
    if (service.source.git) return {fetch, pull};
    throw Error(ErrorKind::invalid,
                "the image \"" + service.source.image + "\" of " + service.name +
                    " needs a commit: name one image with --image, or give the service a source.git");
  }
  if (service.source.git) return {fetch, build};
  throw Error(ErrorKind::invalid, service.name + " has no source: give it source.git or source.image");
}

Task<void> Planner::start(domain::Rollout& rollout) {
  const auto service = co_await service_for(rollout);
  rollout = journal_.rollouts.get(rollout.id);
  if (rollout.phase != domain::Phase::queued) co_return;
  std::vector<domain::Step> steps;
  for (const auto kind : source_steps(rollout, service)) steps.push_back(new_step(rollout, steps.size(), kind));
  journal_.transaction([&] {
    journal_.rollouts.add_steps(steps);
    rollout.config = domain::to_json_value(service).dump();
    rollout.phase = domain::Phase::running;
    rollout.started = journal_.now();
    journal_.rollouts.update(rollout);
    const auto warning = warning_of(journal_, service);
    journal_.tell(rollout, "rollout.started", warning.empty() ? "started" : "started; " + warning);
  });
}

void Planner::plan_targets(Work& work) {
  auto& rollout = work.rollout;
  const auto& service = work.service;
  journal_.transaction([&] {
    const auto live = journal_.targets.live(service.name);
    const auto fresh = add_targets(rollout, service);
    const auto planned = planned_steps(service, static_cast<int>(live.size()), rollout.kind);
    Slots slots{ids_of(fresh), ids_of(live), ids_of(journal_.targets.routed(service.name))};
    std::stable_partition(slots.old.begin(), slots.old.end(), [&](auto id) { return !has(slots.routed, id); });
    journal_.rollouts.add_steps(to_steps(rollout, journal_.rollouts.steps(rollout.id).size(), planned, slots));
    rollout.previous = live.empty() ? std::nullopt : live.front().revision;
    journal_.rollouts.update(rollout);
  });
}

Work Planner::load(const domain::Rollout& rollout) {
  Work work;
  work.rollout = rollout;
  work.service = domain::service_from_json(nlohmann::json::parse(rollout.config));
  if (rollout.revision) work.revision = journal_.revisions.get(*rollout.revision);
  return work;
}

Task<domain::Service> Planner::service_for(domain::Rollout rollout) {
  if (rollout.kind == domain::RolloutKind::rollback) {
    if (!rollout.revision) throw Error(ErrorKind::not_found, "the revision to roll back to is not there any more");
    co_return domain::service_from_json(nlohmann::json::parse(journal_.revisions.get(*rollout.revision).config));
  }
  const auto found = std::find_if(services_.begin(), services_.end(),
                                  [&](const domain::Service& service) { return service.name == rollout.service; });
  if (found == services_.end()) {
    throw Error(ErrorKind::invalid, "there is no service " + rollout.service + " in the configuration any more");
  }
  co_return co_await complete_(*found);
}

std::vector<domain::Target> Planner::add_targets(const domain::Rollout& rollout, const domain::Service& service) {
  std::set<std::string> taken;
  for (const auto& target : journal_.targets.present()) taken.insert(target.address);
  std::vector<domain::Target> fresh;
  for (int slot = 1; slot <= service.replicas; ++slot) {
    domain::Target target;
    target.service = service.name;
    target.rollout = rollout.id;
    target.slot = slot;
    target.address = next_address_(taken);
    target.port = service.proxy.port;
    target.id = journal_.targets.add(target);
    taken.insert(target.address);
    fresh.push_back(target);
  }
  return fresh;
}

}  // namespace deploy::rollout
