#include "agent/config/schema.hpp"

#include <algorithm>
#include <map>
#include <system_error>
#include <utility>

#include "agent/config/files_read.hpp"
#include "agent/config/scalars.hpp"
#include "agent/domain/order.hpp"

namespace deploy::config {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t service_files_max = 256;

void add(Diagnostics& diagnostics, const Place& place, std::string message, std::string hint) {
  diagnostics.add({place.file, place.line, place.column, place.key_path, std::move(message), std::move(hint)});
}

std::vector<fs::path> readable_service_files(const fs::path& folder, const Place& named_at, Diagnostics& diagnostics) {
  std::error_code problem;
  auto files = service_files(folder, problem);
  if (problem) {
    add(diagnostics, named_at, "the services folder " + folder.string() + " cannot be read: " + problem.message(),
        "create it, or set `services`");
  } else if (files.size() > service_files_max) {
    add(diagnostics, named_at,
        "the services folder " + folder.string() + " has more than " + std::to_string(service_files_max) + " files",
        "");
    files.clear();
  }
  return files;
}

std::string line_of(const Place& place) { return place.file + ":" + std::to_string(place.line); }

void check_duplicates(const std::vector<ServiceFile>& files, Diagnostics& diagnostics) {
  std::map<std::string, const Place*> services;
  std::map<std::string, const Place*> upstreams;
  std::map<std::string, const Place*> ports;
  std::map<std::string, const Place*> exclusive;
  auto check = [&](auto& seen, const std::string& name, const Place& place, const std::string& what) {
    if (name.empty()) return;
    auto [first, is_new] = seen.try_emplace(name, &place);
    if (!is_new)
      add(diagnostics, place, what + " `" + name + "` exists already", "the first is at " + line_of(*first->second));
  };
  for (const auto& file : files) {
    check(services, file.service.name, file.name, "a service with the name");
    check(upstreams, file.service.proxy.upstream, file.upstream, "an upstream with the name");
    for (const auto& port : file.service.container.ports) {
      const auto name =
          (port.address.empty() ? "" : port.address + ":") + std::to_string(port.host) + "/" + port.protocol;
      check(ports, name, file.container, "a service that publishes the host's port");
    }
    for (std::size_t index = 0; index < file.exclusive.size(); ++index) {
      check(exclusive, file.exclusive[index], file.exclusive_at[index], "a service that has to itself");
    }
  }
}

/// `names` begins with what files that could not be read are probably about, so that one mistake is not reported twice.
void check_dependencies(const std::vector<ServiceFile>& files, std::vector<std::string> names,
                        Diagnostics& diagnostics) {
  std::vector<domain::Service> services;
  for (const auto& file : files) {
    services.push_back(file.service);
    names.push_back(file.service.name);
  }
  for (const auto& file : files) {
    for (std::size_t index = 0; index < file.depends_on.size(); ++index) {
      const auto& name = file.service.depends_on[index];
      if (std::ranges::find(names, name) != names.end()) continue;
      auto hint = suggestion(name, names);
      add(diagnostics, file.depends_on[index], "`depends_on` names the service `" + name + "`, which does not exist",
          hint.empty() ? "each service that is named here has a file of its own in `services`; databases and the like "
                         "are not named"
                       : hint);
    }
  }
  for (const auto& cycle : domain::dependency_cycles(services)) {
    for (const auto& file : files) {
      auto next = std::ranges::find(file.service.depends_on, cycle[1]);
      if (file.service.name != cycle[0] || next == file.service.depends_on.end()) continue;
      const auto& place = file.depends_on[static_cast<std::size_t>(next - file.service.depends_on.begin())];
      add(diagnostics, place, "services depend on each other in a circle: " + domain::cycle_text(cycle),
          "remove one of these from `depends_on`");
      break;
    }
  }
}

/// gRPC needs HTTP/2 without TLS, which Nginx knows by the port.
void check_grpc_ports(const std::vector<ServiceFile>& files, Diagnostics& diagnostics) {
  for (const auto& file : files) {
    const auto& proxy = file.service.proxy;
    if (!proxy.grpc || proxy.dns) continue;
    const auto other = std::ranges::find_if(files, [&](const ServiceFile& candidate) {
      return &candidate != &file && !candidate.service.proxy.dns && candidate.service.proxy.port == proxy.port;
    });
    if (other == files.end()) continue;
    add(diagnostics, file.port, "the port of a service with `protocol: grpc` must be its own",
        "service `" + other->service.name + "` has it, too: " + line_of(other->port));
  }
}

void check_marker_port(const std::vector<ServiceFile>& files, const NginxSettings& nginx, Diagnostics& diagnostics) {
  for (const auto& file : files) {
    if (file.service.proxy.port != nginx.marker_port) continue;
    add(diagnostics, file.port, "`proxy.port` is Nginx's marker port " + std::to_string(nginx.marker_port),
        "set another `proxy.nginx.marker_port` in agent.yaml");
  }
}

/// Where there is no Nginx, callers find a service by its container's name, so there is one container at a time unless
/// its file says that a gap of some milliseconds will do.
void find_by_name(std::vector<ServiceFile>& files, Diagnostics& diagnostics) {
  const std::string none = "agent.yaml has no `proxy.nginx`";
  for (auto& file : files) {
    auto& service = file.service;
    if (service.proxy.port == 0) continue;
    if (!service.proxy.upstream.empty()) {
      add(diagnostics, file.upstream, "`proxy.upstream` cannot be used: " + none,
          "requests from outside reach a container by `container.ports`");
    }
    if (service.replicas != 1) {
      add(diagnostics, file.replicas, "`replicas` must be 1 for a service with a `proxy.port`: " + none,
          "a name leads to one container");
    }
    if (file.route && !service.proxy.dns) {
      add(diagnostics, *file.route, "`proxy.route` cannot be `nginx`: " + none, "leave it out, or write `dns`");
    }
    if (!file.strategy && !file.route) service.strategy = domain::StrategyKind::recreate;
    service.proxy.dns = true;
  }
}

}  // namespace

