#include <algorithm>
#include <catch2/catch_all.hpp>
#include <set>

#include "strategies/strategy.hpp"

using namespace deploy::strategies;
using deploy::domain::StepKind;
using deploy::domain::StrategyKind;

TEST_CASE("rolling, one replica: the old target is stopped only after the switch") {
  CHECK(to_table(rolling({1, 1, true})) ==
        "create new1\n"
        "start new1\n"
        "probe new1\n"
        "switch new1\n"
        "promote new1\n"
        "drain old1\n"
        "stop old1\n"
        "remove old1\n"
        "prune\n");
}

TEST_CASE("rolling, three replicas: one at a time, and the first two old ones can still come back") {
  CHECK(to_table(rolling({3, 3, true})) ==
        "create new1\nstart new1\nprobe new1\nswitch new1 old2 old3\ndrain old1\nstop old1\n"
        "create new2\nstart new2\nprobe new2\nswitch new1 new2 old3\ndrain old2\nstop old2\n"
        "create new3\nstart new3\nprobe new3\nswitch new1 new2 new3\npromote new1 new2 new3\n"
        "drain old3\nstop old3\n"
        "remove old1 old2 old3\nprune\n");
}

TEST_CASE("rolling to fewer replicas retires the rest with the last one") {
  CHECK(to_table(rolling({3, 1, true})) ==
        "create new1\nstart new1\nprobe new1\nswitch new1\npromote new1\n"
        "drain old1 old2 old3\nstop old1 old2 old3\nremove old1 old2 old3\nprune\n");
}

TEST_CASE("the first rollout of a service has nothing to retire") {
  CHECK(to_table(rolling({0, 1, true})) == "create new1\nstart new1\nprobe new1\nswitch new1\npromote new1\nprune\n");
  CHECK(to_table(blue_green({0, 2, true})) ==
        "create new1 new2\nstart new1 new2\nprobe new1 new2\nswitch new1 new2\npromote new1 new2\nprune\n");
}

TEST_CASE("blue-green: one switch for the whole set") {
  CHECK(to_table(blue_green({2, 2, true})) ==
        "create new1 new2\nstart new1 new2\nprobe new1 new2\nswitch new1 new2\npromote new1 new2\n"
        "drain old1 old2\nstop old1 old2\nremove old1 old2\nprune\n");
}

TEST_CASE("blue-green with a bake: the old set stays warm until the new one has proved itself in traffic") {
  Situation situation{1, 2, true};
  situation.bakes = true;
  CHECK(to_table(blue_green(situation)) ==
        "create new1 new2\nstart new1 new2\nprobe new1 new2\nswitch new1 new2\nbake new1 new2\npromote new1 new2\n"
        "drain old1\nstop old1\nremove old1\nprune\n");
  situation.old_targets = 0;  // nothing to go back to
  CHECK(to_table(blue_green(situation)) ==
        "create new1 new2\nstart new1 new2\nprobe new1 new2\nswitch new1 new2\npromote new1 new2\nprune\n");
}

TEST_CASE("a service without traffic is neither switched nor drained") {
  CHECK(to_table(rolling({1, 1, false})) ==
        "create new1\nstart new1\nprobe new1\npromote new1\nstop old1\nremove old1\nprune\n");
}

TEST_CASE("rolling, three replicas with max_surge 2: two at a time") {
  CHECK(to_table(rolling({3, 3, true, 2, 0})) ==
        "create new1 new2\nstart new1 new2\nprobe new1 new2\nswitch new1 new2 old3\ndrain old1 old2\nstop old1 old2\n"
        "create new3\nstart new3\nprobe new3\nswitch new1 new2 new3\npromote new1 new2 new3\ndrain old3\nstop old3\n"
        "remove old1 old2 old3\nprune\n");
}

TEST_CASE("rolling without surge: an old target leaves before the new one is made") {
  CHECK(to_table(rolling({2, 2, true, 0, 1})) ==
        "switch old2\ndrain old1\nstop old1\n"
        "create new1\nstart new1\nprobe new1\nswitch new1 old2\n"
        "switch new1\ndrain old2\nstop old2\n"
        "create new2\nstart new2\nprobe new2\nswitch new1 new2\npromote new1 new2\n"
        "remove old1 old2\nprune\n");
}

