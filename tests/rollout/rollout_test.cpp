#include <catch2/catch_all.hpp>

#include "agent/base/error.hpp"
#include "tests/agent_world/world.hpp"
#include "tests/fakes/run.hpp"

using namespace deploy;
using namespace deploy::tests;

TEST_CASE("a push becomes a container with traffic, and the next one replaces it") {
  World world;
  world.services = {service_named("backend")};
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  REQUIRE(agent.outcomes() == "backend succeeded");
  const auto first = routed_container(world, "backend");
  CHECK(first.starts_with("backend-aaaaaaa-"));
  agent.push({"backend"}, 'b');
  agent.work();
  CHECK(agent.outcomes() == "backend succeeded, backend succeeded");
  CHECK(world.engine.names() == std::vector{routed_container(world, "backend")});
  CHECK(agent.complaints.empty());
}

TEST_CASE("a container is on both networks, never under the service's name, asks ours first, and carries our labels") {
  World world;
  world.services = {service_named("backend")};
  world.services[0].container.labels = {{"team", "a"}};
  world.links = {{"backend", "nginx"}, {"llm", "nginx"}};
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  const auto& record = world.engine.at(routed_container(world, "backend"));
  const auto revision = agent.journal.revisions.promoted("backend").front().name;
  CHECK(record.spec.network.network == "internal");
  CHECK(record.spec.network.aliases == std::vector{revision});
  const auto& routing = record.container.networks.back();
  CHECK(routing.network == "deployctl");
  CHECK(routing.links == world.links);
  CHECK(record.spec.labels == ports::Labels{{"team", "a"},
                                            {"deployctl.instance", "instance-1"},
                                            {"deployctl.service", "backend"},
                                            {"deployctl.revision", revision},
                                            {"deployctl.rollout", "1"},
                                            {"deployctl.target", "1"}});
}

TEST_CASE("a container joins the networks that its file names besides") {
  World world;
  world.services = {service_named("backend")};
  world.services[0].container.networks = {"internal", "outer"};
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  CHECK(agent.outcomes() == "backend rolled_back");  // there is no network "outer" yet
  run_virtual(world.clock, world.engine.create_network({"outer", "10.3.0.0/24", "", false, {}}));
  agent.push({"backend"}, 'b');
  agent.work();
  REQUIRE(agent.outcomes() == "backend rolled_back, backend succeeded");
  std::vector<std::string> joined;
  for (const auto& endpoint : world.engine.at(routed_container(world, "backend")).container.networks) {
    joined.push_back(endpoint.network);
  }
  CHECK(joined == std::vector<std::string>{"internal", "deployctl", "outer"});
}

TEST_CASE("changes that arrive together go out in the order of depends_on, whatever order they came in") {
  World world;
  world.services = {service_named("frontend", {"backend"}), service_named("backend", {"llm"}), service_named("llm")};
  Agent agent(world);
  agent.push({"frontend"}, 'a');
  agent.push({"backend"}, 'b');
  agent.push({"llm"}, 'c');
  agent.work();
  CHECK(agent.outcomes() == "llm succeeded, backend succeeded, frontend succeeded");
  const auto rollouts = agent.journal.rollouts.history("", 3);
  CHECK(rollouts[0].release == rollouts[2].release);
  CHECK(let_in_at(agent.journal, {2}) >= *agent.journal.rollouts.get({1}).finished);
}

TEST_CASE("a change waits until none has come for the settling time, but not for ever") {
  World world;
  world.services = {service_named("backend")};
  Agent agent(world);
  agent.push({"backend"}, 'a');
  CHECK(agent.releases.plan_due() == std::chrono::milliseconds(5000));
  agent.work(std::chrono::seconds(4));
  CHECK(agent.outcomes().empty());
}

TEST_CASE("of two changes of one service that arrive together the newer goes out") {
  World world;
  world.services = {service_named("backend")};
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.push({"backend"}, 'b');
  agent.work();
  CHECK(agent.outcomes() == "backend succeeded");
  CHECK(agent.last().commit == commit_of('b'));
}

TEST_CASE("a revision that is live already changes nothing") {
  World world;
  world.services = {service_named("backend")};
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  const auto before = world.engine.effects();
  agent.push({"backend"}, 'a');
  agent.work();
  CHECK(agent.last().phase == domain::Phase::unchanged);
  CHECK(agent.last().reason == agent.journal.revisions.promoted("backend").front().name + " is live already");
  CHECK(world.engine.effects() == before);
  CHECK(agent.journal.targets.present().size() == 1);
}

TEST_CASE("a live revision whose container has died is rolled out again") {
  World world;
  world.services = {service_named("backend")};
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  world.engine.exit(routed_container(world, "backend"), 137);
  agent.push({"backend"}, 'a');
  agent.work();
  CHECK(agent.last().phase == domain::Phase::succeeded);
}

TEST_CASE("a changed configuration of the same commit is another revision") {
  World world;
  world.services = {service_named("backend")};
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  world.services[0].container.environment["MODE"] = "new";
  agent.push({"backend"}, 'a');
  agent.work();
  CHECK(agent.outcomes() == "backend succeeded, backend succeeded");
  CHECK(world.engine.at(routed_container(world, "backend")).spec.settings.environment.at("MODE") == "new");
}

