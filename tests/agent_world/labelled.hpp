// Containers that carry our labels and that the agent under test did not make.
#pragma once

#include <string>

#include "agent/domain/labels.hpp"
#include "tests/agent_world/world.hpp"

namespace deploy::tests {

/// Starts a container with our label and these words, as another state folder's agent did. Returns its name.
inline std::string add_container(World& world, const std::string& name, const ports::Labels& labels,
                                 const std::string& address) {
  ports::ContainerSpec spec;
  spec.name = name;
  spec.image = "registry/backend:v1";
  spec.labels = labels;
  spec.network.network = "internal";
  const auto id = run_virtual(world.clock, world.engine.create(spec));
  ports::NetworkEndpoint endpoint;
  endpoint.network = "deployctl";
  endpoint.address = address;
  run_virtual(world.clock, world.engine.connect(id, endpoint));
  run_virtual(world.clock, world.engine.start(id));
  return name;
}

inline ports::Labels labels_of(const std::string& service, const std::string& revision, int rollout, int target) {
  return {{domain::labels::instance, "instance-1"},
          {domain::labels::service, service},
          {domain::labels::revision, revision},
          {domain::labels::rollout, std::to_string(rollout)},
          {domain::labels::target, std::to_string(target)}};
}

}  // namespace deploy::tests
