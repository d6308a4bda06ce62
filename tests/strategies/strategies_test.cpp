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

TEST_CASE("a service without traffic is neither switched nor drained") {
  CHECK(to_table(rolling({1, 1, false})) ==
        "create new1\nstart new1\nprobe new1\npromote new1\nstop old1\nremove old1\nprune\n");
}

TEST_CASE("the promises hold for every number of old and new targets") {
  for (const auto kind : {StrategyKind::rolling, StrategyKind::blue_green}) {
    for (int present = 0; present <= 5; ++present) {
      for (int wanted = 1; wanted <= 5; ++wanted) {
        INFO(to_table(plan(kind, {present, wanted, true})));
        std::set<int> proved;
        std::set<int> old_routed;
        for (int i = 0; i < present; ++i) old_routed.insert(i);
        std::size_t in_traffic = old_routed.size();
        bool promoted = false;
        for (const auto& step : plan(kind, {present, wanted, true})) {
          if (step.kind == StepKind::switch_traffic) {
            old_routed.clear();
            for (const auto& slot : step.targets) {
              if (slot.side == Slot::Side::old) old_routed.insert(slot.index);
              if (slot.side == Slot::Side::fresh) CHECK(proved.contains(slot.index));
            }
            CHECK(step.targets.size() >= std::min<std::size_t>(in_traffic, static_cast<std::size_t>(wanted)));
            in_traffic = step.targets.size();
          }
          if (step.kind == StepKind::promote) promoted = true;
          if (step.kind == StepKind::remove) CHECK(promoted);
          for (const auto& slot : step.targets) {
            if (step.kind == StepKind::probe) proved.insert(slot.index);
            if (step.kind == StepKind::stop) CHECK_FALSE(old_routed.contains(slot.index));
          }
        }
        CHECK(promoted);
        CHECK(in_traffic == static_cast<std::size_t>(wanted));
        CHECK(old_routed.empty());
      }
    }
  }
}
