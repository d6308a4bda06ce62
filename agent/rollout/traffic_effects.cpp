// The effects of steps that move traffic: switch and drain.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "agent/base/error.hpp"
#include "agent/base/text.hpp"
#include "agent/rollout/step_effects.hpp"

namespace deploy::rollout {

namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds connection_poll{100};
constexpr milliseconds worker_poll{1000};

milliseconds left_until(steady_clock::time_point deadline, steady_clock::time_point now) {
  return std::max(milliseconds::zero(), std::chrono::ceil<milliseconds>(deadline - now));
}

}  // namespace

/// Each reload leaves those workers of Nginx behind that have long connections, and each of them takes memory. Returns
/// whether it had to wait. Not once this rollout has switched: what it began is not to be held up half-way.
Task<bool> StepEffects::await_workers(Work& work) {
  const auto steps = journal_.rollouts.steps(work.rollout.id);
  const bool has_switched = std::any_of(steps.begin(), steps.end(), [](const domain::Step& step) {
    return step.kind == domain::StepKind::switch_traffic && step.state != domain::StepState::pending;
  });
  if (has_switched || work.service.proxy.port == 0) co_return false;
  const auto give_up = clock_.steady_now() + room_deadline;
  for (bool told = false;; told = true) {
    const auto leaving = co_await traffic_.workers_shutting_down();
    if (leaving <= site_.workers_leaving) co_return told;
    const auto many = std::to_string(leaving) +
                      " workers of Nginx are shutting down and still have connections, more than the " +
                      std::to_string(site_.workers_leaving) + " of proxy.nginx.workers_leaving";
    if (clock_.steady_now() >= give_up) {
      throw Error(ErrorKind::failed, many + "; worker_shutdown_timeout in nginx.conf would end them after that time");
    }
    if (!told) journal_.tell(work.rollout, "note", many + "; the switch waits until some have ended");
    co_await clock_.sleep_for(worker_poll);
  }
}

/// Says, too, for how long nobody had the traffic: a strategy that stops first takes it from everybody in between.
Task<Outcome> StepEffects::switch_forward(Work& work, domain::Step step) {
  auto outcome = co_await switch_to(work, step.targets);
  const auto steps = journal_.rollouts.steps(work.rollout.id);
  const auto left = std::find_if(steps.begin(), steps.end(), [&](const domain::Step& other) {
    return other.kind == step.kind && other.position < step.position && other.targets.empty() && other.finished;
  });
  std::string nobody;
  if (step.targets.empty()) {
    nobody = "no target has the traffic from here on";
  } else if (left != steps.end()) {
    const auto gap = std::chrono::duration_cast<milliseconds>(journal_.now() - *left->finished);
    nobody = "no target had the traffic for " + human_duration(gap);
  }
  if (!nobody.empty()) outcome.detail += (outcome.detail.empty() ? "" : ": ") + nobody;
  co_return outcome;
}

Task<Outcome> StepEffects::switch_to(Work& work, std::vector<domain::TargetId> targets) {
  const auto report = co_await traffic_.route(work.service.name, targets);
  Outcome outcome;
  std::vector<std::string> done;
  if (report.changed) {
    done.push_back("nginx -t " + (report.test ? human_duration(*report.test) : "while it booted"));
    done.push_back("reload " + human_duration(report.reload));
  }
  if (report.proxied) done.push_back("proved " + human_duration(report.prove));
  const bool named = work.service.proxy.dns && !targets.empty();
  if (named) {
    const auto moved = co_await move_name(work.service.name, targets.front());
    if (!moved.empty()) done.push_back(moved);
  }
  outcome.detail = fmt::format("{}", fmt::join(done, ", "));
  outcome.record = [this, &work, targets, named, notes = report.notes] {
    if (named) record_names(work.service.name, targets.front());
    journal_.targets.set_routed(work.service.name, targets);
    for (const auto& note : notes) journal_.tell(work.rollout, "note", note);
  };
  co_return outcome;
}

