// A service as its file in deploy.d describes it. Pure data: what a revision keeps of its configuration.
// Strings of `container` and `source.git.args` may hold ${VAR}, resolved only when a container or image is made, so
// that a secret is never stored.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "agent/domain/hook.hpp"

namespace deploy::domain {

enum class Trigger { push, workflow_run, registry_package, manual };
enum class StrategyKind { rolling, blue_green, recreate };
/// Which rollouts of a service a newer commit takes the place of.
enum class Supersede {
  running,  // those that have not switched yet
  queued,   // only those that have not begun
};

/// Where the commits are, and how an image is built from one. Source: Engine API, POST /build.
struct GitSource {
  std::string url;                        // https://, ssh://, git@host:path, file://
  std::string ssh_key;                    // path of a private key file; empty: none
  std::string ssh_known_hosts;            // path of a known_hosts file; required with ssh
  std::string token_env;                  // name of the environment variable that holds an HTTPS token; empty: none
  std::string context = ".";              // folder inside the repository
  std::string dockerfile = "Dockerfile";  // relative to the context
  std::string target;                     // build stage; empty: the last
  std::map<std::string, std::string> args;
  bool operator==(const GitSource&) const = default;
};

struct Source {
  std::optional<GitSource> git;
  std::string image;  // reference with {sha}, {tag} or {branch}; empty: build from git
  bool operator==(const Source&) const = default;
};

/// Another repository whose commits make the service be built, or pulled, again.
struct OtherRepository {
  std::string repo;  // owner/name as GitHub names it
  std::string branch = "main";
  Trigger trigger = Trigger::push;  // or workflow_run
  std::vector<std::string> workflows;
  std::optional<GitSource> git;    // its address and how to log in; none: its commits are known by webhooks alone
  std::vector<std::string> paths;  // a commit that changes nothing below them changes nothing; empty: all
  bool operator==(const OtherRepository&) const = default;
};

/// A port of the host that leads to one of the container.
struct PublishedPort {
  std::string address;  // of the host; empty: all
  std::uint16_t host = 0;
  std::uint16_t container = 0;
  std::string protocol = "tcp";  // or udp
  bool operator==(const PublishedPort&) const = default;
};

/// A device of the host in the container.
struct Device {
  std::string host;  // path
  std::string container;
  std::string permissions = "rwm";  // read, write, mknod
  bool operator==(const Device&) const = default;
};

/// A HEALTHCHECK in place of the image's own, or parts of it: what is empty or 0 is as the image has it.
struct ContainerHealthcheck {
  std::vector<std::string> test;  // "CMD" and words, "CMD-SHELL" and a text, or "NONE"
  std::chrono::milliseconds interval{0};
  std::chrono::milliseconds timeout{0};
  std::chrono::milliseconds start_period{0};
  int retries = 0;
  bool operator==(const ContainerHealthcheck&) const = default;
};

/// -1: no limit.
struct Ulimit {
  std::int64_t soft = 0;
  std::int64_t hard = 0;
  bool operator==(const Ulimit&) const = default;
};

/// Devices that a driver hands out, such as GPUs. Source: Engine API, DeviceRequest.
struct DeviceRequest {
  std::string driver;  // empty: the engine chooses by capabilities
  int count = 0;       // -1: all; 0: those in `ids`
  std::vector<std::string> ids;
  std::vector<std::string> capabilities;
  std::map<std::string, std::string> options;
  bool operator==(const DeviceRequest&) const = default;
};

/// The part of Compose's vocabulary that a container is created with.
struct ContainerSettings {
  std::map<std::string, std::string> environment;
  std::vector<std::string> command;     // empty: the image's own
  std::vector<std::string> entrypoint;  // empty: the image's own
  std::string user;
  std::string working_dir;
  std::vector<std::string> volumes;      // "source:/target[:ro]", source a host path or a volume's name
  std::vector<std::string> extra_hosts;  // "name:address", address may be host-gateway
  std::vector<std::string> tmpfs;
  std::vector<PublishedPort> ports;
  std::vector<Device> devices;
  std::vector<std::string> pre_stop;  // a command that runs in the container before it is stopped
  std::string restart = "unless-stopped";
  std::string log_driver;  // empty: the engine's default
  std::map<std::string, std::string> log_options;
  std::map<std::string, std::string> labels;
  std::int64_t memory_bytes = 0;  // 0: no limit
  double cpus = 0;                // 0: no limit
  bool init = false;
  std::string stop_signal;  // empty: the image's own
  std::chrono::seconds stop_grace_period{10};
  ContainerHealthcheck healthcheck;
  std::vector<std::string> networks;          // joined besides the shared one and the routing network
  std::map<std::string, Ulimit> ulimits;      // by name, e.g. "nofile"
  std::int64_t memory_reservation_bytes = 0;  // 0: none
  std::int64_t shm_bytes = 0;                 // of /dev/shm; 0: the engine's default
  std::int64_t pids_limit = 0;                // 0: none
  std::vector<std::string> group_add;
  std::vector<std::string> cap_add;
  std::vector<std::string> cap_drop;
  std::vector<std::string> security_opt;
  std::map<std::string, std::string> sysctls;
  std::vector<std::string> dns;
  std::vector<std::string> dns_search;
  std::vector<std::string> dns_options;
  std::vector<DeviceRequest> device_requests;
  bool privileged = false;
  bool read_only = false;  // its root file system
  std::string hostname;    // empty: the engine's choice, as below
  std::string pid;         // "host"
  std::string ipc;         // "host", "shareable", "private" or "none"
  std::string runtime;
  bool operator==(const ContainerSettings&) const = default;
};

/// When is a target healthy? When all of http, tcp, exec and log that are set say so; where none is, the image's
/// HEALTHCHECK is asked.
struct HealthCheck {
  std::string http;               // path of a GET request
  std::uint16_t port = 0;         // of http; the service's port if 0 in the file
  std::uint16_t tcp_port = 0;     // accepts a connection; 0: not asked
  std::vector<std::string> exec;  // run in the container: exits with 0
  std::string log;                // a part of a line of the container's log, once
  bool proved_before = false;  // trusted from the first answer on, its log not read again, not warmed up; never stored
  int expect_status = 200;
  std::map<std::string, std::string> expect_headers;  // name -> wanted value
  std::map<std::string, std::string> expect_json;     // JSON pointer (RFC 6901) -> JSON text of the wanted value
  std::string expect_body;                            // a part of the body
  std::chrono::milliseconds start_after{0};           // before the first probe
  std::chrono::milliseconds interval{1000};
  std::chrono::milliseconds timeout{5000};
  std::string warm_up_http;  // path of a request that is sent once the others say so; empty: none
  std::string warm_up_body;  // JSON that makes it a POST
  std::chrono::milliseconds warm_up_timeout{300000};  // until it is answered 2xx
  int successes = 1;
  int failures = 1;                          // in a row that end the trust in a target that was healthy
  std::chrono::milliseconds min_healthy{0};  // how long it must stay healthy after that
  std::chrono::milliseconds deadline{120000};
  bool operator==(const HealthCheck&) const = default;
};

/// The same check as a single question: is it healthy now?
HealthCheck asked_once(HealthCheck check);

/// How traffic reaches the service. `port` is the port inside the container; 0: the service takes no traffic.
struct ProxySettings {
  std::string upstream;  // name of the upstream block for traffic from outside; empty: none
  std::uint16_t port = 0;
  bool grpc = false;                    // other services call it with gRPC (HTTP/2 without TLS), not with HTTP/1.1
  bool dns = false;                     // other services find its container by name in Docker's DNS, not Nginx
  std::string server_parameters;        // after the address in each `server` line, e.g. "max_fails=3 fail_timeout=10s"
  std::vector<std::string> directives;  // further lines of the upstream block, e.g. "keepalive 32"
  bool operator==(const ProxySettings&) const = default;
};

struct Service {
  std::string name;
  std::string repo;  // owner/name as GitHub names it; empty: manual only
  std::string branch = "main";
  Trigger trigger = Trigger::push;
  std::vector<std::string> workflows;  // allowed workflow paths for workflow_run; empty: any
  Source source;
  std::vector<std::string>
      paths;  // of its repository: a commit that changes nothing below them changes nothing; empty: all
  std::vector<OtherRepository> rebuilt_by;
  std::vector<std::string> depends_on;
  std::vector<std::string> vars;  // env files for ${…}; not handed to the container
  ContainerSettings container;
  int replicas = 1;
  StrategyKind strategy = StrategyKind::rolling;
  int max_surge = 1;                  // rolling: how many targets there may be beyond `replicas`
  int max_unavailable = 0;            // rolling: how many of them may be out of traffic
  std::chrono::milliseconds bake{0};  // blue-green: how long the old targets stay warm after the switch
  HealthCheck health;
  ProxySettings proxy;
  std::chrono::milliseconds drain{30000};
  Hooks hooks;
  bool migrates_on_boot = false;  // a start of its app changes data in a way that an earlier version may not understand
  int retain = 3;                 // revisions kept for rollback
  Supersede supersede = Supersede::running;
  bool operator==(const Service&) const = default;
};

/// Stored and printed names; the strings never change.
std::string to_string(Trigger trigger);
std::string to_string(StrategyKind strategy);
std::optional<Trigger> trigger_from(const std::string& name);
std::optional<StrategyKind> strategy_from(const std::string& name);
std::string to_string(Supersede supersede);
std::optional<Supersede> supersede_from(const std::string& name);

/// The form in which a revision keeps its configuration. Keys that are absent read as their defaults, so that a later
/// version can read what an earlier one stored. Throws nlohmann::json::exception on a wrong type.
nlohmann::json to_json_value(const Service& service);
Service service_from_json(const nlohmann::json& value);

}  // namespace deploy::domain
