#include "agent/rollout/reconciler.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "agent/base/error.hpp"
#include "agent/domain/labels.hpp"
#include "agent/rollout/drift.hpp"

namespace deploy::rollout {

namespace {

using std::chrono::seconds;

constexpr seconds slow{30};
constexpr seconds soon{5};       // while something is not in order
constexpr seconds breath{1};     // after an event: several come together
constexpr seconds reconnect{5};  // to the engine's events

}  // namespace

Reconciler::Reconciler(asio::any_io_executor executor, ports::ContainerEngine& engine, ports::HealthProber& prober,
                       ports::Clock& clock, Journal& journal, Traffic& traffic, Sweep& sweep, std::string instance,
                       std::string routing_network, std::string nginx, Say say)
    : engine_(engine),
      prober_(prober),
      clock_(clock),
      journal_(journal),
      traffic_(traffic),
      sweep_(sweep),
      instance_(std::move(instance)),
      routing_network_(std::move(routing_network)),
      nginx_(std::move(nginx)),
      say_(std::move(say)),
      event_(executor),
      beside_(executor,
              [this](const std::string& name, std::exception_ptr cause) { say_(name + ": " + message_of(cause)); }) {}

Task<void> Reconciler::run() {
  std::exception_ptr stopped;
  try {
    beside_.spawn("the engine's events", follow_events());
    for (;;) {
      woken_ = false;
      co_await pass();
      if (!woken_) {
        const auto pause = in_order() ? slow : soon;
        co_await first_of(event_.wait(), clock_.sleep_for(pause));
      }
      if (woken_) co_await clock_.sleep_for(breath);
    }
  } catch (...) {
    stopped = std::current_exception();
  }
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  beside_.cancel();
  co_await beside_.wait();
  std::rethrow_exception(stopped);
}

Task<void> Reconciler::pass() {
  found_.clear();
  found_drift_.clear();
  unsettled_ = false;
  const auto seen = journal_.last_event();
  co_await restore_routes();
  co_await look_at_live();
  co_await clear_away();
  for (const auto& problem : found_) {
    if (std::find(problems_.begin(), problems_.end(), problem) == problems_.end()) say_(problem);
  }
  problems_ = std::move(found_);
  for (const auto& [service, changes] : found_drift_) {
    const auto& known = drift_[service];
    for (const auto& change : changes) {
      if (std::find(known.begin(), known.end(), change) == known.end()) say_(change);
    }
  }
  drift_ = std::move(found_drift_);
  in_order_ = !unsettled_;
  seen_ = seen;
  ++passes_;
}

Task<void> Reconciler::follow_events() {
  for (;;) {
    std::string failure;
    try {
      const ports::OnEvent hear = [this](const ports::EngineEvent& event) { on_event(event); };
      co_await engine_.follow_events(hear);
    } catch (const Error& error) {
      failure = error.message();  // the slow pass says what is wrong with the engine
    }
    co_await clock_.sleep_for(reconnect);
    // What happened meanwhile was not heard of.
    woken_ = true;
    event_.notify_all();
  }
}

/// A rollout looks after its own containers.
void Reconciler::on_event(const ports::EngineEvent& event) {
  const bool ours = domain::labels::text(event.labels, domain::labels::instance) == instance_ &&
                    !journal_.at_targets(domain::labels::text(event.labels, domain::labels::service));
  const bool nginx = !nginx_.empty() && (event.container_name == nginx_ || event.container_id.starts_with(nginx_));
  if (!ours && !nginx) return;
  woken_ = true;
  event_.notify_all();
}

Task<void> Reconciler::restore_routes() {
  try {
    const auto report = co_await traffic_.restore(at_start_);
    at_start_ = false;
    const auto present = journal_.targets.present();
    const bool is_first_start = present.empty();  // Nginx has our files now, and never had routes
    if (report.changed && !is_first_start) say_("Nginx has the routes again that were live");
    for (const auto& note : report.notes) {
      if (std::find(notes_.begin(), notes_.end(), note) == notes_.end()) say_(note);
    }
    notes_ = report.notes;
    for (const auto& path : report.edited) {
      found_drift_[""].push_back(path +
                                 " was changed by hand; the next switch writes deployd's own text again, and keeps "
                                 "this one beside it as " +
                                 path + ".edited");
    }
  } catch (const Error& error) {
    found_.push_back(error.message());
    unsettled_ = true;
  }
}

Task<void> Reconciler::look_at_live() {
  std::set<std::string> services;
  for (const auto& target : journal_.targets.present()) {
    if (target.state == domain::TargetState::live) services.insert(target.service);
  }
  for (const auto& service : services) {
    if (journal_.at_targets(service)) continue;
    try {
      co_await route_healthy(service);
    } catch (const Error& error) {
      found_.push_back("looking at the targets of " + service + ": " + error.message());
      unsettled_ = true;
    }
  }
}

/// The live targets that are healthy get the traffic; where none is, it stays as it is.
Task<void> Reconciler::route_healthy(std::string service) {
  const auto live = journal_.targets.live(service);
  const auto all = ids_of(live);
  const auto routed = traffic_.routed(service);
  // With one target that has the traffic already there is no choice, and nothing to ask for.
  const bool no_choice = live.size() == 1 && (live.front().port == 0 || routed == all);
  std::vector<domain::TargetId> good;
  std::vector<std::string> bad;
  for (const auto& target : live) {
    const auto config = journal_.stored_config(target);
    const bool is_running = co_await runs(target, config);
    const bool serves = is_running && (no_choice || !config || co_await healthy(target, config->health));
    if (serves) {
      good.push_back(target.id);
    } else {
      bad.push_back(target.container_name);
    }
  }
  if (!no_choice && !bad.empty()) {
    unsettled_ = true;
    for (const auto& name : bad) {
      if (!good.empty()) found_.push_back(name + " is not healthy and gets no traffic until it is");
    }
    if (good.empty()) {
      const std::string traffic =
          routed.empty() ? "and none gets traffic until one is" : "so all of them keep their traffic";
      found_.push_back("no target of " + service + " is healthy, " + traffic + "; see: deployctl logs " + service);
    }
  }
  // Where none is healthy, moving the traffic would mend nothing.
  const bool as_wanted = traffic_.routed(service) == good && ids_of(journal_.targets.routed(service)) == good;
  if (good.empty() || live.front().port == 0 || as_wanted) co_return;
  const auto begin = [this, service, all, good] {
    // Probing takes a while, in which a rollout may have begun, or even ended.
    if (journal_.at_targets(service) || ids_of(journal_.targets.live(service)) != all) return false;
    // Before the change: if the agent ends in it, the next one does not route to what is taken out here; and a rollout
    // that begins in it knows who is healthy.
    journal_.targets.set_routed(service, good);
    return true;
  };
  if (!co_await traffic_.route_if(begin, service, good)) co_return;
  say_(service + ": " + std::to_string(good.size()) + " of " + std::to_string(live.size()) +
       " targets get its requests now");
}

/// Whoever stops a container by hand wants it to stay so only where the service is paused; the engine itself leaves
/// some stopped after it crashed.
Task<bool> Reconciler::runs(domain::Target target, std::optional<domain::Service> config) {
  const auto container = co_await engine_.inspect(target.container_id);
  if (container && container->state == "running") {
    note_drift(target, *container);
    co_return true;
  }
  if (journal_.targets.get(target.id).state != domain::TargetState::live) co_return false;  // replaced meanwhile
  unsettled_ = true;
  if (!container) {
    found_.push_back("the container " + target.container_name + " was removed by hand; " + how_to_make_anew(target));
    co_return false;
  }
  const bool stopped = container->state == "exited" || container->state == "created";
  const bool paused = journal_.is_paused(target.service);
  const bool wanted = !config || config->container.restart != "no";
  if (journal_.at_targets(target.service)) co_return false;  // since a moment ago: it looks after its containers itself
  if (stopped && wanted && !paused) {
    co_await engine_.start(target.container_id);
    say_("started " + target.container_name + " again, which was " + container->state +
         "; if it is to stay stopped, pause its service first: deployctl pause " + target.service);
  } else {
    found_.push_back("the container " + target.container_name + " is " + container->state +
                     (stopped ? "; start it with: docker start " + target.container_name : ""));
  }
  co_return false;
}

/// A rollout changes its containers itself, and what was taken up is not as deployd would have made it.
void Reconciler::note_drift(const domain::Target& target, const ports::Container& container) {
  if (!container.labels.contains(domain::labels::instance)) return;
  const bool settled = journal_.targets.get(target.id).state == domain::TargetState::live;
  if (!settled || journal_.under_way(target.service)) return;
  // A rollout may have given it another name since the pass began.
  const auto changed =
      changed_by_hand(container, journal_.targets.get(target.id), journal_.made_with(target), routing_network_);
  if (changed.empty()) return;
  found_drift_[target.service].push_back(fmt::format("the container {} was changed by hand: {}; {}",
                                                     target.container_name, fmt::join(changed, ", "),
                                                     how_to_make_anew(target)));
}

std::vector<std::string> Reconciler::drift_of(const std::string& service) const {
  const auto found = drift_.find(service);
  return found == drift_.end() ? std::vector<std::string>{} : found->second;
}

std::string Reconciler::how_to_make_anew(const domain::Target& target) {
  const auto same = target.revision
                        ? "rollback " + target.service + " --to " + journal_.revisions.get(*target.revision).name
                        : "rollout " + target.service;
  return "make a new one with: deployctl " + same;
}

Task<bool> Reconciler::healthy(domain::Target target, domain::HealthCheck check) {
  check = domain::asked_once(std::move(check));
  const ports::Endpoint endpoint{target.address, check.port};
  const auto quiet = [](std::string_view) {};
  const auto verdict = co_await prober_.prove(target.container_id, endpoint, check, quiet);
  co_return verdict.healthy;
}

Task<void> Reconciler::clear_away() {
  try {
    const auto report = co_await sweep_.run();
    for (const auto& what : report.removed) say_("removed " + what + ", which belonged to nothing any more");
    for (const auto& name : report.strange_hooks) {
      found_.push_back(
          "the container " + name +
          " ran a hook, and comes from another state folder; once it is not needed, remove it with: docker "
          "rm " +
          name);
    }
    found_.insert(found_.end(), report.still_answered.begin(), report.still_answered.end());
    for (const auto& name : report.draining) {
      found_.push_back("the container " + name +
                       " belongs to nothing any more; it is removed when its requests have ended");
      unsettled_ = true;
    }
  } catch (const Error& error) {
    found_.push_back("clearing away what is left over: " + error.message());
    unsettled_ = true;
  }
}

}  // namespace deploy::rollout
