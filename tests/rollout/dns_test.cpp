// Services with `route: dns`: their live container has their name.
#include <catch2/catch_all.hpp>

#include "agent/base/error.hpp"
#include "tests/agent_world/world.hpp"

using namespace deploy;
using namespace deploy::tests;

namespace {

domain::Service named() {
  auto service = service_named("backend");
  service.proxy.dns = true;
  return service;
}

}  // namespace

TEST_CASE("the live container has the service's name, which moves after the switch") {
  World world;
  world.services = {named()};
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  CHECK(routed_container(world, "backend") == "backend");
  const auto first = world.engine.at("backend").container.id;
  agent.push({"backend"}, 'b');
  agent.work();
  CHECK(agent.outcomes() == "backend succeeded, backend succeeded");
  CHECK(routed_container(world, "backend") == "backend");
  CHECK(world.engine.at("backend").container.id != first);
  CHECK(world.engine.names() == std::vector<std::string>{"backend"});
  CHECK(agent.journal.targets.live("backend").front().container_name == "backend");
  for (const auto& step : agent.journal.rollouts.steps(agent.last().id)) {
    if (step.kind == domain::StepKind::switch_traffic)
      CHECK_THAT(step.detail, Catch::Matchers::EndsWith(", the name backend moved in 0 ms"));
  }
}

TEST_CASE("the name goes back where a rollout is undone after the switch") {
  World world;
  world.services = {named()};
  world.services[0].strategy = domain::StrategyKind::blue_green;
  world.services[0].bake = std::chrono::minutes(1);
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  const auto first = world.engine.at("backend").container.id;
  world.prober.judge = [&](const FakeProber::Probe& probe) {
    const bool in_traffic = world.engine.at("backend").container.id != first;
    return ports::Verdict{probe.endpoint.address == "10.2.0.10" || !in_traffic, "GET /health answered 503"};
  };
  agent.push({"backend"}, 'b');
  agent.work();
  CHECK(agent.last().phase == domain::Phase::rolled_back);
  CHECK(world.engine.at("backend").container.id == first);
  CHECK(world.engine.names() == std::vector<std::string>{"backend"});
}

TEST_CASE("an agent that was killed between the two renames gives the name to the new one") {
  World world;
  world.services = {named()};
  {
    Agent agent(world);
    agent.push({"backend"}, 'a');
    agent.work();
  }
  const auto first = world.engine.at("backend").container.id;
  {
    Agent agent(world);
    world.engine.fail("rename", 2, FakeEngine::When::before, Error(ErrorKind::unreachable, "the engine is gone"));
    agent.push({"backend"}, 'b');
    agent.work();
    CHECK(agent.outcomes() == "backend succeeded, backend succeeded");
  }
  CHECK(world.engine.at("backend").container.id != first);
  CHECK(world.engine.names() == std::vector<std::string>{"backend"});
}

TEST_CASE("a foreign container that has the name is told of before anything is made") {
  World world;
  world.services = {named()};
  ports::ContainerSpec foreign;
  foreign.name = "backend";
  foreign.image = "registry/backend:v1";
  run_virtual(world.clock, world.engine.create(foreign));
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  CHECK(agent.last().phase == domain::Phase::rolled_back);
  CHECK(agent.last().reason ==
        "the name backend, by which `route: dns` lets others find the service, belongs to a container "
        "that deployd did not make for it; rename or remove it and roll out again");
  CHECK(world.engine.names() == std::vector<std::string>{"backend"});
}

TEST_CASE("a live service keeps its route") {
  World world;
  world.services = {service_named("backend")};
  {
    Agent agent(world);
    agent.push({"backend"}, 'a');
    agent.work();
  }
  world.services = {named()};
  Agent agent(world);
  agent.push({"backend"}, 'b');
  agent.work();
  CHECK(agent.last().phase == domain::Phase::rolled_back);
  CHECK(agent.last().reason ==
        "`proxy.route` cannot be changed while backend is live: callers would find its name in two "
        "places; put it back, or give the service another name");
}

TEST_CASE("where there is no proxy a switch is the move of the name, and says no more") {
  World world;
  world.services = {named()};
  world.proxy.proxied = false;
  Agent agent(world);
  std::vector<std::string> said;
  for (const auto* commit : {"a", "b"}) {
    agent.push({"backend"}, *commit);
    agent.work();
    for (const auto& step : agent.journal.rollouts.steps(agent.last().id)) {
      if (step.kind == domain::StepKind::switch_traffic) said.push_back(step.detail);
    }
  }
  CHECK(agent.outcomes() == "backend succeeded, backend succeeded");
  CHECK(said == std::vector<std::string>{"the name backend moved in 0 ms", "the name backend moved in 0 ms"});
  CHECK(world.engine.names() == std::vector<std::string>{"backend"});
}
