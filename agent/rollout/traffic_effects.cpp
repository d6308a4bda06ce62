// The effects of steps that move traffic: switch and drain.
#include <algorithm>
#include <set>

#include "agent/base/error.hpp"
#include "agent/base/text.hpp"
#include "agent/rollout/step_effects.hpp"

namespace deploy::rollout {

namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds connection_poll{100};

milliseconds left_until(steady_clock::time_point deadline, steady_clock::time_point now) {
  return std::max(milliseconds::zero(), std::chrono::ceil<milliseconds>(deadline - now));
}

/// Two services never share an upstream: who comes first in the list keeps it.
void give_each_upstream_once(std::vector<ports::Route>& routes) {
  std::set<std::string> taken;
  for (auto& route : routes) {
    auto& upstream = route.settings.upstream;
    if (!upstream.empty() && !taken.insert(upstream).second) upstream.clear();
  }
}

}  // namespace

std::vector<ports::Route> StepEffects::routes(const Routed& changed) {
  std::vector<ports::Route> all;
  std::set<std::string> seen;
  const auto add = [&](const std::string& name, const domain::Service* configured) {
    if (!seen.insert(name).second) return;
    const auto found = changed.find(name);
    const auto targets = found == changed.end() ? journal_.targets.routed(name) : found->second;
    if (targets.empty() && configured == nullptr) return;
    ports::Route route;
    route.service = name;
    // A changed configuration takes effect with its own rollout, not when deployd starts.
    const auto stored = targets.empty() ? std::nullopt : stored_config(targets.back());
    if (stored) {
      route.settings = stored->proxy;
    } else if (configured != nullptr) {
      route.settings = configured->proxy;
    }
    for (const auto& target : targets) route.targets.push_back({target.address, target.port});
    if (route.settings.port != 0) all.push_back(route);
  };
  for (const auto& service : services_) add(service.name, &service);
  // A service that was taken out of the configuration keeps its traffic until somebody stops it.
  for (const auto& target : journal_.targets.present()) {
    if (target.state == domain::TargetState::live) add(target.service, nullptr);
  }
  // A service that was renamed but keeps its upstream gets it with its first target.
  std::stable_partition(all.begin(), all.end(), [](const ports::Route& route) { return !route.targets.empty(); });
  give_each_upstream_once(all);
  return all;
}

Task<ports::SwitchReport> StepEffects::restore_routes() {
  const auto turn = co_await one_switch_.lock();
  Routed in_doubt;
  for (const auto& rollout : journal_.rollouts.unfinished()) {
    if (rollout.phase != domain::Phase::running) continue;
    for (const auto& step : journal_.rollouts.steps(rollout.id)) {
      if (step.kind != domain::StepKind::switch_traffic || step.state != domain::StepState::running) continue;
      in_doubt[rollout.service] = load(step.targets);
    }
  }
  co_return co_await proxy_.apply(routes(in_doubt));
}

Task<Outcome> StepEffects::switch_to(Work& work, std::vector<domain::TargetId> targets) {
  const auto turn = co_await one_switch_.lock();
  const Routed changed{{work.service.name, load(targets)}};
  const auto report = co_await proxy_.apply(routes(changed));
  Outcome outcome;
  outcome.detail = report.changed ? "nginx -t " + human_duration(report.test) + ", reload " +
                                        human_duration(report.reload) + ", proved " + human_duration(report.prove)
                                  : "proved " + human_duration(report.prove);
  outcome.record = [this, &work, targets, notes = report.notes] {
    journal_.targets.set_routed(work.service.name, targets);
    for (const auto& note : notes) journal_.tell(work.rollout, "note", note);
  };
  co_return outcome;
}

Task<Outcome> StepEffects::drain(Work& work, std::vector<domain::TargetId> ids) {
  const auto begun = clock_.steady_now();
  const auto deadline = begun + work.service.drain;
  try {
    co_await proxy_.wait_retired_workers(left_until(deadline, begun));
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
