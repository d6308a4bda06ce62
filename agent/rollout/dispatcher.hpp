// Decides which rollouts may run now, and runs them: one per service, in the order of their release, at most so many at
// a time. One whose version is live and that only clears away what it replaced holds nobody up.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "agent/base/async.hpp"
#include "agent/domain/service.hpp"
#include "agent/ports/clock.hpp"
#include "agent/rollout/journal.hpp"
#include "agent/rollout/release_planner.hpp"
#include "agent/rollout/runner.hpp"

namespace deploy::rollout {

/// What can be done now.
struct Ready {
  std::vector<domain::Rollout> start;              // in order: to be run, and at first only to get their images
  std::vector<domain::RolloutId> let_in;           // to their services' targets
  std::map<domain::RolloutId, std::string> waits;  // why the others that have begun are not let in
  struct Blocked {
    domain::Rollout rollout;
    std::string reason;
  };
  std::vector<Blocked> give_up;  // something they depend on failed in the same release
};

/// What choose_ready looks at.
struct Queue {
  std::vector<domain::Rollout> unfinished;
  std::map<domain::ReleaseId, std::vector<domain::Rollout>> of_release;  // all of those releases, ended ones, too
  std::function<bool(const domain::Rollout&)> let_in;  // its steps beyond its image are planned, or about to be
  std::function<bool(domain::RolloutId)> promoted;
  std::function<bool(domain::RolloutId)> drains;
  std::function<bool(const domain::Rollout&)> runs_alone;  // its version, by its strategy
  std::set<domain::RolloutId> running;                     // by this dispatcher
  std::set<domain::RolloutId> at_gate;                     // have their images, and wait to be let in
  std::set<std::string> paused;                            // services; "" is all of them

  bool is_paused(const std::string& service) const { return paused.contains(service) || paused.contains(""); }
};

/// What of it the journal knows: all but let_in, runs_alone, running and at_gate. Reads each release once.
Queue queue_of(Journal& journal);

/// Pure. A queued rollout may start, and get its image, when its service is not paused and has no other rollout under
/// way. It is let in when there is a place, and everything that it depends on (directly or not) is promoted or has
/// ended in its release and is not being rolled out by another. When one of those failed in its release, it is given
/// up. Beside one that clears away the service's next rollout starts while that drains, and is not let in where a
/// version must run alone; not beside two, because each keeps a version running.
Ready choose_ready(const Queue& queue, const std::vector<domain::Service>& services, int rollouts_max);

class Dispatcher {
 public:
  using Complain = std::function<void(const std::string& message)>;

  /// `complain` hears of what could not even be written down, e.g. while the disk is full.
  Dispatcher(asio::any_io_executor executor, Journal& journal, ReleasePlanner& releases, Runner& runner,
             ports::Clock& clock, const std::vector<domain::Service>& services, int rollouts_max, Complain complain);

  /// Runs until it is cancelled; then the rollouts under way are cancelled, too, each to be run again at the next
  /// start.
  Task<void> run();

  /// Something is new: in the queue, a pause, a wish to stop a rollout.
  void wake();

 private:
  void start_ready();
  void interrupt_stopped();
  bool give_up(const Ready::Blocked& blocked);
  Task<void> await_turn(domain::RolloutId id);
  bool runs_alone(const domain::Rollout& rollout);
  Task<void> run_one(domain::RolloutId id, std::shared_ptr<Signal> interrupt);

  Journal& journal_;
  ReleasePlanner& releases_;
  Runner& runner_;
  ports::Clock& clock_;
  const std::vector<domain::Service>& services_;
  int rollouts_max_;
  Complain complain_;
  asio::any_io_executor executor_;
  Signal changed_;
  bool woken_ = false;  // a wake-up that came while nobody waited must not be lost
  TaskGroup tasks_;
  /// What is being run, and the signal that interrupts it so that it looks for a wish to stop.
  std::map<domain::RolloutId, std::shared_ptr<Signal>> running_;
  std::set<domain::RolloutId> let_in_;
  std::set<domain::RolloutId> at_gate_;
  std::map<domain::RolloutId, std::string> waits_;  // of those at the gate
  Signal turns_;                                    // who is let in, or why not, has changed
};

}  // namespace deploy::rollout
