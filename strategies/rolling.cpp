// Rolling: a batch of new targets at a time takes over from as many old ones. A batch is as large as `max_surge` and
// `max_unavailable` together: so many old ones as there would be too many leave before it is made, the others once it
// is proved healthy. An old target is only stopped, not removed, until every new one is in traffic, so that undo can
// start it again.
#include <algorithm>

#include "strategies/steps.hpp"

namespace deploy::strategies {

std::vector<PlannedStep> rolling(const Situation& situation) {
  using enum domain::StepKind;
  const int wanted = situation.replicas;
  const int present = situation.old_targets;
  const int room = std::max(wanted, present) + situation.max_surge;
  std::vector<PlannedStep> steps;
  int made = 0;
  int retired = 0;
  const auto switch_traffic_now = [&] {
    if (situation.routed) steps.push_back({switch_traffic, range(fresh, 0, made) + range(old, retired, present)});
  };
  const auto put_away = [&](int from) {
    if (from == retired) return;
    if (situation.routed) steps.push_back({drain, range(old, from, retired)});
    steps.push_back({stop, range(old, from, retired)});
  };
  while (made < wanted) {
    const int batch = std::min(situation.max_surge + situation.max_unavailable, wanted - made);
    const int before = retired;
    retired += std::max(0, made + batch + present - retired - room);
    if (retired > before) {
      switch_traffic_now();
      put_away(before);
    }
    const auto next = range(fresh, made, made + batch);
    steps.insert(steps.end(), {{create, next}, {start, next}, {probe, next}});
    made += batch;
    const bool last = made == wanted;
    const int replaced = retired;
    retired = last ? present : std::max(retired, std::min(made, present));
    switch_traffic_now();
    if (last) steps.push_back({promote, range(fresh, 0, wanted)});
    put_away(replaced);
  }
  if (present > 0) steps.push_back({remove, range(old, 0, present)});
  steps.push_back({prune, {}});
  return steps;
}

}  // namespace deploy::strategies
