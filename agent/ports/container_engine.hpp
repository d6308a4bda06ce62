// The container engine, in the words of the Docker Engine API (v1.41).
// Every call has a deadline of its own and throws Error: unreachable (the engine does not answer), not_found, conflict,
// failed with the engine's own message. No call waits for ever but follow_logs, follow_events, build and pull, which
// end on cancellation.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/async.hpp"
#include "agent/domain/service.hpp"
#include "agent/ports/source_mirror.hpp"

namespace deploy::ports {

using Labels = std::map<std::string, std::string>;
/// A name, and the container that it leads to.
using Links = std::map<std::string, std::string>;
using OnLog = std::function<void(std::string_view line)>;

struct EngineVersion {
  std::string engine;       // e.g. "20.10.24"
  std::string api;          // the version in use: the lower of ours and the engine's
  std::string api_minimum;  // the lowest the engine accepts
};

struct DiskSpace {
  std::string folder;
  std::uint64_t free_bytes = 0;
};

struct NetworkEndpoint {
  std::string network;  // name
  std::string address;  // IPv4, dotted; in a request empty means automatic
  std::vector<std::string> aliases;
  /// In a request: what this container finds under a name on this network, before any other network is asked. While
  /// that container is not there the name is looked up as ever.
  Links links = {};
};

struct Container {
  std::string id;
  std::string name;  // without the leading slash
  std::string image_id;
  Labels labels;
  std::string state;          // created, running, paused, restarting, removing, exited, dead
  std::string health;         // none, starting, healthy, unhealthy
  std::string health_output;  // of the last probe of a HEALTHCHECK
  int exit_code = 0;
  int restart_count = 0;
  std::int64_t pid = 0;  // of its init on the engine's host; 0: not running
  bool tty = false;
  std::string restart;            // its policy, as ContainerSettings has it
  std::int64_t memory_bytes = 0;  // its limit; 0: none
  double cpus = 0;                // its limit; 0: none
  std::string network_mode;
  std::vector<NetworkEndpoint> networks;
};

struct ContainerSpec {
  std::string name;
  std::string image;
  Labels labels;
  domain::ContainerSettings settings;  // every ${…} resolved
  NetworkEndpoint network;             // connected at creation
};

struct Network {
  std::string id;
  std::string name;
  Labels labels;
  std::vector<std::string> subnets;        // CIDR
  std::vector<NetworkEndpoint> endpoints;  // of running containers: `network` holds the container's id
};

struct NetworkSpec {
  std::string name;
  std::string subnet;    // CIDR
  std::string ip_range;  // CIDR: automatic addresses come from here
  bool internal = false;
  Labels labels;
};

struct Image {
  std::string id;  // sha256:…
  std::vector<std::string> tags;
  std::vector<std::string> digests;  // repository@sha256:…
  Labels labels;
  bool has_healthcheck = false;
};

struct BuildRequest {
  std::shared_ptr<SourceTree> context;
  std::string dockerfile;  // path inside the context
  std::string target;      // empty: the last stage
  std::map<std::string, std::string> args;
  std::string tag;
  Labels labels;
  bool from_scratch = false;  // takes no step from the engine's cache
};

using OnData = std::function<void(std::string_view data)>;

/// A command in a container that runs.
struct ExecRequest {
  std::vector<std::string> argv;
  std::chrono::milliseconds deadline{0};
  std::map<std::string, std::string> environment = {};  // beside the container's own
  OnData on_output = {};  // gets standard output as it comes, and the result has standard error alone; empty: both
};

struct ExecResult {
  int exit_code = 0;
  std::string output;  // standard output and error, at most 64 KiB
};

struct ProcessEntry {
  std::int64_t pid = 0;  // on the engine's host
  std::int64_t parent = 0;
  std::string title;
};

/// Something happened to a container.
struct EngineEvent {
  std::string action;  // start, die, destroy, rename, health_status, …
  std::string container_id;
  std::string container_name;
  Labels labels;  // of the container
};
using OnEvent = std::function<void(const EngineEvent& event)>;

struct LogOptions {
  int tail = 100;       // lines from the end; -1: all
  bool follow = false;  // go on until the container ends or the call is cancelled
};

class ContainerEngine {
 public:
  virtual ~ContainerEngine() = default;

