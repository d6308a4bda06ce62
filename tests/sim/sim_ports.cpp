#include "tests/sim/sim_ports.hpp"

#include <algorithm>

namespace deploy::sim {

using std::chrono::milliseconds;

std::string SimEngine::name_of_container(const std::string& id) const {
  const auto found = engine_.all().find(id);
  return found == engine_.all().end() ? id : found->second.container.name;
}

std::vector<std::function<void()>> SimEngine::take_in_flight() { return {in_flight_.begin(), in_flight_.end()}; }

Task<std::optional<int>> SimEngine::connections(std::string id) { co_return stage_.busy(id) ? 2 : 0; }

Task<std::string> SimEngine::built(ports::BuildRequest request, ports::OnLog on_log) {
  auto id = co_await engine_.build(std::move(request), std::move(on_log));
  stage_.own_images.insert(id);
  co_return id;
}

Task<ports::Image> SimEngine::pulled(std::string reference, ports::OnLog on_log) {
  const auto before = engine_.all_images().size();
  auto image = co_await engine_.pull(std::move(reference), std::move(on_log));
  if (engine_.all_images().size() > before) stage_.own_images.insert(image.id);
  co_return image;
}

Task<void> SimSource::fetch(domain::GitSource source, std::function<void(std::string_view)> on_progress) {
  co_await boundary_.enter(Port::source, "fetch", source.url);
  co_await source_.fetch(source, std::move(on_progress));
  boundary_.leave(Port::source, "fetch", source.url);
}

Task<std::string> SimSource::tip(domain::GitSource source, std::string branch) {
  co_await boundary_.enter(Port::source, "tip", source.url);
  auto commit = co_await source_.tip(source, std::move(branch));
  boundary_.leave(Port::source, "tip", source.url);
  co_return commit;
}

Task<std::string> SimSource::message(domain::GitSource source, std::string commit) {
  co_await boundary_.enter(Port::source, "message", commit);
  auto text = co_await source_.message(source, commit);
  boundary_.leave(Port::source, "message", commit);
  co_return text;
}

Task<std::string> SimSource::resolve(domain::GitSource source, std::string ref) {
  co_await boundary_.enter(Port::source, "resolve", ref);
  auto commit = co_await source_.resolve(source, ref);
  boundary_.leave(Port::source, "resolve", ref);
  co_return commit;
}

Task<std::unique_ptr<ports::SourceTree>> SimSource::tree(domain::GitSource source, std::string commit) {
  co_await boundary_.enter(Port::source, "tree", commit);
  auto tree = co_await source_.tree(source, commit);
  boundary_.leave(Port::source, "tree", commit);
  co_return tree;
}

namespace {

std::string shown(const std::vector<ports::Route>& routes) {
  std::string text;
  for (const auto& route : routes) {
    text += (text.empty() ? "" : ", ") + route.service + ":";
    for (const auto& target : route.targets) text += " " + target.address;
  }
  return text;
}

/// True for as long as it is in scope.
struct Within {
  explicit Within(bool& flag) : inside(flag) { inside = true; }
  ~Within() { inside = false; }
  Within(const Within&) = delete;
  bool& inside;
};

}  // namespace

Task<ports::SwitchReport> SimProxy::apply(std::vector<ports::Route> routes) {
  if (applying_) watch_.broken("two changes of Nginx at once");
  const Within turn(applying_);
  const auto text = shown(routes);
  co_await boundary_.enter(Port::proxy, "apply", text);
  const auto before = proxy_.live;
  auto report = co_await proxy_.apply(std::move(routes));
  stage_.nginx_connected = true;
  watch_.after_apply(before);
  boundary_.leave(Port::proxy, "apply", text);
  co_return report;
}

Task<bool> SimProxy::wait_retired_workers(milliseconds limit) {
  co_await boundary_.enter(Port::proxy, "wait_retired_workers", "");
  const auto left = std::chrono::ceil<milliseconds>(stage_.workers_retired_at() - stage_.world.clock.elapsed());
  const auto wait = std::clamp(left, milliseconds(0), std::max(limit, milliseconds(0)));
  if (wait.count() > 0) co_await stage_.world.clock.sleep_for(wait);
  boundary_.leave(Port::proxy, "wait_retired_workers", "");
  co_return left <= wait;
}

Task<int> SimProxy::workers_shutting_down() {
  co_await boundary_.enter(Port::proxy, "workers_shutting_down", "");
  const bool some = stage_.workers_retired_at() > stage_.world.clock.elapsed();
  boundary_.leave(Port::proxy, "workers_shutting_down", "");
  co_return some ? 1 : 0;
}

Task<ports::Verdict> SimProber::ask(std::string host, std::uint16_t, std::string path, std::chrono::milliseconds) {
  co_await boundary_.enter(Port::prober, "ask", host + path);
  ports::Verdict verdict{true, "answered 200"};
  try {
    boundary_.leave(Port::prober, "ask", host + path);
  } catch (const Error& error) {  // the port never throws for a bad answer
    verdict = {false, error.message()};
  }
  co_return verdict;
}

Task<ports::Verdict> SimProber::prove(std::string container_id, ports::Endpoint endpoint, domain::HealthCheck check,
                                      std::function<void(std::string_view)> on_note) {
  co_await boundary_.enter(Port::prober, "prove", container_id.substr(0, 8) + " " + endpoint.address);
  auto verdict = look(container_id, endpoint);
  if (!verdict.healthy) {
    co_await stage_.world.clock.sleep_for(std::chrono::seconds(20));  // its deadline
    verdict = look(container_id, endpoint);
  }
  if (verdict.healthy && check.min_healthy.count() > 0) {
    watch_.proved(container_id);
    if (stage_.dies_in_traffic(container_id)) {
      // What was there before it is as good as ever, and the rollout has to see to it that it gets the traffic back.
      watch_.disturbed(stage_.service_of(container_id));
      stage_.die(container_id);
    }
    co_await stage_.world.clock.sleep_for(check.min_healthy);
    verdict = look(container_id, endpoint);
  }
  try {
    boundary_.leave(Port::prober, "prove", endpoint.address + " " + verdict.reason);
  } catch (const Error& error) {  // the port never throws for a target that is not healthy
    verdict = {false, error.message()};
    watch_.found_unhealthy(container_id);
  }
  if (verdict.healthy) watch_.proved(container_id);
  if (on_note) on_note(verdict.reason);
  co_return verdict;
}

ports::Verdict SimProber::look(const std::string& container_id, const ports::Endpoint& endpoint) const {
  const auto* container = stage_.at_address(endpoint.address);
  if (container == nullptr || container->container.id != container_id) return {false, "nothing answers there"};
  if (!stage_.healthy(*container)) return {false, "it answered 503"};
  return {true, "answered 200"};
}

}  // namespace deploy::sim
