// Where a container is not as deployd made it, because somebody changed it by hand. The engine lets people change its
// name, its networks, its restart policy and its limits; image, command, environment and mounts of a container that is
// there stay as they were made. Pure functions.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/domain/rollout.hpp"
#include "agent/ports/container_engine.hpp"

namespace deploy::rollout {

/// What was changed in a target's container that runs, each as "its memory limit is 1024, and not 2048"; empty:
/// nothing. `config`: what the target was made with; nullopt where that is not known, and its settings are not
/// compared.
std::vector<std::string> changed_by_hand(const ports::Container& container, const domain::Target& target,
                                         const std::optional<domain::Service>& config,
                                         const std::string& routing_network);

}  // namespace deploy::rollout
