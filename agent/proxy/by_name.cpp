#include "agent/proxy/by_name.hpp"

#include <algorithm>

#include "agent/domain/labels.hpp"

namespace deploy::proxy {

Task<ports::SwitchReport> ByName::apply(std::vector<ports::Route>) {
  ports::SwitchReport report;
  report.proxied = false;
  co_return report;
}

Task<bool> ByName::wait_retired_workers(std::chrono::milliseconds) { co_return true; }

Task<int> ByName::workers_shutting_down() { co_return 0; }

Task<std::vector<ports::Endpoint>> ByName::routed() {
  std::vector<ports::Endpoint> endpoints;
  const ports::Labels ours{{domain::labels::instance, instance_}};
  const auto containers = co_await engine_.list(ours);
  for (const auto& container : containers) {
    if (container.name != domain::labels::text(container.labels, domain::labels::service)) continue;
    const auto inspected = co_await engine_.inspect(container.id);
    if (!inspected) continue;
    const auto& networks = inspected->networks;
    const auto found = std::find_if(networks.begin(), networks.end(),
                                    [&](const auto& endpoint) { return endpoint.network == routing_network_; });
    if (found != networks.end()) endpoints.push_back({found->address, 0});
  }
  std::sort(endpoints.begin(), endpoints.end());
  co_return endpoints;
}

}  // namespace deploy::proxy
