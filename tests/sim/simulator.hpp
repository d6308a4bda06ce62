// One seed: a whole agent with fakes in virtual time, deliveries and commands at random, failures of every call, deaths
// at every boundary, restarts; and what must be true all the while and afterwards. Everything follows from the seed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace deploy::sim {

struct Outcome {
  std::optional<std::string> violation;  // which promise was broken
  std::uint64_t digest = 0;              // of everything that happened: the same for the same seed
  std::vector<std::string> trace;        // where it was asked for
  int lives = 0;                         // of the agent
  int crashes = 0;
  int faults = 0;
  int rollouts = 0;
};

Outcome simulate(std::uint64_t seed, bool keep_trace);

}  // namespace deploy::sim
