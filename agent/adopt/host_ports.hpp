// Ports of the host that services published, on their way to Nginx: each waits while a container has it that is needed.
// The container that a service had before deployd goes on answering on its ports after the first rollout, and is no
// longer needed then. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "agent/adopt/survey.hpp"

namespace deploy::adopt {

/// A container from before deployd that goes on answering on ports of the host, though its service has had a rollout.
struct PortHolder {
  std::string id;
  std::string name;
  std::vector<std::uint16_t> ports;
  std::chrono::seconds grace{10};  // its own, for its stop
};

struct PortHandOver {
  std::string servers;                 // of Nginx, for the ports that it gets
  std::vector<std::string> published;  // by Nginx's container then, e.g. "8100:8100"
  std::vector<std::string> changed;    // in words
  std::vector<PortHolder> holders;     // that have to go for it
  std::vector<WaitingPort> waiting;    // that go on waiting
};

PortHandOver hand_over_ports(const Survey& survey);

}  // namespace deploy::adopt
