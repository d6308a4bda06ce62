// Rolling: one new target at a time takes over from one old target. At no time are there fewer targets in traffic than
// before. An old target is only stopped, not removed, until every new one is in traffic, so that undo can start it
// again.
#include <algorithm>

#include "strategies/steps.hpp"

namespace deploy::strategies {

std::vector<PlannedStep> rolling(const Situation& situation) {
  using enum domain::StepKind;
  const int wanted = situation.replicas;
  const int present = situation.old_targets;
  std::vector<PlannedStep> steps;
  for (int batch = 0; batch < wanted; ++batch) {
    const bool last = batch + 1 == wanted;
    const int replaced = last ? present : std::min(batch + 1, present);
    const auto retiring = range(old, std::min(batch, present), replaced);
    steps.push_back({create, {fresh(batch)}});
    steps.push_back({start, {fresh(batch)}});
    steps.push_back({probe, {fresh(batch)}});
    if (situation.routed) {
      steps.push_back({switch_traffic, range(fresh, 0, batch + 1) + range(old, replaced, present)});
    }
    if (last) steps.push_back({promote, range(fresh, 0, wanted)});
    if (retiring.empty()) continue;
    if (situation.routed) steps.push_back({drain, retiring});
    steps.push_back({stop, retiring});
  }
  if (present > 0) steps.push_back({remove, range(old, 0, present)});
  steps.push_back({prune, {}});
  return steps;
}

}  // namespace deploy::strategies
