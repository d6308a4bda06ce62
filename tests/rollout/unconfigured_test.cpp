#include "agent/rollout/unconfigured.hpp"

#include <catch2/catch_all.hpp>

#include "tests/agent_world/world.hpp"

using namespace deploy;
using namespace deploy::tests;

TEST_CASE("a service whose file is gone is told of while it is live") {
  World world;
  world.services = {service_named("backend"), service_named("llm")};
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  CHECK(rollout::unconfigured(agent.journal, world.services, "deploy.d").empty());
  CHECK(rollout::unconfigured(agent.journal, {service_named("llm")}, "deploy.d") ==
        std::vector<std::string>{"backend is live and has no file in deploy.d: it keeps its requests, and no rollout "
                                 "reaches it; put the file back and restart deployd"});
}
