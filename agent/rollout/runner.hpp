// Runs one rollout from where its journal says it is to its end. The only place that decides between going on and
// undoing.
//
// Per step: transaction (running, attempt + 1), effect, transaction (succeeded, what the effect wants recorded, event).
// A step that is found running was in doubt when the agent stopped, and is done again: effects observe first. A failure
// turns the rollout round: the same steps are walked back from the one in doubt. After `promote` there is no way back.
// What cannot be reached (engine, registry, git remote) is tried again for a while before that counts as a failure.
#pragma once

#include <functional>

#include "agent/ports/clock.hpp"
#include "agent/rollout/journal.hpp"
#include "agent/rollout/planner.hpp"
#include "agent/rollout/step_effects.hpp"

namespace deploy::rollout {

class Runner {
 public:
  /// `retry_limit`: how long a step is tried again before the switch.
  Runner(Planner& planner, StepEffects& effects, Journal& journal, ports::Clock& clock,
         std::chrono::milliseconds retry_limit)
      : planner_(planner), effects_(effects), journal_(journal), clock_(clock), retry_limit_(retry_limit) {}

  /// Returns once the rollout may do more than get its image.
  using LetIn = std::function<Task<void>()>;

  /// Returns when the rollout has ended. On cancellation of the coroutine it throws, and leaves the rollout to be run
  /// again: then, and before each step until its first switch, a wish to stop it (Rollout::stop) turns it round.
  /// `let_in` is called when its image is there, unless it was let in before. `on_promoted` is called when its version
  /// has become live, before what it replaced is cleared away.
  Task<void> run(domain::RolloutId id, LetIn let_in, std::function<void()> on_promoted);

 private:
  enum class Direction { forward, back };

  Task<void> go_forward(Work& work, LetIn let_in, std::function<void()> on_promoted);
  bool plan_targets(Work& work);
  Task<void> go_back(Work& work);
  Task<bool> do_step(Work& work, domain::Step& step, Direction direction);
  Task<std::optional<Outcome>> try_once(Work& work, domain::Step& step, Direction direction,
                                        std::exception_ptr* failure);
  bool stop_wanted(Work& work);
  void turn_round(Work& work, const std::string& reason);
  void retry_later(Work& work, const domain::Step& step, const std::exception_ptr& cause,
                   std::chrono::milliseconds pause);
  void begin_step(Work& work, domain::Step& step, Direction direction);
  void finish_step(Work& work, domain::Step& step, Direction direction, const Outcome& outcome);
  void fail(Work& work, domain::Step& step, Direction direction, const std::exception_ptr& cause);
  void end_unchanged(Work& work);

  Planner& planner_;
  StepEffects& effects_;
  Journal& journal_;
  ports::Clock& clock_;
  std::chrono::milliseconds retry_limit_;
};

}  // namespace deploy::rollout
