// Blue-green with a bake: the new version has the traffic and is watched, the old one stays warm.
#include <catch2/catch_all.hpp>

#include "agent/api/commands.hpp"
#include "tests/agent_world/world.hpp"
#include "tests/fakes/run.hpp"

using namespace deploy;
using namespace deploy::tests;

namespace {

/// A backend whose first version is live, and whose next one bakes for ten minutes.
struct Baking {
  World world;
  std::optional<Agent> agent;
  std::string first;
  std::function<void()> in_bake;

  Baking() {
    world.services = {service_named("backend")};
    world.services[0].strategy = domain::StrategyKind::blue_green;
    world.services[0].bake = std::chrono::minutes(10);
    world.services[0].container.restart = "no";
    agent.emplace(world);
    agent->push({"backend"}, 'a');
    agent->work();
    first = routed_container(world, "backend");
    world.engine.calls.clear();
    world.prober.on_point = [this](std::string_view) {
      if (world.prober.probes.back().check.min_healthy > std::chrono::seconds(0) && in_bake) in_bake();
    };
  }

  api::Commands commands() {
    return {agent->journal, agent->releases, world.services, [this] { agent->dispatcher.wake(); }};
  }
};

}  // namespace

TEST_CASE("while it bakes the new version has the traffic, and the old one runs on; then it is promoted") {
  Baking baking;
  auto& world = baking.world;
  int looks = 0;
  baking.in_bake = [&] {
    ++looks;
    CHECK(routed_container(world, "backend").starts_with("backend-bbbbbbb-"));
    CHECK(world.engine.at(baking.first).container.state == "running");
    CHECK(baking.agent->journal.revisions.promoted("backend").size() == 1);
  };
  baking.agent->push({"backend"}, 'b');
  baking.agent->work();
  CHECK(looks == 1);
  CHECK(baking.agent->last().phase == domain::Phase::succeeded);
  CHECK(*baking.agent->last().finished - *baking.agent->last().started >= std::chrono::minutes(10));
  CHECK(world.engine.names().size() == 1);
  for (const auto& step : baking.agent->journal.rollouts.steps(baking.agent->last().id)) {
    if (step.kind == domain::StepKind::bake) CHECK(step.detail == "healthy in traffic for 10 min 0 s");
  }
}

TEST_CASE("a version that falls ill while it bakes gives the traffic back to the old one, which never stopped") {
  Baking baking;
  baking.world.prober.judge = [](const FakeProber::Probe& probe) {
    const bool bakes = probe.check.min_healthy > std::chrono::seconds(0);
    return ports::Verdict{!bakes, bakes ? "GET /health answered 500" : "answered 200"};
  };
  baking.agent->push({"backend"}, 'b');
  baking.agent->work();
  CHECK(baking.agent->last().phase == domain::Phase::rolled_back);
  CHECK(baking.agent->last().reason.ends_with(" is not healthy: GET /health answered 500"));
  CHECK(routed_container(baking.world, "backend") == baking.first);
  CHECK(baking.world.engine.names() == std::vector{baking.first});
  for (const auto& call : baking.world.engine.calls) CHECK(call != "stop " + baking.first);
}

TEST_CASE("a rollout that bakes can be cancelled") {
  Baking baking;
  const auto began = baking.world.clock.elapsed();
  baking.in_bake = [&] { baking.commands().cancel({"backend", 0}, "maria"); };
  baking.agent->push({"backend"}, 'b');
  baking.agent->work();
  CHECK(baking.agent->last().phase == domain::Phase::cancelled);
  CHECK(baking.agent->last().reason == "cancelled by maria");
  CHECK(routed_container(baking.world, "backend") == baking.first);
  CHECK(baking.world.clock.elapsed() - began < std::chrono::minutes(5));
}

TEST_CASE("a rollback while it bakes takes it back at once, and finds the old version live") {
  Baking baking;
  const auto began = baking.world.clock.elapsed();
  baking.in_bake = [&] { baking.commands().rollback({"backend", ""}, "maria"); };
  baking.agent->push({"backend"}, 'b');
  baking.agent->work();
  CHECK(baking.agent->outcomes() == "backend succeeded, backend cancelled, backend unchanged");
  const auto live = baking.agent->journal.revisions.promoted("backend").front().name;
  CHECK(baking.agent->journal.rollouts.get({2}).reason ==
        "taken back with deployctl rollback to " + live + " by maria");
  CHECK(routed_container(baking.world, "backend") == baking.first);
  CHECK(baking.world.clock.elapsed() - began < std::chrono::minutes(5));
}

TEST_CASE("a second rollback, or one while it is being taken back, goes no further") {
  Baking baking;
  baking.in_bake = [&] {
    baking.commands().rollback({"backend", ""}, "maria");
    baking.commands().rollback({"backend", ""}, "maria");
  };
  baking.agent->push({"backend"}, 'b');
  baking.agent->work();
  const auto ended = baking.agent->outcomes();
  CHECK(ended.starts_with("backend succeeded, "));
  CHECK(ended.find("rolled_back") == std::string::npos);
  CHECK(baking.agent->last().phase == domain::Phase::unchanged);
  CHECK(routed_container(baking.world, "backend") == baking.first);
}

TEST_CASE("an old target that stopped while the new version baked is started before it gets the traffic back") {
  Baking baking;
  auto& world = baking.world;
  baking.in_bake = [&] {
    world.engine.exit(world.engine.at(baking.first).container.id, 137);
    baking.commands().cancel({"backend", 0}, "maria");
  };
  std::string state_at_switch;
  world.proxy.on_point = [&](std::string_view point) {
    if (point == "proxy.apply.before") state_at_switch = world.engine.at(baking.first).container.state;
  };
  baking.agent->push({"backend"}, 'b');
  baking.agent->work();
  CHECK(baking.agent->last().phase == domain::Phase::cancelled);
  CHECK(state_at_switch == "running");
  CHECK(routed_container(world, "backend") == baking.first);
}

TEST_CASE("an agent that is killed while a version bakes watches it anew") {
  Baking baking;
  baking.in_bake = [&] { baking.agent->stop(); };
  baking.agent->push({"backend"}, 'b');
  baking.agent->work();
  REQUIRE(baking.agent->last().phase == domain::Phase::running);
  baking.in_bake = nullptr;
  const auto again = baking.world.clock.elapsed();
  baking.agent.emplace(baking.world);
  baking.agent->work();
  CHECK(baking.agent->last().phase == domain::Phase::succeeded);
  CHECK(baking.world.clock.elapsed() - again >= std::chrono::minutes(10));
}
