// Keeps what is live in order between rollouts: Nginx has our routes and is on our network although it was restarted or
// made anew, a live target that was stopped runs again, one that is not healthy gets no traffic while others of its
// service do, and nothing of ours is left that belongs to nothing. What else somebody changed by hand in what is live
// is reported as drift. Services that are paused are left as they are. The engine's events are a hint that something
// happened; a slow pass is the truth.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "agent/base/async.hpp"
#include "agent/ports/clock.hpp"
#include "agent/ports/container_engine.hpp"
#include "agent/ports/health_prober.hpp"
#include "agent/rollout/journal.hpp"
#include "agent/rollout/sweep.hpp"
#include "agent/rollout/traffic.hpp"

namespace deploy::rollout {

class Reconciler {
 public:
  using Say = std::function<void(const std::string& message)>;

  /// What somebody changed by hand, in sentences, by service; of upstream files with "" in place of a service.
  using Drift = std::map<std::string, std::vector<std::string>>;

  /// `nginx`: name or id of Nginx's container, whose events matter; empty: it runs in none. `say` hears of what was
  /// mended, and once of each problem and of each thing that was changed by hand.
  Reconciler(asio::any_io_executor executor, ports::ContainerEngine& engine, ports::HealthProber& prober,
             ports::Clock& clock, Journal& journal, Traffic& traffic, Sweep& sweep, std::string instance,
             std::string routing_network, std::string nginx, Say say);

  /// Runs until it is cancelled.
  Task<void> run();

  /// One look at everything. Problems are kept and not thrown.
  Task<void> pass();

  /// The last pass found everything as it should be, and no rollout did anything since it began.
  bool in_order() { return in_order_ && seen_ == journal_.last_event(); }

  /// How many there were.
  int passes() const noexcept { return passes_; }

  /// What needs a person, in sentences, as of the last pass.
  const std::vector<std::string>& problems() const noexcept { return problems_; }

  /// As of the last pass. It is reported and left so: a rollout makes a new container, a switch writes a file again.
  const Drift& drift() const noexcept { return drift_; }
  std::vector<std::string> drift_of(const std::string& service) const;

 private:
  Task<void> follow_events();
  void on_event(const ports::EngineEvent& event);
  Task<void> restore_routes();
  Task<void> clear_away();
  Task<void> route_healthy(std::string service);
  Task<bool> runs(domain::Target target, std::optional<domain::Service> config);
  void note_drift(const domain::Target& target, const ports::Container& container);
  std::string how_to_make_anew(const domain::Target& target);
  Task<bool> healthy(domain::Target target, domain::HealthCheck check);
  Task<void> look_at_live();

  ports::ContainerEngine& engine_;
  ports::HealthProber& prober_;
  ports::Clock& clock_;
  Journal& journal_;
  Traffic& traffic_;
  Sweep& sweep_;
  std::string instance_;
  std::string routing_network_;
  std::string nginx_;
  Say say_;
  Signal event_;
  bool woken_ = false;
  bool at_start_ = true;
  bool unsettled_ = false;  // the pass under way found something that is not as it should be
  bool in_order_ = false;
  int passes_ = 0;
  std::int64_t seen_ = 0;  // the newest event when the pass began
  std::vector<std::string> problems_;
  Drift drift_;
  Drift found_drift_;               // by the pass under way
  std::vector<std::string> notes_;  // of Nginx, each said once
  std::vector<std::string> found_;  // by the pass under way
  TaskGroup beside_;
};

}  // namespace deploy::rollout
