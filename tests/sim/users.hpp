// What comes from outside: webhooks and commands, at random times, sent to whichever agent is alive then.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "agent/api/commands.hpp"
#include "tests/sim/boundary.hpp"
#include "tests/sim/stage.hpp"
#include "tests/sim/watch.hpp"

namespace deploy::sim {

class Users {
 public:
  using Duration = tests::FakeClock::Duration;

  Users(Stage& stage, Boundary& boundary, Trace& trace, Watch& watch, Random random)
      : stage_(stage), boundary_(boundary), trace_(trace), watch_(watch), random_(random) {}

  /// Decides what is done when, before `horizon`.
  void plan(Duration horizon);
  /// Does what is due; false where nothing was.
  bool act(tests::Agent& agent);
  /// When something is due next; the end of time where nothing is.
  Duration next() const { return planned_.empty() ? Duration::max() : planned_.begin()->first; }

  /// Nothing is paused any more.
  void resume_all(tests::Agent& agent);
  /// The state folder was lost, or an older one was put back: it holds these deliveries, and no others.
  void forget_all_but(std::vector<domain::Delivery> accepted) { accepted_ = std::move(accepted); }

  /// Deliveries that were answered 2xx.
  const std::vector<domain::Delivery>& accepted() const noexcept { return accepted_; }

 private:
  enum class Deed { push, redelivery, rollout, rollback, cancel, pause, resume };

  void push(tests::Agent& agent);
  void redeliver(tests::Agent& agent);
  void roll_out(tests::Agent& agent);
  void roll_back(tests::Agent& agent);
  void cancel(tests::Agent& agent);
  void pause(tests::Agent& agent);
  void resume(tests::Agent& agent);
  api::Commands commands(tests::Agent& agent);
  void deliver(tests::Agent& agent, const domain::Delivery& delivery);

  Stage& stage_;
  Boundary& boundary_;
  Trace& trace_;
  Watch& watch_;
  Random random_;
  std::multimap<Duration, Deed> planned_;
  std::vector<domain::Delivery> sent_;
  std::vector<domain::Delivery> accepted_;
};

}  // namespace deploy::sim
