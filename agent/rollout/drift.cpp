#include "agent/rollout/drift.hpp"

#include <fmt/format.h>

#include <cmath>

namespace deploy::rollout {

namespace {

constexpr double tolerance = 1e-6;

std::string limit_text(auto limit) { return limit == 0 ? "none" : fmt::format("{}", limit); }

/// The engine says "on-failure" where no number of tries was given, and where it was 0.
std::string policy(const std::string& restart) {
  return restart.ends_with(":0") ? restart.substr(0, restart.size() - 2) : restart;
}

/// The engine cannot take a limit away again, but ignores one where its host cannot limit.
bool differs(double limit, double made) { return limit != 0 && std::abs(limit - made) > tolerance; }

void compare_settings(const ports::Container& container, const domain::ContainerSettings& made,
                      std::vector<std::string>& changed) {
  if (differs(static_cast<double>(container.memory_bytes), static_cast<double>(made.memory_bytes))) {
    changed.push_back(fmt::format("its memory limit is {}, and not {}", limit_text(container.memory_bytes),
                                  limit_text(made.memory_bytes)));
  }
  if (differs(container.cpus, made.cpus)) {
    changed.push_back(
        fmt::format("its limit of CPUs is {}, and not {}", limit_text(container.cpus), limit_text(made.cpus)));
  }
  if (policy(container.restart) != policy(made.restart)) {
    changed.push_back(fmt::format("its restart policy is {}, and not {}", container.restart, made.restart));
  }
}

void compare_networks(const ports::Container& container, const domain::Target& target,
                      const std::string& routing_network, std::vector<std::string>& changed) {
  const auto& shared = container.network_mode;  // that it was created on
  bool on_shared = false;
  bool on_routing = false;
  for (const auto& endpoint : container.networks) {
    if (endpoint.network == routing_network) {
      on_routing = true;
      if (endpoint.address != target.address) {
        changed.push_back(fmt::format("its address on the network {} is {}, and not {}", routing_network,
                                      endpoint.address, target.address));
      }
    } else if (endpoint.network == shared) {
      on_shared = true;
    } else {
      changed.push_back(fmt::format("it is on the network {}, too", endpoint.network));
    }
  }
  if (!on_shared) changed.push_back(fmt::format("it is not on the network {} any more", shared));
  if (!on_routing) {
    changed.push_back(
        fmt::format("it is not on the network {} any more, so that no request reaches it", routing_network));
  }
}

}  // namespace

std::vector<std::string> changed_by_hand(const ports::Container& container, const domain::Target& target,
                                         const std::optional<domain::Service>& config,
                                         const std::string& routing_network) {
  std::vector<std::string> changed;
  if (container.name != target.container_name) {
    changed.push_back(fmt::format("its name is {}, and not {}", container.name, target.container_name));
  }
  if (config) compare_settings(container, config->container, changed);
  compare_networks(container, target, routing_network, changed);
  return changed;
}

}  // namespace deploy::rollout
