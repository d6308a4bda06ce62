// Removes what belongs to nothing any more. Every container and image that we make carries our labels, and is written
// down before it is made: one that the journal knows and that nothing needs is an orphan (a clean-up that failed, a
// crash between two steps). What the journal does not know is Adoption's business, and never removed. Unfinished
// rollouts are not looked at: the runner carries them on.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/base/async.hpp"
#include "agent/ports/clock.hpp"
#include "agent/ports/container_engine.hpp"
#include "agent/rollout/journal.hpp"
#include "agent/rollout/left_running.hpp"
#include "agent/rollout/traffic.hpp"

namespace deploy::rollout {

class Sweep {
 public:
  struct Report {
    std::vector<std::string> removed;         // in words
    std::vector<std::string> draining;        // containers that go once their last requests have ended
    std::vector<std::string> strange_hooks;   // containers of hooks that another state folder knows
    std::vector<std::string> still_answered;  // what to do about containers that are left running
  };

  Sweep(ports::ContainerEngine& engine, Traffic& traffic, ports::Clock& clock, Journal& journal, std::string instance,
        LeftRunning left_running)
      : engine_(engine),
        traffic_(traffic),
        clock_(clock),
        journal_(journal),
        instance_(std::move(instance)),
        left_running_(std::move(left_running)) {}

  /// Removes our containers and images that belong to no live revision and no unfinished rollout; never what an
  /// upstream file names, and a container that may still be asked only when its service's drain time is over.
  Task<Report> run();

 private:
  Task<std::vector<ports::Container>> ours();
  Task<void> containers(Traffic::Endpoints routed, Report* report);
  std::optional<domain::Phase> phase_of_hook(const ports::Container& container);
  Task<bool> drained(domain::Target target);
  Task<bool> leave_running(domain::Target target);
  Task<void> images(Report* report);
  Task<void> pulls(Report* report);

  ports::ContainerEngine& engine_;
  Traffic& traffic_;
  ports::Clock& clock_;
  Journal& journal_;
  std::string instance_;
  LeftRunning left_running_;
  std::map<domain::TargetId, std::chrono::steady_clock::time_point> draining_;  // since when
};

}  // namespace deploy::rollout
