// What has to be there on the engine before anything can be rolled out: the users' shared network, and our routing
// network.
#pragma once

#include <filesystem>

#include "agent/config/schema.hpp"
#include "agent/ports/container_engine.hpp"
#include "agent/proxy/nginx.hpp"
#include "agent/proxy/routing.hpp"
#include "agent/rollout/step_effects.hpp"
#include "agent/store/database.hpp"

namespace deploy::daemon {

struct SiteAddresses {
  rollout::Site site;
  proxy::RoutingPlan routing;
  std::optional<proxy::NginxSettings> nginx;  // nullopt: there is no proxy
  /// "name:address" of each service, where Nginx runs on this host and so has no names on the routing network.
  std::vector<std::string> service_hosts;
};

/// Chooses the routing subnet at the first start, clear of the host's routes and the engine's networks, and keeps it.
/// Throws Error: unreachable (the engine does not answer), not_found (no shared network), conflict (the routing network
/// is not ours).
Task<SiteAddresses> prepare_site(ports::ContainerEngine& engine, store::Database& database,
                                 const config::Configuration& configuration, std::filesystem::path state);

/// A container's settings with the services' names in its /etc/hosts; a name that the users set there is theirs. As
/// part of the settings they are part of a revision: a service that others have to know anew gets a new one.
rollout::Resolve with_hosts(std::vector<std::string> hosts);

}  // namespace deploy::daemon
