#include "agent/rollout/runner.hpp"

#include <algorithm>
#include <array>

#include "agent/base/error.hpp"
#include "agent/base/text.hpp"

namespace deploy::rollout {

namespace {

using domain::Phase;
using domain::StepKind;
using domain::StepState;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

std::chrono::milliseconds longest_proof(const domain::HealthCheck& check) {
  return check.start_after + check.warm_up_timeout + 2 * check.deadline + check.min_healthy;
}

std::chrono::milliseconds longest_hook(const domain::Hooks& hooks) {
  std::chrono::milliseconds longest{0};
  for (const auto* list : {&hooks.before, &hooks.verify, &hooks.after}) {
    for (const auto& hook : *list) longest = std::max(longest, hook.timeout);
  }
  return longest;
}

/// No step goes on for ever. Effects have deadlines of their own and better messages; this is the last one.
std::chrono::milliseconds deadline_of(const domain::Service& service, const domain::Step& step) {
  const auto containers = std::max<long>(1, static_cast<long>(step.targets.size()));
  switch (step.kind) {
    case StepKind::prune:
    case StepKind::promote:
      return minutes(5);
    case StepKind::fetch:
    case StepKind::build:
    case StepKind::pull:
    case StepKind::image:
      return hours(6);  // mostly waiting for its turn: what it does then has a deadline of its own
    case StepKind::before:
    case StepKind::verify:
    case StepKind::after:
      return longest_hook(service.hooks) + minutes(5);
    case StepKind::create:
      // Without memory it waits for the service's own drain, too, which takes a day at most.
      return hours(24) + room_deadline + minutes(2) * containers;
    case StepKind::remove:
      return minutes(2) * containers;
    case StepKind::switch_traffic:
      // Undoing one starts the targets that have stopped meanwhile.
      return minutes(2) + longest_proof(service.health);
    case StepKind::drain:
      return service.drain + seconds(60);
    case StepKind::bake:
      return service.bake + longest_proof(service.health) + minutes(1);
    case StepKind::start:
    case StepKind::probe:
    case StepKind::stop:
      // Undoing a stop starts and probes; undoing a start drains and stops. What is stopped has a grace period of its
      // own configuration, and pre_stop as long again: at most an hour each.
      return room_deadline + (longest_proof(service.health) + service.drain + hours(2) + minutes(1)) * containers;
  }
  return minutes(5);
}

/// Has it left anything in the world that undo must take back?
bool left_something(const domain::Step& step) {
  const bool begun =
      step.state == StepState::running || step.state == StepState::succeeded || step.state == StepState::failed;
  constexpr std::array look_only{StepKind::fetch, StepKind::image, StepKind::probe, StepKind::verify,
                                 StepKind::after, StepKind::bake,  StepKind::drain};
  return begun && std::find(look_only.begin(), look_only.end(), step.kind) == look_only.end();
}

[[noreturn]] void throw_step_deadline(const domain::Step& step, std::chrono::milliseconds deadline) {
  // A switch that was cut short may have taken place.
  const auto kind = step.kind == StepKind::switch_traffic ? ErrorKind::in_doubt : ErrorKind::timed_out;
  throw Error(kind, "the step \"" + domain::to_string(step.kind) + "\" did not end within " + human_duration(deadline));
}

/// What is being undone, or cleared away after promote, is tried for longer: a person would have to finish it.
constexpr minutes must_end_retry_limit{10};
constexpr seconds retry_first{1};
constexpr seconds retry_most{15};

}  // namespace

Task<void> Runner::run(domain::RolloutId id, LetIn let_in, std::function<void()> on_promoted) {
  auto rollout = journal_.rollouts.get(id);
  if (rollout.phase == Phase::queued) {
    try {
      co_await planner_.start(rollout);
    } catch (const Error& error) {
      rollout = journal_.rollouts.get(id);  // somebody may have ended it meanwhile
      if (rollout.phase == Phase::queued) journal_.end(rollout, Phase::rolled_back, error.message());
    }
  }
  if (domain::is_final(rollout.phase)) co_return;
  auto work = planner_.load(rollout);
  if (work.rollout.phase == Phase::running) co_await go_forward(work, std::move(let_in), std::move(on_promoted));
  if (work.rollout.phase == Phase::undoing) co_await go_back(work);
}

Task<void> Runner::go_forward(Work& work, LetIn let_in, std::function<void()> on_promoted) {
  auto steps = journal_.rollouts.steps(work.rollout.id);
  std::string left_over;  // what went wrong after promote: the rest is cleared away all the same
  for (std::size_t next = 0; next < steps.size() || journal_.prepares(work.rollout); ++next) {
    if (next == steps.size()) {
      const bool wanted = !stop_wanted(work);
      if (wanted) co_await let_in();
      if (!plan_targets(work)) co_return;
      steps = journal_.rollouts.steps(work.rollout.id);
    }
    auto& step = steps[next];
    if (step.state == StepState::succeeded) continue;
    // What a hook does to data is not cut short, and so not left half done after a start either.
    const bool hook_under_way = step.kind == StepKind::before && step.state == StepState::running;
    if (!hook_under_way && stop_wanted(work)) {
      turn_round(work, work.rollout.stop->reason);
      co_return;
    }
    const bool worked = co_await do_step(work, step, Direction::forward);
    if (domain::is_final(work.rollout.phase)) co_return;
    if (worked && step.kind == StepKind::promote) on_promoted();
    if (worked) continue;
    if (journal_.promoted(work.rollout.id)) {
      left_over = left_over.empty() ? step.detail : left_over + "; " + step.detail;
      continue;
    }
    turn_round(work, step.detail);
    co_return;
  }
  if (left_over.empty()) {
    journal_.end(work.rollout, Phase::succeeded, "");
  } else {
    journal_.end(work.rollout, Phase::needs_operator,
                 work.revision->name + " is live, but what it replaced could not be cleared away: " + left_over);
  }
}

/// Returns false where the rollout turned round instead.
bool Runner::plan_targets(Work& work) {
  if (stop_wanted(work)) {
    turn_round(work, work.rollout.stop->reason);
    return false;
  }
  try {
    planner_.plan_targets(work);
  } catch (const Error& error) {
    // What cannot be written down is tried again.
    if (error.kind() != ErrorKind::conflict && error.kind() != ErrorKind::invalid) throw;
    turn_round(work, error.message());
    return false;
  }
  return true;
}

Task<void> Runner::go_back(Work& work) {
  const auto cause = work.rollout.reason;
  std::string failures;
  auto steps = journal_.rollouts.steps(work.rollout.id);
  std::reverse(steps.begin(), steps.end());
  for (auto& step : steps) {
    if (!left_something(step)) continue;
    const bool worked = co_await do_step(work, step, Direction::back);
    if (worked) continue;
    failures += "; and undoing \"" + domain::to_string(step.kind) + "\" failed: " + step.detail;
    // Whatever else is left over, the old targets get their traffic back; but not before they run, and nothing that may
    // still have traffic goes.
    if (step.kind == StepKind::switch_traffic || step.kind == StepKind::stop) break;
  }
  if (!failures.empty()) {
    journal_.end(work.rollout, Phase::needs_operator, cause + failures);
    co_return;
  }
  journal_.transaction([&] {
    // Targets whose container was never made only give their address back.
    for (auto target : journal_.targets.of_rollout(work.rollout.id)) {
      target.state = domain::TargetState::gone;
      journal_.targets.update(target);
    }
    const auto& stop = work.rollout.stop;
    journal_.end(work.rollout, stop ? stop->phase : Phase::rolled_back, cause);
  });
}

/// Asked anew each time: somebody may have wished it a moment ago. A wish is only taken before the first switch and in
/// the bake.
bool Runner::stop_wanted(Work& work) {
  work.rollout.stop = journal_.rollouts.get(work.rollout.id).stop;
  return work.rollout.stop.has_value();
}

void Runner::turn_round(Work& work, const std::string& reason) {
  journal_.transaction([&] {
    work.rollout.phase = Phase::undoing;
    work.rollout.reason = reason;
    journal_.rollouts.update(work.rollout);
  });
}

Task<bool> Runner::do_step(Work& work, domain::Step& step, Direction direction) {
  const bool must_end = direction == Direction::back || journal_.promoted(work.rollout.id);
  const auto give_up =
      clock_.steady_now() + (must_end ? std::chrono::milliseconds(must_end_retry_limit) : retry_limit_);
  for (seconds pause = retry_first;; pause = std::min(pause * 2, retry_most)) {
    begin_step(work, step, direction);
    std::exception_ptr failure;
    const auto outcome = co_await try_once(work, step, direction, &failure);
    if (outcome) {
      // What cannot be written down is no failure of the effect: it leaves the step in doubt, to be done again.
      journal_.transaction([&] {
        finish_step(work, step, direction, *outcome);
        // Together: a rollout that is carried on after this step needs the revision that it has not got here.
        if (outcome->live_already) end_unchanged(work);
      });
      co_return true;
    }
    // An undo that is in doubt is done again, because doing it twice is doing it once.
    const auto kind = kind_of(failure);
    const bool transient =
        kind == ErrorKind::unreachable || (direction == Direction::back && kind == ErrorKind::in_doubt);
    const bool again = transient && clock_.steady_now() + pause < give_up;
    if (!again) {
      fail(work, step, direction, failure);
      co_return false;
    }
    retry_later(work, step, failure, pause);
    co_await clock_.sleep_for(pause);
  }
}

/// nullopt: it failed. Throws only when this coroutine was cancelled.
Task<std::optional<Outcome>> Runner::try_once(Work& work, domain::Step& step, Direction direction,
                                              std::exception_ptr* failure) {
  std::optional<Outcome> outcome;
  try {
    auto effect = direction == Direction::forward ? effects_.perform(work, step) : effects_.undo(work, step);
    const auto deadline = deadline_of(work.service, step);
    outcome = co_await first_of(std::move(effect), clock_.sleep_for(deadline));
    if (!outcome) throw_step_deadline(step, deadline);
  } catch (...) {
    *failure = std::current_exception();
  }
  if (*failure) {
    const auto state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none) std::rethrow_exception(*failure);
  }
  co_return outcome;
}