TEST_CASE("a rollback runs the old image with its own configuration") {
  World world;
  world.services = {service_named("backend")};
  world.services[0].container.environment["MODE"] = "old";
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  const auto old = agent.journal.revisions.promoted("backend").front().name;
  world.services[0].container.environment["MODE"] = "new";
  agent.push({"backend"}, 'b');
  agent.work();
  agent.roll_back("backend", old);
  agent.work();
  CHECK(agent.last().phase == domain::Phase::succeeded);
  const auto& spec = world.engine.at(routed_container(world, "backend")).spec;
  CHECK(spec.image == "deployctl/backend:" + old);
  CHECK(spec.settings.environment.at("MODE") == "old");
}

TEST_CASE("a changed proxy setting takes effect with its own rollout, not when the agent starts") {
  World world;
  world.services = {service_named("backend")};
  {
    Agent agent(world);
    agent.push({"backend"}, 'a');
    agent.work();
  }
  world.services[0].proxy.port = 9000;
  Agent agent(world);
  run_virtual(world.clock, agent.traffic.restore(true));
  REQUIRE(world.proxy.live.size() == 1);
  CHECK(world.proxy.live[0].settings.port == 8000);
  agent.push({"backend"}, 'b');
  agent.work();
  CHECK(world.proxy.live[0].settings.port == 9000);
}

TEST_CASE("a renamed service that keeps its upstream gets it with its first target") {
  World world;
  world.services = {service_named("backend")};
  {
    Agent agent(world);
    agent.push({"backend"}, 'a');
    agent.work();
  }
  world.services = {service_named("api")};
  world.services[0].proxy.upstream = "backend";
  Agent agent(world);
  run_virtual(world.clock, agent.traffic.restore(true));
  const auto holder = [&] {
    std::string name;
    for (const auto& route : world.proxy.live) {
      if (route.settings.upstream == "backend") name += route.service;
    }
    return name;
  };
  CHECK(holder() == "backend");
  agent.push({"api"}, 'b');
  agent.work();
  CHECK(agent.last().phase == domain::Phase::succeeded);
  CHECK(holder() == "api");
}

TEST_CASE("with git and image, events pull and a ref named by hand is built") {
  using enum domain::StepKind;
  auto service = service_named("backend");
  service.source.image = "registry/backend:{sha}";
  domain::Rollout rollout;
  rollout.commit = commit_of('a');
  rollout.ref = "main";
  CHECK(rollout::source_steps(rollout, service) == std::vector{pull});
  rollout.commit.clear();
  CHECK(rollout::source_steps(rollout, service) == std::vector{fetch, build});
  rollout.ref.clear();
  CHECK(rollout::source_steps(rollout, service) == std::vector{fetch, pull});
  service.source.git.reset();
  const auto error = error_of([&] { rollout::source_steps(rollout, service); });
  CHECK(error.message() ==
        "the image \"registry/backend:{sha}\" of backend needs a commit: name one image with --image, or give "
        "the service a source.git");
}

TEST_CASE("images beyond `retain` are removed, those of the newest revisions stay") {
  World world;
  world.services = {service_named("backend")};
  world.services[0].retain = 2;
  Agent agent(world);
  for (const char commit : {'a', 'b', 'c', 'd'}) {
    agent.push({"backend"}, commit);
    agent.work();
  }
  std::vector<std::string> left;
  for (const auto& revision : agent.journal.revisions.promoted("backend")) left.push_back(revision.commit.substr(0, 1));
  CHECK(left == std::vector<std::string>{"d", "c"});
  const auto images = run_virtual(world.clock, world.engine.images({{"deployctl.instance", "instance-1"}}));
  CHECK(images.size() == 2);
}

TEST_CASE("a pulled image is pinned by its digest, and one that was there before us is never removed") {
  World world;
  world.services = {service_named("backend")};
  world.services[0].source.git.reset();
  world.services[0].source.image = "registry/backend:v1";
  world.services[0].retain = 1;
  world.engine.registry = {{"registry/backend:v1", {}}, {"registry/backend:v2", {}}};
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  REQUIRE(agent.outcomes() == "backend succeeded");
  world.services[0].source.image = "registry/backend:v2";
  agent.push({"backend"}, 'b');
  agent.work();
  REQUIRE(agent.outcomes() == "backend succeeded, backend succeeded");
  CHECK(world.engine.at(routed_container(world, "backend")).spec.image.starts_with("registry/backend@sha256:"));
}

TEST_CASE("connections that are under way are waited for, and those left at the end of the drain time are counted") {
  World world;
  world.services = {service_named("backend")};
  world.services[0].drain = std::chrono::seconds(30);
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  world.engine.at(routed_container(world, "backend")).connections[8000] = 2;
  agent.push({"backend"}, 'b');
  agent.work();
  CHECK(agent.last().phase == domain::Phase::succeeded);
  for (const auto& step : agent.journal.rollouts.steps(agent.last().id)) {
    if (step.kind == domain::StepKind::drain) CHECK(step.detail == "2 connections left after 30.0 s");
  }
}
