#include "agent/daemon/site_setup.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <utility>

#include "agent/base/error.hpp"
#include "agent/base/memory.hpp"
#include "agent/config/missing.hpp"
#include "agent/config/variables.hpp"
#include "agent/daemon/identity.hpp"
#include "agent/domain/labels.hpp"

namespace deploy::daemon {

namespace {

constexpr auto host_routes = "/proc/net/route";

Task<std::string> subnet_for(ports::ContainerEngine& engine, store::Database& database,
                             const config::AgentConfig& agent) {
  if (!agent.routing.subnet.empty()) co_return agent.routing.subnet;
  if (const auto known = database.meta("subnet")) co_return *known;
  std::ifstream file(host_routes);
  const std::string table{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  auto taken = proxy::parse_host_routes(table);
  const auto networks = co_await engine.networks();
  for (const auto& network : networks) {
    taken.insert(taken.end(), network.subnets.begin(), network.subnets.end());
  }
  const auto subnet = proxy::choose_subnet(taken);
  database.set_meta("subnet", subnet);
  co_return subnet;
}

/// With a new or lost state folder, the installation that made the routing network is gone on with: its containers are
/// adopted then. Its subnet is kept, too, because their addresses are in it.
Task<std::string> instance_of(ports::ContainerEngine& engine, store::Database& database, std::string routing_network) {
  if (!database.meta("instance")) {
    const auto network = co_await engine.inspect_network(routing_network);
    const auto label = network ? network->labels.find(domain::labels::instance) : ports::Labels::const_iterator{};
    if (network && label != network->labels.end()) {
      spdlog::warn("the state folder knows no installation; going on with the one that made the network {}",
                   routing_network);
      database.transaction([&] {
        database.set_meta("instance", label->second);
        if (!network->subnets.empty()) database.set_meta("subnet", network->subnets.front());
      });
    }
  }
  co_return instance_id(database);
}

}  // namespace

rollout::Resolve with_hosts(std::vector<std::string> hosts) {
  return [hosts = std::move(hosts)](const domain::Service& service) {
    auto settings = config::resolve(service);
    auto& known = settings.container.extra_hosts;
    for (const auto& host : hosts) {
      const auto name = host.substr(0, host.find(':') + 1);
      const bool taken =
          std::any_of(known.begin(), known.end(), [&](const auto& own) { return own.starts_with(name); });
      if (!taken) known.push_back(host);
    }
    return settings;
  };
}

Task<SiteAddresses> prepare_site(ports::ContainerEngine& engine, store::Database& database,
                                 const config::Configuration& configuration, std::filesystem::path state) {
  const auto& agent = configuration.agent;
  const auto version = co_await engine.version();
  const auto shared = co_await engine.inspect_network(agent.network);
  if (!shared) {
    throw Error(ErrorKind::not_found, config::missing_network(agent.network));
  }
  rollout::Site site;
  site.instance = co_await instance_of(engine, database, agent.routing.network);
  site.key = installation_key(state);
  site.network = agent.network;
  site.routing_network = agent.routing.network;
  site.state = state;
  site.saved = state;
  site.keep_free_bytes = agent.disk.keep_free_bytes;
  site.memory = {available_memory, agent.memory.keep_free_bytes, agent.memory.waits};
  if (agent.nginx) site.workers_leaving = agent.nginx->workers_leaving;

  const auto subnet = co_await subnet_for(engine, database, agent);
  const ports::Labels labels{{domain::labels::instance, site.instance}};
  const bool created = co_await proxy::ensure_network(engine, site.routing_network, subnet, labels);
  if (created) spdlog::info("created the network {} with the subnet {}", site.routing_network, subnet);
  spdlog::info("Docker Engine {}, API {}", version.engine, version.api);

  SiteAddresses addresses{std::move(site), proxy::RoutingPlan(subnet), std::nullopt, {}};
  if (!agent.nginx) co_return addresses;
  auto& nginx = addresses.nginx.emplace();
  nginx.upstreams = agent.nginx->upstreams;
  nginx.marker_port = agent.nginx->marker_port;
  nginx.network = addresses.site.routing_network;
  nginx.on_host = agent.nginx->container.empty();
  nginx.address = nginx.on_host ? addresses.routing.bridge_address() : addresses.routing.nginx_address();
  nginx.subnet = subnet;
  for (const auto& service : configuration.services) {
    if (service.proxy.dns) continue;
    nginx.aliases.push_back(service.name);
    if (service.proxy.port == 0) continue;
    if (nginx.on_host) {
      addresses.service_hosts.push_back(service.name + ":" + nginx.address);
    } else {
      addresses.site.links[service.name] = agent.nginx->container;
    }
  }
  co_return addresses;
}

}  // namespace deploy::daemon