  virtual Task<EngineVersion> version() = 0;
  /// What happens to containers from now on, until the engine ends the stream. A hint only: the engine forgets events.
  virtual Task<void> follow_events(OnEvent on_event) = 0;
  /// Free bytes where the engine keeps images; nullopt where that cannot be seen from here (another host).
  virtual Task<std::optional<DiskSpace>> disk_space() = 0;

  /// Containers in any state that carry all these labels. `networks`, `health_output`, `exit_code`, `restart_count`,
  /// `pid`, `tty`, `restart` and the limits are not filled in.
  virtual Task<std::vector<Container>> list(Labels labels) = 0;
  /// By id or name; nullopt where there is none.
  virtual Task<std::optional<Container>> inspect(std::string id_or_name) = 0;
  /// Returns the id. Error(conflict) where the name is taken.
  virtual Task<std::string> create(ContainerSpec spec) = 0;
  /// Docker's DNS follows at once, on every network. Error(conflict) where the name is taken.
  virtual Task<void> rename(std::string id, std::string name) = 0;
  virtual Task<void> start(std::string id) = 0;
  /// Returns when it has ended, at most `grace` + 5 s later; already ended is fine. Empty signal: the container's own.
  virtual Task<void> stop(std::string id, std::chrono::seconds grace) = 0;
  virtual Task<void> signal(std::string id, std::string signal) = 0;
  /// Kills it first if it runs; removes anonymous volumes, too. Already gone is fine.
  virtual Task<void> remove(std::string id) = 0;
  /// Lines of both streams, in order, without the engine's framing; at most 64 KiB, the newest kept.
  virtual Task<std::vector<std::string>> log_tail(std::string id, int lines) = 0;
  virtual Task<void> follow_logs(std::string id, LogOptions options, OnLog on_line) = 0;
  virtual Task<ExecResult> exec(std::string id, ExecRequest request) = 0;
  /// `pid`: of its first process as inspect() gave it, which spares the engine a question; 0: not known.
  virtual Task<std::vector<ProcessEntry>> processes(std::string id, std::int64_t pid) = 0;
  /// Established TCP connections, IPv4 and IPv6, to this port inside the container; nullopt where the container's
  /// network namespace cannot be read from here.
  virtual Task<std::optional<int>> established_connections(std::string id, std::uint16_t port) = 0;

  /// Without their endpoints.
  virtual Task<std::vector<Network>> networks() = 0;
  virtual Task<std::optional<Network>> inspect_network(std::string name) = 0;
  virtual Task<void> create_network(NetworkSpec spec) = 0;
  /// Error(conflict) where it is connected already, or the address is taken.
  virtual Task<void> connect(std::string container_id, NetworkEndpoint endpoint) = 0;
  /// Not connected is fine.
  virtual Task<void> disconnect(std::string container_id, std::string network) = 0;

  /// Builds with BuildKit and returns the image's id. A failing command's own output reaches `on_log` and the error's
  /// message ends with its last lines.
  virtual Task<std::string> build(BuildRequest request, OnLog on_log) = 0;
  /// Pulls one reference; an empty tag means latest. Returns the image.
  virtual Task<Image> pull(std::string reference, OnLog on_log) = 0;
  /// The digest ("sha256:…") that the reference has at its registry now; nothing is pulled. Errors as of pull.
  virtual Task<std::string> remote_digest(std::string reference) = 0;
  virtual Task<std::optional<Image>> inspect_image(std::string reference) = 0;
  /// Images with all these labels; has_healthcheck is not filled in.
  virtual Task<std::vector<Image>> images(Labels labels) = 0;
  /// Untags, and removes the image with its last tag. In use or already gone is fine: returns whether something was
  /// removed.
  virtual Task<bool> remove_image(std::string reference) = 0;
};

}  // namespace deploy::ports
