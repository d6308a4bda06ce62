// One seed: a whole agent with fakes in virtual time, deliveries and commands at random, failures of every call, deaths
// at every boundary, restarts; and what must be true all the while and afterwards. Everything follows from the seed.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tests/sim/boundary.hpp"

namespace deploy::sim {

struct Outcome {
  std::optional<std::string> violation;  // which promise was broken
  std::uint64_t digest = 0;              // of everything that happened: the same for the same seed
  std::vector<std::string> trace;        // where it was asked for
  int lives = 0;                         // of the agent
  int rollouts = 0;
  int bad_versions = 0;  // rollouts of versions that are never healthy, exit, or die in traffic, that ended
  int bad_promoted = 0;  // of those, but for what dies in traffic and had no bake
  std::map<std::string, Boundary::Count> counts;  // where the agent was killed, and what failed
};

Outcome simulate(std::uint64_t seed, bool keep_trace);

}  // namespace deploy::sim
