// A strategy turns the world (how many old targets there are) and the wish (how many new ones are wanted) into a list
// of steps. Pure: it knows no containers, addresses or clocks. Recovery reads the stored list and never plans it again.
#pragma once

#include <string>
#include <vector>

#include "agent/domain/rollout.hpp"
#include "agent/domain/service.hpp"

namespace deploy::strategies {

/// A target of the list: the n-th new one or the n-th old one, from 0.
struct Slot {
  enum class Side { fresh, old };
  Side side = Side::fresh;
  int index = 0;
  bool operator==(const Slot&) const = default;
};

struct PlannedStep {
  domain::StepKind kind;
  std::vector<Slot> targets;  // switch: everybody who gets traffic afterwards; others: whom it is about
  bool operator==(const PlannedStep&) const = default;
};

struct Situation {
  int old_targets = 0;
  int replicas = 1;
  bool routed = true;       // false: the service takes no traffic through the proxy
  int max_surge = 1;        // rolling: how many targets there may be beyond the larger of both counts
  int max_unavailable = 0;  // rolling: how many may be missing in traffic; one of the two is not 0
  bool bakes = false;       // blue-green: the new targets are watched before the old ones go
};

/// What every strategy promises: nothing old is stopped before a switch away from it; every new target is probed before
/// a switch names it; nothing old is removed before promote; after promote there is nothing to undo.
std::vector<PlannedStep> plan(domain::StrategyKind kind, const Situation& situation);

std::vector<PlannedStep> rolling(const Situation& situation);
std::vector<PlannedStep> blue_green(const Situation& situation);
std::vector<PlannedStep> recreate(const Situation& situation);

/// One line per step, e.g. "switch new1 old2": for people and tests.
std::string to_table(const std::vector<PlannedStep>& steps);

}  // namespace deploy::strategies