/// Throws Error where others could not find the service after a switch.
Task<void> StepEffects::check_route(Work& work) {
  const auto& service = work.service;
  for (const auto& target : journal_.targets.routed(service.name)) {
    const auto stored = journal_.stored_config(target);
    if (!stored || stored->proxy.dns == service.proxy.dns) continue;
    throw Error(ErrorKind::invalid, "`proxy.route` cannot be changed while " + service.name +
                                        " is live: callers would find its name in two places; put it back, or give the "
                                        "service another name");
  }
  if (service.proxy.dns) co_await name_holder(service.name);
}

/// The target whose container has the service's name; nullopt where no container has it.
Task<std::optional<domain::Target>> StepEffects::name_holder(std::string service) {
  const auto container = co_await engine_.inspect(service);
  if (!container || container->name != service) co_return std::nullopt;  // it may be the start of another one's id
  for (const auto& target : journal_.targets.present()) {
    if (target.service == service && target.container_id == container->id) co_return target;
  }
  throw Error(ErrorKind::conflict, "the name " + service +
                                       ", by which `route: dns` lets others find the service, belongs to a container "
                                       "that deployd did not make for it; rename or remove it and roll out again");
}

/// Between the two renames nobody has the name, for some milliseconds. Returns what to say of it.
Task<std::string> StepEffects::move_name(std::string service, domain::TargetId to) {
  const auto target = journal_.targets.get(to);
  const auto holder = co_await name_holder(service);
  if (holder && holder->id == to) co_return "";
  const auto begun = clock_.steady_now();
  if (holder) {
    co_await engine_.rename(holder->container_id, own_name(*holder));
  }
  co_await engine_.rename(target.container_id, service);
  const auto took = std::chrono::duration_cast<milliseconds>(clock_.steady_now() - begun);
  co_return "the name " + service + " moved in " + human_duration(took);
}

/// What its container is called while it has not the service's name. One that another state folder left has no
/// revision.
std::string StepEffects::own_name(const domain::Target& target) {
  if (target.revision) return container_name(journal_.revisions.get(*target.revision), target);
  return target.service + "-" + target.container_id.substr(0, 12);
}

void StepEffects::record_names(const std::string& service, domain::TargetId holder) {
  for (auto target : journal_.targets.present()) {
    if (target.service != service || target.container_id.empty()) continue;
    target.container_name = target.id == holder ? service : own_name(target);
    journal_.targets.update(target);
  }
}

Task<Outcome> StepEffects::drain(Work& work, std::vector<domain::TargetId> ids) {
  const auto begun = clock_.steady_now();
  const auto deadline = begun + work.service.drain;
  try {
    co_await traffic_.wait_retired_workers(left_until(deadline, begun));
  } catch (const Error& error) {
    // An Nginx that is being restarted has no earlier workers; the connections below are counted all the same.
    log_.append(work.rollout.id, "drain: " + error.message());
  }
  int cut = 0;
  for (const auto& target : load(ids)) cut += co_await drain_one(target, deadline);
  const auto took = std::chrono::duration_cast<milliseconds>(clock_.steady_now() - begun);
  Outcome outcome;
  outcome.detail =
      cut == 0 ? "idle after " + human_duration(took)
               : std::to_string(cut) + " connection" + (cut == 1 ? "" : "s") + " left after " + human_duration(took);
  co_return outcome;
}

/// Returns how many connections were left at the deadline.
Task<int> StepEffects::drain_one(domain::Target target, steady_clock::time_point deadline) {
  int idle_polls = 0;
  for (;;) {
    const auto container = co_await engine_.inspect(target.container_id);
    if (!container || container->state != "running") co_return 0;
    const auto connections = co_await engine_.established_connections(target.container_id, target.port);
    idle_polls = connections == 0 ? idle_polls + 1 : 0;
    if (idle_polls == 2) co_return 0;
    const auto left = left_until(deadline, clock_.steady_now());
    // Connections that cannot be counted are given all of the drain time, and none is known to be left.
    if (left == milliseconds::zero()) co_return connections.value_or(0);
    co_await clock_.sleep_for(std::min(connection_poll, left));
  }
}

}  // namespace deploy::rollout
