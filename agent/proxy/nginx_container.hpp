// The users' Nginx container as the container engine shows it: found, connected to the routing network, tested,
// signalled, and its processes looked at. Knows nothing of upstream files. Uses one engine; one call at a time.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "agent/ports/container_engine.hpp"
#include "agent/proxy/config_dump.hpp"
#include "agent/proxy/worker_watch.hpp"

namespace deploy::proxy {

class NginxContainer {
 public:
  NginxContainer(ports::ContainerEngine& engine, std::string name) : engine_(engine), name_(std::move(name)) {}

  const std::string& name() const noexcept { return name_; }

  /// The running container. Throws Error: not_found (there is none of that name), unreachable (it does not run),
  /// invalid (its first process is not Nginx).
  Task<ports::Container> find();

  /// Connects it to `network` with this address and at least these names. A connected endpoint cannot be given a name,
  /// so it is disconnected and connected again where one is missing. Returns whether anything was done.
  Task<bool> join(ports::Container container, std::string network, std::string address, std::set<std::string> aliases);

  struct Test {
    bool passed = false;
    std::string output;  // Nginx's own words; where it passed, also the whole configuration
  };
  /// `nginx -T -q` with the paths that the running Nginx was started with. Throws Error(failed) where there is no
  /// `nginx` inside.
  Task<Test> test(std::string id, std::string master_title);

  /// `nginx -v`.
  Task<NginxVersion> version(std::string id);

  /// Asks the master to load its configuration again; it does so later, or not at all.
  Task<void> reload(std::string id);

  Task<Workers> workers(ports::Container container);

  /// The newest line with which Nginx said why it cannot go on; empty where its log has none.
  Task<std::string> last_emergency(std::string id);

 private:
  ports::ContainerEngine& engine_;
  std::string name_;
};

/// The arguments of a master's title that say which configuration it reads: -c, -p, with their values.
std::vector<std::string> path_arguments(const std::string& master_title);

}  // namespace deploy::proxy
