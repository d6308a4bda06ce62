// Strategies that take targets out of traffic, or stop them, before the new ones are there.
#include <catch2/catch_all.hpp>

#include "agent/base/error.hpp"
#include "tests/agent_world/world.hpp"

using namespace deploy;
using namespace deploy::tests;

namespace {

/// What the n-th step of this kind says, from 0.
std::string detail_of(Agent& agent, domain::StepKind kind, std::size_t nth) {
  std::vector<std::string> details;
  for (const auto& step : agent.journal.rollouts.steps(agent.last().id)) {
    if (step.kind == kind) details.push_back(step.detail);
  }
  return details.at(nth);
}

domain::Service recreated() {
  auto service = service_named("backend");
  service.strategy = domain::StrategyKind::recreate;
  return service;
}

}  // namespace

TEST_CASE("recreate never runs two versions at once, and says for how long nobody had the traffic") {
  World world;
  world.services = {recreated()};
  int most = 0;
  world.engine.behave = [&](const ports::ContainerSpec&) {
    int running = 0;
    for (const auto& [id, record] : world.engine.all()) running += record.container.state == "running" ? 1 : 0;
    most = std::max(most, running);
    return FakeEngine::Behaviour{};
  };
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  const auto first = routed_container(world, "backend");
  agent.push({"backend"}, 'b');
  agent.work();
  REQUIRE(agent.outcomes() == "backend succeeded, backend succeeded");
  CHECK(most == 1);
  CHECK(routed_container(world, "backend") != first);
  CHECK(world.engine.names() == std::vector{routed_container(world, "backend")});
  CHECK(detail_of(agent, domain::StepKind::switch_traffic, 0).ends_with(": no target has the traffic from here on"));
  CHECK(detail_of(agent, domain::StepKind::switch_traffic, 1).ends_with(": no target had the traffic for 2.1 s"));
  const auto events = agent.events.of_rollout(agent.last().id);
  CHECK(events.at(1).text ==
        "started; the strategy is recreate, so backend answers nothing from the stop of the old version until the new "
        "one is healthy: for 2 min 40 s at the most (drain, stop_grace_period and health.deadline)");
  agent.push({"backend"}, 'c');
  agent.work();
  CHECK(agent.events.of_rollout(agent.last().id).at(1).text.ends_with(" healthy: the last time for 2.1 s"));
}

TEST_CASE(
    "recreate to a version that is not healthy starts the old one again, with its traffic as soon as it answers") {
  World world;
  world.services = {recreated()};
  world.services[0].health.min_healthy = std::chrono::seconds(10);
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  const auto first = routed_container(world, "backend");
  world.prober.judge = [](const FakeProber::Probe& probe) {
    return ports::Verdict{probe.endpoint.address == "10.2.0.10", "GET /health answered 503"};
  };
  agent.push({"backend"}, 'b');
  agent.work();
  CHECK(agent.last().phase == domain::Phase::rolled_back);
  CHECK(routed_container(world, "backend") == first);
  CHECK(world.engine.names() == std::vector{first});
  CHECK(world.engine.at(first).container.state == "running");
  CHECK(world.prober.probes.at(0).check.min_healthy == std::chrono::seconds(10));
  const auto again = world.prober.probes.at(2);
  CHECK(again.endpoint.address == "10.2.0.10");
  CHECK(again.check.min_healthy == std::chrono::seconds(0));
}

TEST_CASE("a target that was stopped for a recreate and could not be put back gets traffic once it is healthy") {
  World world;
  world.services = {recreated()};
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  const auto first = routed_container(world, "backend");
  world.prober.judge = [](const FakeProber::Probe&) { return ports::Verdict{false, "GET /health answered 503"}; };
  agent.push({"backend"}, 'b');
  agent.work(std::chrono::minutes(1));
  CHECK(agent.last().phase == domain::Phase::needs_operator);
  CHECK(agent.last().reason.ends_with("; and undoing \"stop\" failed: " + first +
                                      " is not healthy: GET /health answered 503"));
  CHECK(world.proxy.targets("backend").empty());
  CHECK(agent.reconciler.problems() ==
        std::vector<std::string>{"no target of backend is healthy, and none gets traffic until one is; see: deployctl "
                                 "logs backend"});
  world.prober.judge = nullptr;
  agent.work();
  CHECK(routed_container(world, "backend") == first);
  CHECK(agent.reconciler.problems().empty());
}

TEST_CASE("rolling with max_unavailable has one target less in traffic while the new one is made, and none more") {
  World world;
  world.services = {service_named("backend")};
  world.services[0].replicas = 2;
  world.services[0].max_surge = 0;
  world.services[0].max_unavailable = 1;
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  world.proxy.history.clear();
  agent.push({"backend"}, 'b');
  agent.work();
  REQUIRE(agent.last().phase == domain::Phase::succeeded);
  std::vector<std::size_t> in_traffic;
  for (const auto& routes : world.proxy.history) in_traffic.push_back(routes.at(0).targets.size());
  CHECK(in_traffic == std::vector<std::size_t>{1, 2, 1, 2});
}
