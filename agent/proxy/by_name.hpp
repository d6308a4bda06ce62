// Where there is no proxy: callers find a service by its container's name, which moves with `route: dns` (see
// rollout/traffic_effects). So there is nothing to switch here, and who has the requests is read from the names.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "agent/ports/container_engine.hpp"
#include "agent/ports/upstream_proxy.hpp"

namespace deploy::proxy {

/// One thread. The engine must outlive it.
class ByName final : public ports::UpstreamProxy {
 public:
  ByName(ports::ContainerEngine& engine, std::string instance, std::string routing_network)
      : engine_(engine), instance_(std::move(instance)), routing_network_(std::move(routing_network)) {}

  Task<ports::SwitchReport> apply(std::vector<ports::Route> routes) override;
  Task<ports::SwitchReport> reload_users_files(std::vector<ports::Route> routes, ports::UsersChange change) override;
  Task<void> rehearse() override { co_return; }
  Task<bool> wait_retired_workers(std::chrono::milliseconds limit) override;
  Task<int> workers_shutting_down() override;
  /// Containers of this installation that have their service's name, with port 0: a name leads to every port.
  Task<std::vector<ports::Endpoint>> routed() override;

 private:
  ports::ContainerEngine& engine_;
  std::string instance_;
  std::string routing_network_;
};

}  // namespace deploy::proxy
