// Decides which rollouts may run now, and runs them: one per service, in the order of their release, at most so many at
// a time.
#pragma once

#include <functional>
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

/// What can be started now. Pure. `unfinished` and `same_release` come from the store.
struct Ready {
  std::vector<domain::Rollout> start;  // in order
  struct Blocked {
    domain::Rollout rollout;
    std::string reason;
  };
  std::vector<Blocked> give_up;  // something it depends on failed in the same release
};

/// A queued rollout may start when its service has no other rollout under way, and everything that it depends on
/// (directly or not) has ended in its release and is not being rolled out by another. When one of those failed in its
/// release, it is given up.
Ready choose_ready(const std::vector<domain::Rollout>& unfinished,
                   const std::function<std::vector<domain::Rollout>(domain::ReleaseId)>& of_release,
                   const std::vector<domain::Service>& services, const std::set<domain::RolloutId>& running,
                   int rollouts_max);

class Dispatcher {
 public:
  using Complain = std::function<void(const std::string& message)>;

  /// `complain` hears of what could not even be written down, e.g. while the disk is full.
  Dispatcher(asio::any_io_executor executor, Journal& journal, ReleasePlanner& releases, Runner& runner,
             ports::Clock& clock, const std::vector<domain::Service>& services, int rollouts_max, Complain complain);

  /// Runs until it is cancelled; then the rollouts under way are cancelled, too, each to be run again at the next
  /// start.
  Task<void> run();

  /// Something new is in the queue.
  void wake();

 private:
  void start_ready();
  Task<void> run_one(domain::RolloutId id);

  Journal& journal_;
  ReleasePlanner& releases_;
  Runner& runner_;
  ports::Clock& clock_;
  const std::vector<domain::Service>& services_;
  int rollouts_max_;
  Complain complain_;
  Signal changed_;
  bool woken_ = false;  // a wake-up that came while nobody waited must not be lost
  TaskGroup tasks_;
  std::set<domain::RolloutId> running_;
};

}  // namespace deploy::rollout
