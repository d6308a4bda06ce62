// What /etc/deployctl holds: agent.yaml and one file a service in its `services` folder. docs/configuration.md
// describes every key; this is the definition. Reading blocks; any thread. User input never throws: it yields
// Diagnostics.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/config/diagnostics.hpp"
#include "agent/config/variables.hpp"
#include "agent/config/yaml_reader.hpp"
#include "agent/domain/config_change.hpp"
#include "agent/domain/registry_user.hpp"
#include "agent/domain/service.hpp"

namespace deploy::config {

struct SocketSettings {
  std::filesystem::path path = "/run/deployctl/deployd.sock";
  std::string group;  // that may use the socket; empty: the agent's own
  bool operator==(const SocketSettings&) const = default;
};

struct RoutingSettings {
  std::string network = "deployctl";
  std::string subnet;  // IPv4 CIDR; empty: chosen at the first start
  bool operator==(const RoutingSettings&) const = default;
};

/// Either address and port, or a socket.
struct WebhookSettings {
  std::string address;     // IPv4 or IPv6, without brackets; empty: unix_socket
  std::uint16_t port = 0;  // 0: any free one
  std::filesystem::path unix_socket;
  std::string path = "/hooks/github";
  std::vector<SecretSource> secrets;  // at least one; a signature by any of them is right
  bool operator==(const WebhookSettings&) const = default;
};

struct NginxSettings {
  std::string container;             // name of the container that Nginx runs in; empty: it runs on this host
  std::filesystem::path upstreams;   // folder on this host that Nginx includes
  std::uint16_t marker_port = 9145;  // where Nginx runs; in a container on the routing network
  int workers_leaving = 32;          // beyond so many workers that are shutting down a switch waits
  std::filesystem::path pid_file;    // of an Nginx on this host
  bool operator==(const NginxSettings&) const = default;
};

struct ReleaseSettings {
  std::chrono::milliseconds settle{5000};       // wait for more events after the last one
  std::chrono::milliseconds settle_max{60000};  // but never longer than this
  bool atomic = false;                          // when one of its rollouts fails, the others are taken back
  bool operator==(const ReleaseSettings&) const = default;
};

struct Limits {
  int builds = 1;                           // at a time
  int pulls = 3;                            // and fetches, at a time
  int rollouts = 2;                         // at a time
  std::chrono::milliseconds retry{120000};  // how long a step tries again to reach what does not answer
  bool operator==(const Limits&) const = default;
};

struct DiskSettings {
  std::int64_t keep_free_bytes = std::int64_t{1} << 30;  // a fetch, build or pull does not begin with less; 0: no check
  bool operator==(const DiskSettings&) const = default;
};

struct MemorySettings {
  std::int64_t keep_free_bytes = std::int64_t{64} << 20;  // no container is made with less; 0: no check
  bool waits = true;                                      // for other rollouts to end; else the rollout stops at once
  bool operator==(const MemorySettings&) const = default;
};

/// GitHub's API, for what polling asks of it.
struct GithubSettings {
  std::string api = "https://api.github.com";
  SecretSource token;
  bool operator==(const GithubSettings&) const = default;
};

/// A login for a registry.
struct RegistrySettings {
  std::string host;  // with its port; "docker.io" is Docker Hub
  std::string username;
  SecretSource password;
  bool operator==(const RegistrySettings&) const = default;
};

/// Every path is absolute or relative to the current folder as agent.yaml's own path was.
struct AgentConfig {
  std::filesystem::path state = "/var/lib/deployctl";
  SocketSettings socket;
  std::filesystem::path services = "deploy.d";
  std::string engine = "unix:///var/run/docker.sock";
  std::string network;
  RoutingSettings routing;
  std::optional<WebhookSettings> webhook;
  std::chrono::milliseconds poll{300000};  // between two looks for what no webhook told of; 0: never
  std::optional<GithubSettings> github;
  std::optional<domain::ConfigRepo> config_repo;
  std::optional<NginxSettings> nginx;  // nullopt: there is no proxy, and services are found by name
  ReleaseSettings release;
  Limits limits;
  std::vector<RegistrySettings> registries;
  std::filesystem::path docker_config = "/root/.docker/config.json";  // the Docker CLI's logins; need not be there
  DiskSettings disk;
  MemorySettings memory;
  bool operator==(const AgentConfig&) const = default;
};

/// `compose` of a service's file, in place of `container`: what the container is like stands in Compose's files, which
/// are read anew each time.
struct ComposeSource {
  std::vector<std::string> files;  // absolute paths
  std::string service;             // as these files call it
  std::vector<std::string> profiles;
  std::string project;                 // empty: Compose's own choice
  std::vector<std::string> ignore;     // paths of what deployctl cannot take over and the service does without
  std::vector<std::string> exclusive;  // what only one container at a time may have
  bool strategy_is_named = false;
  Place place;
};

struct Configuration {
  AgentConfig agent;
  std::vector<domain::Service> services;         // in the order of their files' names
  std::map<std::string, ComposeSource> compose;  // by service, of those that have it; their `container` is not complete
};

struct LoadResult {
  std::optional<Configuration> configuration;  // set exactly where there are no diagnostics
  Diagnostics diagnostics;
};

/// Reads agent.yaml and every *.yaml, *.yml and *.json of its services folder, and checks them against each other.
LoadResult load(const std::filesystem::path& agent_yaml);

/// The logins of `registries`; a password is read when it is asked for, and its errors are those of load_password.
std::vector<domain::RegistryUser> registry_users(const AgentConfig& agent);

/// A service file as read, with the places that checks across files point at.
struct ServiceFile {
  domain::Service service;
  Place name;
  Place upstream;
  Place port;
  Place container;
  std::vector<Place> depends_on;  // as service.depends_on
  Place replicas;
  std::optional<Place> strategy;  // nullopt: not named
  std::optional<Place> route;
  std::optional<ComposeSource> compose;
  std::vector<std::string> exclusive;  // what only one container at a time may have
  std::vector<Place> exclusive_at;
};

/// Reads agent.yaml's text. Relative paths become relative to the folder of `file`. `services_place` is where the
/// services folder is named. Nullopt where the text is no YAML map; else what could be read, and diagnostics for the
/// rest.
std::optional<AgentConfig> parse_agent(const std::string& file, const std::string& text, Diagnostics& diagnostics,
                                       Place& services_place);

/// The same for one service's file.
std::optional<ServiceFile> parse_service(const std::string& file, const std::string& text, Diagnostics& diagnostics);

}  // namespace deploy::config
