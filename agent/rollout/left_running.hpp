// Containers from before deployd that answer on ports of the host which wait for Nginx. Two containers cannot have one
// port of the host, so whoever takes it from such a container takes it from its callers: the rollout that replaces its
// version leaves it running, until a person asks `deployctl init --write` to give its ports to Nginx. It gives its
// target's address back by then, and nothing of deployd's knows it any more. One thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "agent/base/async.hpp"
#include "agent/ports/container_engine.hpp"
#include "agent/rollout/journal.hpp"

namespace deploy::rollout {

class LeftRunning {
 public:
  struct Site {
    /// What `deployctl init` wrote, JSON: [{"service": "backend", "port": 8100}]; it need not be there. It is read anew
    /// each time, because `init` writes it again while deployd runs.
    std::filesystem::path list;
    std::string routing_network;
    ports::Links links;  // of Site
  };

  LeftRunning(ports::ContainerEngine& engine, Journal& journal, Site site)
      : engine_(engine), journal_(journal), site_(std::move(site)) {}

  /// The ports for which the target's container goes on running; empty: it goes like any other, as everything does that
  /// was not taken up. Throws Error where the list cannot be read: invalid (it is not what `init` writes), failed.
  std::vector<std::uint16_t> ports_of(const domain::Target& target) const;

  /// Its container gets an automatic address on the routing network, where its own is another target's from then on; it
  /// goes on calling the services by their names there. Returns false where it does not run, and has nothing to answer.
  /// Can be repeated.
  Task<bool> give_address_back(domain::Target target);

  /// What to do about each such container that still runs, a line for each port. Throws Error, as ports_of().
  Task<std::vector<std::string>> still_answered();

 private:
  struct Entry {
    std::string service;
    std::uint16_t port = 0;
  };
  std::vector<Entry> entries() const;

  ports::ContainerEngine& engine_;
  Journal& journal_;
  Site site_;
};

/// For the rollout that leaves it running.
std::string note_of_left_running(const std::string& container, const std::vector<std::uint16_t>& ports);

}  // namespace deploy::rollout