TEST_CASE("rolling with surge and unavailable: both make the batch") {
  CHECK(to_table(rolling({3, 3, true, 1, 1})) ==
        "switch old2 old3\ndrain old1\nstop old1\n"
        "create new1 new2\nstart new1 new2\nprobe new1 new2\nswitch new1 new2 old3\ndrain old2\nstop old2\n"
        "create new3\nstart new3\nprobe new3\nswitch new1 new2 new3\npromote new1 new2 new3\ndrain old3\nstop old3\n"
        "remove old1 old2 old3\nprune\n");
}

TEST_CASE("recreate: the old target stops before the new one starts, and is removed after the switch") {
  CHECK(to_table(recreate({1, 1, true})) ==
        "create new1\nswitch\ndrain old1\nstop old1\nstart new1\nprobe new1\nswitch new1\npromote new1\n"
        "remove old1\nprune\n");
  CHECK(to_table(recreate({0, 1, true})) == "create new1\nstart new1\nprobe new1\nswitch new1\npromote new1\nprune\n");
  CHECK(to_table(recreate({1, 1, false})) ==
        "create new1\nstop old1\nstart new1\nprobe new1\npromote new1\nremove old1\nprune\n");
}

namespace {

/// How many may be missing in traffic, and how many containers may run at once.
struct Bounds {
  int missing = 0;
  int running = 0;
};

Bounds bounds_of(StrategyKind kind, const Situation& situation) {
  const auto [present, wanted, routed, surge, unavailable, bakes] = situation;
  if (kind == StrategyKind::recreate) return {present, std::max(present, wanted)};
  if (kind == StrategyKind::blue_green) return {0, present + wanted};
  return {unavailable, std::max(present, wanted) + surge};
}

void check_promises(StrategyKind kind, const Situation& situation) {
  const auto steps = plan(kind, situation);
  INFO(to_table(steps));
  const auto bounds = bounds_of(kind, situation);
  std::set<int> proved;
  std::set<int> old_routed;
  for (int i = 0; i < situation.old_targets; ++i) old_routed.insert(i);
  int in_traffic = situation.old_targets;
  int running = situation.old_targets;
  bool promoted = false;
  for (const auto& step : steps) {
    if (step.kind == StepKind::switch_traffic) {
      old_routed.clear();
      for (const auto& slot : step.targets) {
        if (slot.side == Slot::Side::old) old_routed.insert(slot.index);
        if (slot.side == Slot::Side::fresh) CHECK(proved.contains(slot.index));
      }
      in_traffic = static_cast<int>(step.targets.size());
      CHECK(in_traffic >= std::min(situation.old_targets, situation.replicas) - bounds.missing);
    }
    if (step.kind == StepKind::promote) promoted = true;
    if (step.kind == StepKind::remove) CHECK(promoted);
    if (step.kind == StepKind::start) running += static_cast<int>(step.targets.size());
    if (step.kind == StepKind::stop) running -= static_cast<int>(step.targets.size());
    CHECK(running <= bounds.running);
    for (const auto& slot : step.targets) {
      if (step.kind == StepKind::probe) proved.insert(slot.index);
      if (step.kind == StepKind::stop) CHECK_FALSE(old_routed.contains(slot.index));
    }
  }
  CHECK(promoted);
  CHECK(running == situation.replicas);
  CHECK(in_traffic == situation.replicas);
  CHECK(old_routed.empty());
}

}  // namespace

TEST_CASE("the promises hold for every number of old and new targets") {
  for (int present = 0; present <= 5; ++present) {
    for (int wanted = 1; wanted <= 5; ++wanted) {
      check_promises(StrategyKind::blue_green, {present, wanted, true});
      check_promises(StrategyKind::blue_green, {present, wanted, true, 1, 0, true});
      check_promises(StrategyKind::recreate, {present, wanted, true});
      for (int surge = 0; surge <= 3; ++surge) {
        for (int unavailable = surge == 0 ? 1 : 0; unavailable <= 3; ++unavailable) {
          check_promises(StrategyKind::rolling, {present, wanted, true, surge, unavailable});
        }
      }
    }
  }
}