void Runner::retry_later(Work& work, const domain::Step& step, const std::exception_ptr& cause,
                         std::chrono::milliseconds pause) {
  journal_.tell(work.rollout, "step.retrying",
                domain::to_string(step.kind) + ": " + message_of(cause) + "; trying again in " + human_duration(pause));
}

void Runner::begin_step(Work& work, domain::Step& step, Direction direction) {
  journal_.transaction([&] {
    const auto name = domain::to_string(step.kind);
    if (direction == Direction::back) {
      journal_.tell(work.rollout, "step.undoing", "undoing " + name);
      return;
    }
    step.state = StepState::running;
    step.attempts += 1;
    step.started = journal_.now();
    journal_.rollouts.update(step);
    journal_.tell(work.rollout, "step.started", name + " …");
  });
}

void Runner::finish_step(Work& work, domain::Step& step, Direction direction, const Outcome& outcome) {
  journal_.transaction([&] {
    const auto name = domain::to_string(step.kind);
    std::string text = name + (direction == Direction::forward ? ": done" : " undone");
    if (!outcome.detail.empty()) text = name + ": " + outcome.detail;
    if (direction == Direction::forward) {
      step.state = StepState::succeeded;
      step.finished = journal_.now();
      step.detail = outcome.detail;
    } else if (step.state != StepState::failed) {  // people look for the step that failed
      step.state = StepState::undone;
    }
    journal_.rollouts.update(step);
    outcome.record();
    journal_.rollouts.update(work.rollout);
    journal_.tell(work.rollout, direction == Direction::forward ? "step.succeeded" : "step.undone", text);
  });
}

