// Blue-green: the whole new set is proved healthy beside the old one, then one switch moves all traffic.
// While it bakes, the old set stays as it was, so that going back is one switch, too.
#include "strategies/steps.hpp"

namespace deploy::strategies {

std::vector<PlannedStep> blue_green(const Situation& situation) {
  using enum domain::StepKind;
  const auto green = range(fresh, 0, situation.replicas);
  const auto blue = range(old, 0, situation.old_targets);
  std::vector<PlannedStep> steps{{create, green}, {start, green}, {probe, green}};
  if (situation.routed) steps.push_back({switch_traffic, green});
  if (situation.bakes && !blue.empty()) steps.push_back({bake, green});
  steps.push_back({promote, green});
  if (!blue.empty()) {
    if (situation.routed) steps.push_back({drain, blue});
    steps.push_back({stop, blue});
    steps.push_back({remove, blue});
  }
  steps.push_back({prune, {}});
  return steps;
}

}  // namespace deploy::strategies
