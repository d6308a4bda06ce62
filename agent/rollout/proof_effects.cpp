// The effects that prove targets: probe and bake, and the old targets that an undo starts again.
#include "agent/base/error.hpp"
#include "agent/base/text.hpp"
#include "agent/rollout/step_effects.hpp"

namespace deploy::rollout {

namespace {

using std::chrono::milliseconds;

/// What an app wrote just before its bad answer takes a moment to reach the engine's log.
constexpr milliseconds log_lag{200};

}  // namespace

Task<Outcome> StepEffects::probe(Work& work, domain::Step step) {
  const auto begun = clock_.steady_now();
  std::vector<Task<void>> meanwhile;
  meanwhile.push_back(prove_all(work, step, work.service.health));
  if (work.service.proxy.port != 0) meanwhile.push_back(traffic_.rehearse());
  co_await all_of(std::move(meanwhile));
  const auto took = std::chrono::duration_cast<milliseconds>(clock_.steady_now() - begun);
  // Here, where the rollout can still be stopped, and not in the switch.
  const bool waited = co_await await_workers(work);
  if (waited) co_await prove_all(work, step, domain::asked_once(work.service.health));
  Outcome outcome;
  outcome.detail = "healthy after " + human_duration(took);
  co_return outcome;
}

/// One bad proof ends them all.
Task<void> StepEffects::prove_all(Work& work, const domain::Step& step, const domain::HealthCheck& check) {
  std::vector<Task<void>> proofs;
  for (const auto& target : load(step.targets)) proofs.push_back(prove_healthy(work, target, check));
  return all_of(std::move(proofs));
}

/// The new targets have the traffic now, and have to stay healthy for as long as the old ones are kept warm.
Task<Outcome> StepEffects::bake(Work& work, domain::Step step) {
  auto check = work.service.health;
  check.start_after = milliseconds{0};
  check.proved_before = true;
  check.min_healthy = work.service.bake;
  co_await prove_all(work, step, check);
  Outcome outcome;
  outcome.detail = "healthy in traffic for " + human_duration(work.service.bake);
  co_return outcome;
}

Task<void> StepEffects::prove_healthy(Work& work, domain::Target target, domain::HealthCheck check) {
  const ports::Endpoint endpoint{target.address, check.port};
  const auto note = [this, rollout = work.rollout.id, name = target.container_name](std::string_view answer) {
    log_.append(rollout, name + ": " + std::string(answer));
  };
  const auto verdict = co_await prober_.prove(target.container_id, endpoint, check, note);
  if (verdict.healthy) co_return;
  co_await clock_.sleep_for(log_lag);
  try {
    work.rollout.log = co_await engine_.log_tail(target.container_id, shown_log_lines);
  } catch (const Error& error) {
    // Some log drivers cannot be read, and a container that somebody removed has no log: the verdict says more.
    if (error.kind() == ErrorKind::cancelled || error.transient()) throw;
  }
  throw Error(ErrorKind::failed, target.container_name + " is not healthy: " + verdict.reason);
}

/// While a rollout bakes nobody else looks after the targets that had the traffic before. One that cannot be proved
/// gets it back all the same: the others are the ones that the rollout failed with.
Task<void> StepEffects::start_again(Work& work, std::vector<domain::TargetId> ids) {
  for (const auto& target : load(ids)) {
    const auto container = co_await engine_.inspect(target.container_id);
    if (!container || container->state == "running") continue;
    const auto shown = work.rollout.log;  // of what failed, which people look for
    try {
      co_await engine_.start(target.container_id);
      co_await prove_old(work, target);
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::cancelled || error.transient()) throw;
      log_.append(work.rollout.id, error.message());
    }
    work.rollout.log = shown;
  }
}

Task<void> StepEffects::prove_old(Work& work, domain::Target target) {
  auto check = service_of(work, target).health;
  check.min_healthy = milliseconds{0};  // it was trusted before, and its clients wait
  co_await prove_healthy(work, target, std::move(check));
}

Task<Outcome> StepEffects::undo_stop(Work& work, domain::Step step) {
  for (const auto& target : load(step.targets)) {
    co_await engine_.start(target.container_id);
    co_await prove_old(work, target);
  }
  co_return Outcome{};
}

}  // namespace deploy::rollout
