// Recreate: for a service that cannot run twice. The old targets are drained and stopped before the new ones start, so
// that nobody serves in between; they are only removed once the new ones have the traffic, so that undo can start them
// again. The new containers are made first: that takes time in which the old ones still serve.
#include "strategies/steps.hpp"

namespace deploy::strategies {

std::vector<PlannedStep> recreate(const Situation& situation) {
  using enum domain::StepKind;
  const auto next = range(fresh, 0, situation.replicas);
  const auto last = range(old, 0, situation.old_targets);
  std::vector<PlannedStep> steps{{create, next}};
  if (!last.empty()) {
    if (situation.routed) steps.insert(steps.end(), {{switch_traffic, {}}, {drain, last}});
    steps.push_back({stop, last});
  }
  steps.insert(steps.end(), {{start, next}, {probe, next}});
  if (situation.routed) steps.push_back({switch_traffic, next});
  steps.push_back({promote, next});
  if (!last.empty()) steps.push_back({remove, last});
  steps.push_back({prune, {}});
  return steps;
}

}  // namespace deploy::strategies
