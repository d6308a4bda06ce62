// Pulls that go wrong on the way, and what people read then.
#include <catch2/catch_all.hpp>

#include "tests/agent_world/world.hpp"

using namespace deploy;
using namespace deploy::tests;

namespace {

/// backend, whose image is in a registry.
struct Pulled {
  Pulled() {
    world.services = {service_named("backend")};
    world.services[0].source.git.reset();
    world.services[0].source.image = "registry/backend:{sha}";
    world.engine.registry[reference('a')] = {};
    world.engine.registry[reference('b')] = {{"version", "b"}};
  }
  static std::string reference(char commit) { return "registry/backend:" + commit_of(commit); }

  World world;
};

}  // namespace

TEST_CASE("a pull that takes longer than 30 minutes is stopped, and the old version stays") {
  Pulled pulled;
  pulled.world.engine.pull_takes[Pulled::reference('b')] = std::chrono::hours(2);
  Agent agent(pulled.world);
  agent.push({"backend"}, 'a');
  agent.work();
  const auto live = routed_container(pulled.world, "backend");
  agent.push({"backend"}, 'b');
  agent.work(std::chrono::minutes(31));
  CHECK(agent.outcomes() == "backend succeeded, backend rolled_back");
  CHECK(agent.last().reason == "the pull of " + Pulled::reference('b') +
                                   " took longer than 30 min and was stopped; what it got as far as: deployctl logs 2");
  CHECK(*agent.last().finished - *agent.last().started == std::chrono::minutes(30));
  CHECK(agent.last().log == std::vector<std::string>{"Pulling from " + Pulled::reference('b')});
  CHECK(routed_container(pulled.world, "backend") == live);
}

TEST_CASE("a pull that takes nearly as long as it may goes out") {
  Pulled pulled;
  pulled.world.engine.pull_takes[Pulled::reference('a')] = std::chrono::minutes(29);
  Agent agent(pulled.world);
  agent.push({"backend"}, 'a');
  agent.work();
  CHECK(agent.outcomes() == "backend succeeded");
}

TEST_CASE("a pull whose connection ends half-way is begun again, and goes on with the layers that came") {
  Pulled pulled;
  pulled.world.engine.fail("pull", 1, FakeEngine::When::before,
                           Error(ErrorKind::unreachable, "pull registry/backend: unexpected EOF"));
  Agent agent(pulled.world);
  agent.push({"backend"}, 'a');
  agent.work();
  CHECK(agent.outcomes() == "backend succeeded");
  std::vector<std::string> told;
  for (const auto& event : agent.events.of_rollout(agent.last().id)) {
    if (event.kind == "step.retrying") told.push_back(event.text);
  }
  CHECK(told == std::vector<std::string>{"pull: pull registry/backend: unexpected EOF; trying again in 1.0 s"});
}
