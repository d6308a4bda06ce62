// Where the users' Nginx runs, and how it is reached there: found, connected to the routing network, tested, told to
// reload, and its processes looked at. Knows nothing of upstream files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/ports/container_engine.hpp"
#include "agent/ports/process_runner.hpp"
#include "agent/proxy/config_dump.hpp"
#include "agent/proxy/worker_watch.hpp"

namespace deploy::proxy {

/// An Nginx that runs: another start of it has another id or another process.
struct RunningNginx {
  std::string id;
  std::int64_t pid = 0;                          // of the master, as this host counts
  std::vector<ports::NetworkEndpoint> networks;  // of a container
};

/// One call at a time.
class NginxPlace {
 public:
  struct Test {
    bool passed = false;
    std::string output;  // Nginx's own words; where it passed, also the whole configuration
  };

  virtual ~NginxPlace() = default;

  /// For messages: "in container nginx".
  virtual std::string text() const = 0;
  /// For messages: what to do so that Nginx reads the folder.
  virtual std::string how_to_include(const std::filesystem::path& folder) const = 0;

  /// Throws Error: not_found (there is none), unreachable (it does not run).
  virtual Task<RunningNginx> find() = 0;
  /// nullopt where it does not run.
  virtual Task<std::optional<RunningNginx>> find_running() = 0;

  /// Connects it to `network` with this address and at least these names, and none of `others`, which lead elsewhere.
  /// Returns what was done, in words; empty: nothing had to be.
  virtual Task<std::string> join(RunningNginx nginx, std::string network, std::string address,
                                 std::set<std::string> aliases, std::set<std::string> others) = 0;

  /// `nginx -T -q` with the paths that the running Nginx was started with. Throws Error(failed) where there is no
  /// program `nginx`.
  virtual Task<Test> test(std::string id, std::string master_title) = 0;

  /// `nginx -v`.
  virtual Task<NginxVersion> version(std::string id) = 0;

  /// Asks the master to load its configuration again; it does so later, or not at all.
  virtual Task<void> reload(RunningNginx nginx) = 0;

  /// Throws Error(invalid) where the process is not Nginx's master.
  virtual Task<Workers> workers(RunningNginx nginx) = 0;

  /// For messages: why it did not load its configuration, or who knows; empty where nobody does.
  virtual Task<std::string> why_not_loaded(std::string id) = 0;
};

/// In this container, or on this host where that is empty. What it is given must outlive it.
std::unique_ptr<NginxPlace> nginx_place(ports::ContainerEngine& engine, ports::ProcessRunner& runner,
                                        const std::string& container, const std::filesystem::path& pid_file);

/// The arguments of a master's title that say which configuration it reads: -c, -p, with their values.
std::vector<std::string> path_arguments(const std::string& master_title);

}  // namespace deploy::proxy
