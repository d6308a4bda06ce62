// Several services in one repository: a commit is rolled out where it changes what is the service's.
#include <catch2/catch_all.hpp>

#include "tests/agent_world/world.hpp"

using namespace deploy;
using namespace deploy::tests;

namespace {

/// backend/ has another content from commit b on, docs/ with each commit.
struct Mono {
  Mono() {
    world.services = {service_named("backend"), service_named("llm")};
    world.services[0].paths = {"backend", "shared/api.proto"};
    world.services[1].paths = {"llm"};
    world.source.fill = [](MemoryTree& tree, const std::string& commit) {
      tree.add("backend/main.js", commit.front() >= 'b' ? "new" : "old");
      tree.add("backend2/main.js", commit);
      tree.add("docs/notes.md", commit);
      tree.add("llm/main.py", "same");
      tree.add("shared/api.proto", commit.front() >= 'd' ? "new" : "old");
    };
  }

  World world;
};

}  // namespace

TEST_CASE("a commit that changes nothing of a service leaves what is live") {
  Mono mono;
  Agent agent(mono.world);
  agent.push({"backend", "llm"}, 'a');
  agent.work();
  agent.push({"backend", "llm"}, 'b');
  agent.work();
  CHECK(agent.outcomes() == "backend succeeded, llm succeeded, llm unchanged, backend succeeded");
  const auto llm = agent.journal.revisions.promoted("llm").front().name;
  for (const auto& step : agent.journal.rollouts.steps(agent.journal.rollouts.history("llm", 1).front().id)) {
    if (step.kind == domain::StepKind::fetch)
      CHECK(step.detail == "commit bbbbbbb: nothing below `paths` differs from " + llm);
  }
  agent.push({"backend"}, 'c');
  agent.work();
  CHECK(agent.last().phase == domain::Phase::unchanged);
  agent.push({"backend"}, 'd');  // compared with the live commit, b
  agent.work();
  CHECK(agent.last().phase == domain::Phase::succeeded);
}

TEST_CASE("a changed configuration goes out with a commit that changes no file of the service") {
  Mono mono;
  {
    Agent agent(mono.world);
    agent.push({"llm"}, 'a');
    agent.work();
  }
  mono.world.services[1].container.environment = {{"MODEL", "small"}};
  Agent agent(mono.world);
  agent.push({"llm"}, 'b');
  agent.work();
  CHECK(agent.last().phase == domain::Phase::succeeded);
}