std::vector<domain::RegistryUser> registry_users(const AgentConfig& agent) {
  std::vector<domain::RegistryUser> users;
  for (const auto& registry : agent.registries) {
    domain::RegistryUser user{registry.host, registry.username, {}};
    user.password = [registry] { return load_password(registry.password, registry.host); };
    users.push_back(std::move(user));
  }
  return users;
}

LoadResult load(const fs::path& agent_yaml) {
  LoadResult result;
  auto& diagnostics = result.diagnostics;
  auto text = read_text(agent_yaml.string(), diagnostics, "check the path, or pass --config");
  if (!text) return result;
  Place services_place;
  auto agent = parse_agent(agent_yaml.string(), *text, diagnostics, services_place);
  if (!agent) return result;
  std::vector<ServiceFile> files;
  std::vector<std::string> unread;
  for (const auto& path : readable_service_files(agent->services, services_place, diagnostics)) {
    auto service_text = read_text(path.string(), diagnostics);
    auto file = service_text ? parse_service(path.string(), *service_text, diagnostics) : std::nullopt;
    if (!file || file->service.name.empty()) unread.push_back(path.stem().string());
    if (file) files.push_back(std::move(*file));
  }
  check_duplicates(files, diagnostics);
  check_dependencies(files, std::move(unread), diagnostics);
  check_grpc_ports(files, diagnostics);
  if (agent->nginx) {
    check_marker_port(files, *agent->nginx, diagnostics);
  } else {
    find_by_name(files, diagnostics);
  }
  if (!diagnostics.empty()) return result;
  result.configuration = Configuration{std::move(*agent), {}, {}};
  for (auto& file : files) {
    if (file.compose) result.configuration->compose[file.service.name] = std::move(*file.compose);
    result.configuration->services.push_back(std::move(file.service));
  }
  return result;
}

}  // namespace deploy::config