void Runner::fail(Work& work, domain::Step& step, Direction direction, const std::exception_ptr& cause) {
  const auto message = message_of(cause);
  journal_.transaction([&] {
    // A step whose effect may have taken place stays in doubt, and is undone as one that worked.
    if (direction == Direction::forward && kind_of(cause) != ErrorKind::in_doubt) step.state = StepState::failed;
    step.finished = journal_.now();
    step.detail = message;
    journal_.rollouts.update(step);
    journal_.rollouts.update(work.rollout);
    journal_.tell(work.rollout, "step.failed", domain::to_string(step.kind) + " failed: " + message);
  });
}

void Runner::end_unchanged(Work& work) {
  journal_.transaction([&] {
    for (auto step : journal_.rollouts.steps(work.rollout.id)) {
      if (step.state != StepState::pending) continue;
      step.state = StepState::skipped;
      journal_.rollouts.update(step);
    }
    for (auto target : journal_.targets.of_rollout(work.rollout.id)) {
      target.state = domain::TargetState::gone;
      journal_.targets.update(target);
    }
    const auto live = journal_.targets.live(work.service.name);
    const auto name = journal_.revisions.get(*live.front().revision).name;
    journal_.end(work.rollout, Phase::unchanged, name + " is live already");
  });
}

}  // namespace deploy::rollout
