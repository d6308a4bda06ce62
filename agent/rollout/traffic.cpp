#include "agent/rollout/traffic.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "agent/base/error.hpp"

namespace deploy::rollout {

namespace {

/// Two services never share an upstream: who comes first in the list keeps it.
void give_each_upstream_once(std::vector<ports::Route>& routes) {
  std::set<std::string> taken;
  for (auto& route : routes) {
    auto& upstream = route.settings.upstream;
    if (!upstream.empty() && !taken.insert(upstream).second) upstream.clear();
  }
}

}  // namespace

Task<ports::SwitchReport> Traffic::route(std::string service, std::vector<domain::TargetId> targets) {
  const auto mine = std::make_shared<Request>(Request{std::move(service), std::move(targets), std::nullopt});
  waiting_.push_back(mine);
  const auto turn = co_await one_change_.lock();
  if (mine->report) co_return *mine->report;
  co_await change_together(mine);
  if (mine->report) co_return *mine->report;
  const Routed wanted{{mine->service, mine->targets}};
  co_return co_await change(wanted);
}

/// `first`, whose turn it is, and all that wait. Leaves them without a report where there is no other, or it did not
/// work: they are made alone then, or with those that come later.
Task<void> Traffic::change_together(std::shared_ptr<Request> first) {
  std::vector<std::shared_ptr<Request>> requests{first};
  Routed wanted{{first->service, first->targets}};
  const auto waiting = std::exchange(waiting_, {});
  for (const auto& entry : waiting) {
    auto request = entry.lock();
    if (!request || !wanted.emplace(request->service, request->targets).second) continue;
    requests.push_back(std::move(request));
  }
  if (requests.size() < 2) co_return;
  std::optional<ports::SwitchReport> report;
  try {
    report = co_await change(wanted);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::cancelled || error.kind() == ErrorKind::in_doubt) throw;
  }
  if (!report) co_return;
  std::string names;
  for (const auto& [service, targets] : wanted) names += (names.empty() ? "" : ", ") + service;
  report->notes.push_back("one reload of Nginx for " + names);
  for (const auto& request : requests) request->report = report;
}

Task<bool> Traffic::route_if(std::function<bool()> begin, std::string service, std::vector<domain::TargetId> targets) {
  const auto turn = co_await one_change_.lock();
  if (!begin()) co_return false;
  proved_.erase(service);  // what `begin` wrote down counts from here on, even if the change's own end is not known
  const Routed wanted{{service, targets}};
  co_await change(wanted);
  co_return true;
}

Task<ports::SwitchReport> Traffic::change(Routed wanted) {
  auto report = co_await proxy_.apply(routes(wanted));
  for (const auto& [service, targets] : wanted) proved_[service] = targets;
  co_return report;
}

Task<ports::SwitchReport> Traffic::reload_users_files(ports::UsersChange change) {
  const auto turn = co_await one_change_.lock();
  auto all = routes({});
  co_return co_await proxy_.reload_users_files(std::move(all), std::move(change));
}

Task<void> Traffic::rehearse() {
  const auto turn = co_await one_change_.lock();
  co_await proxy_.rehearse();
}

Task<ports::SwitchReport> Traffic::restore(bool at_start) {
  const auto turn = co_await one_change_.lock();
  const auto in_doubt = at_start ? switches_in_doubt() : Routed{};
  auto report = co_await proxy_.apply(routes(in_doubt));
  for (const auto& [service, targets] : in_doubt) proved_[service] = targets;
  co_return report;
}

Task<Traffic::Endpoints> Traffic::endpoints() {
  std::vector<ports::Endpoint> found;
  try {
    found = co_await proxy_.routed();
  } catch (const Error& error) {
    // No folder, no upstream files.
    if (error.kind() != ErrorKind::not_found) throw;
  }
  Endpoints named;
  for (const auto& endpoint : found) named[endpoint.address] = endpoint.port;
  co_return named;
}

std::vector<domain::TargetId> Traffic::routed(const std::string& service) {
  const auto proved = proved_.find(service);
  if (proved != proved_.end()) return proved->second;
  return ids_of(journal_.targets.routed(service));
}

Traffic::Routed Traffic::switches_in_doubt() {
  Routed in_doubt;
  for (const auto& rollout : journal_.rollouts.unfinished()) {
    if (rollout.phase != domain::Phase::running) continue;
    for (const auto& step : journal_.rollouts.steps(rollout.id)) {
      const bool doubtful = step.kind == domain::StepKind::switch_traffic && step.state == domain::StepState::running;
      if (doubtful) in_doubt[rollout.service] = step.targets;
    }
  }
  return in_doubt;
}

std::vector<ports::Route> Traffic::routes(const Routed& wanted) {
  std::vector<ports::Route> all;
  std::set<std::string> seen;
  const auto add = [&](const std::string& name, const domain::Service* configured) {
    if (!seen.insert(name).second) return;
    const auto found = wanted.find(name);
    std::vector<domain::Target> targets;
    for (const auto id : found == wanted.end() ? routed(name) : found->second) {
      targets.push_back(journal_.targets.get(id));
    }
    if (targets.empty() && configured == nullptr) return;
    ports::Route route;
    route.service = name;
    // A changed configuration takes effect with its own rollout, not when deployd starts.
    const auto stored = targets.empty() ? std::nullopt : journal_.stored_config(targets.back());
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

}  // namespace deploy::rollout
