#include <catch2/catch_all.hpp>

#include "agent/base/error.hpp"
#include "tests/rollout/world.hpp"

using namespace deploy;
using namespace deploy::tests;

namespace {

/// The one container that requests of the service reach, by name.
std::string routed_container(World& world, const std::string& service) {
  const auto targets = world.proxy.targets(service);
  REQUIRE(targets.size() == 1);
  for (const auto& name : world.engine.names()) {
    for (const auto& endpoint : world.engine.at(name).container.networks) {
      if (endpoint.network == "deployctl" && endpoint.address == targets[0].address) return name;
    }
  }
  FAIL("requests of " << service << " go to " << targets[0].address << ", where no container is");
  return "";
}

}  // namespace

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

TEST_CASE("a container is on both networks, never under the service's name, and carries our labels") {
  World world;
  world.services = {service_named("backend")};
  world.services[0].container.labels = {{"team", "a"}};
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  const auto& record = world.engine.at(routed_container(world, "backend"));
  const auto revision = agent.journal.revisions.promoted("backend").front().name;
  CHECK(record.spec.network.network == "internal");
  CHECK(record.spec.network.aliases == std::vector{revision});
  CHECK(record.spec.labels == ports::Labels{{"team", "a"},
                                            {"deployctl.instance", "instance-1"},
                                            {"deployctl.service", "backend"},
                                            {"deployctl.revision", revision},
                                            {"deployctl.rollout", "1"},
                                            {"deployctl.target", "1"}});
}

TEST_CASE("a version that is not healthy never gets traffic, and its container, image and address are gone") {
  World world;
  world.services = {service_named("backend")};
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  const auto before = routed_container(world, "backend");
  world.prober.judge = [](const FakeProber::Probe&) { return ports::Verdict{false, "GET /health answered 503"}; };
  world.engine.behave = [](const ports::ContainerSpec&) {
    FakeEngine::Behaviour behaviour;
    behaviour.log = {"starting", "db down"};
    return behaviour;
  };
  agent.push({"backend"}, 'b');
  agent.work();
  const auto failed = agent.last();
  CHECK(failed.phase == domain::Phase::rolled_back);
  const auto refused = agent.journal.revisions.get(*failed.revision).name;
  CHECK(failed.reason == refused + "-2-1 is not healthy: GET /health answered 503");
  CHECK(failed.log == std::vector<std::string>{"starting", "db down"});
  CHECK(world.engine.names() == std::vector{before});
  CHECK(world.proxy.history.size() == 1);
  CHECK_FALSE(run_virtual(world.clock, world.engine.inspect_image("deployctl/backend:" + refused)));
  CHECK(agent.journal.targets.present().size() == 1);
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
  CHECK(*agent.journal.rollouts.get({2}).started >= *agent.journal.rollouts.get({1}).finished);
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

TEST_CASE("what depends on a failed service does not go out, and says why") {
  World world;
  world.services = {service_named("frontend", {"backend"}), service_named("backend", {"llm"}), service_named("llm")};
  world.prober.judge = [](const FakeProber::Probe&) { return ports::Verdict{false, "no answer"}; };
  Agent agent(world);
  agent.push({"frontend", "backend", "llm"}, 'a');
  agent.work();
  CHECK(agent.outcomes() == "llm rolled_back, backend cancelled, frontend cancelled");
  CHECK(agent.journal.rollouts.get({2}).reason == "llm, which backend depends on, was not rolled out (rollout 1)");
  CHECK(world.engine.names().empty());
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

TEST_CASE("a rollback whose image was removed by hand says how to build it again") {
  World world;
  world.services = {service_named("backend")};
  Agent agent(world);
  for (const char commit : {'a', 'b'}) {
    agent.push({"backend"}, commit);
    agent.work();
  }
  const auto old = agent.journal.revisions.promoted("backend").back().name;
  run_virtual(world.clock, world.engine.remove_image("deployctl/backend:" + old));
  agent.roll_back("backend", old);
  agent.work();
  CHECK(agent.last().phase == domain::Phase::rolled_back);
  CHECK(agent.last().reason == "the image deployctl/backend:" + old + " of " + old +
                                   " was removed by hand; build it again with: deployctl rollout backend --ref " +
                                   commit_of('a'));
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

TEST_CASE("a failed switch is undone: the old container keeps the traffic and the new one goes") {
  World world;
  world.services = {service_named("backend")};
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  const auto before = routed_container(world, "backend");
  world.proxy.fail_before.emplace_back(ErrorKind::timed_out, "the new configuration was not proved within 10 s");
  agent.push({"backend"}, 'b');
  agent.work();
  CHECK(agent.last().phase == domain::Phase::rolled_back);
  CHECK(agent.last().reason == "the new configuration was not proved within 10 s");
  CHECK(routed_container(world, "backend") == before);
  CHECK(world.engine.names() == std::vector{before});
}

TEST_CASE("a switch that may have taken place is switched back before its container goes") {
  World world;
  world.services = {service_named("backend")};
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  const auto before = routed_container(world, "backend");
  world.proxy.fail_after.emplace_back(ErrorKind::in_doubt, "no proof, and the previous files could not be loaded");
  agent.push({"backend"}, 'b');
  agent.work();
  CHECK(agent.last().phase == domain::Phase::rolled_back);
  CHECK(routed_container(world, "backend") == before);
  CHECK(world.engine.names() == std::vector{before});
}

TEST_CASE("a switch without an Nginx changes nothing and is rolled back, not left for a person") {
  World world;
  world.services = {service_named("backend")};
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  const Error missing(ErrorKind::not_found, "there is no container named nginx");
  world.proxy.fail_before.assign(5, missing);
  agent.push({"backend"}, 'b');
  agent.work();
  CHECK(agent.last().phase == domain::Phase::rolled_back);
  CHECK(agent.last().reason == "there is no container named nginx");
}

TEST_CASE("an undo that fails asks for a person and says both causes") {
  World world;
  world.services = {service_named("backend")};
  Agent agent(world);
  world.prober.judge = [](const FakeProber::Probe&) { return ports::Verdict{false, "no answer"}; };
  world.engine.fail("remove", 1, FakeEngine::When::before, Error(ErrorKind::failed, "device busy"));
  agent.push({"backend"}, 'a');
  agent.work();
  CHECK(agent.last().phase == domain::Phase::needs_operator);
  CHECK(agent.last().reason.ends_with(" is not healthy: no answer; and undoing \"create\" failed: device busy"));
}

TEST_CASE("what was replaced and cannot be removed asks for a person, with the new version live") {
  World world;
  world.services = {service_named("backend")};
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  world.engine.fail("remove", 1, FakeEngine::When::before, Error(ErrorKind::failed, "device busy"));
  agent.push({"backend"}, 'b');
  agent.work();
  CHECK(agent.last().phase == domain::Phase::needs_operator);
  CHECK(agent.last().reason.ends_with(" is live, but what it replaced could not be cleared away: device busy"));
  CHECK(routed_container(world, "backend").starts_with("backend-bbbbbbb-"));
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

TEST_CASE("a missing Dockerfile is named before anything is built") {
  World world;
  world.services = {service_named("backend")};
  world.source.has_dockerfile = false;
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  CHECK(agent.last().reason ==
        "there is no file Dockerfile in folder \".\" of commit aaaaaaa; set source.git.context and "
        "source.git.dockerfile to where the Dockerfile is");
  CHECK(world.engine.effects().empty());
}

TEST_CASE("a stop at any point of a rollout is survived: the next start finishes it, with nothing left over") {
  int points = 0;
  for (int stop_at = 1; stop_at <= points || points == 0; ++stop_at) {
    World world;
    world.services = {service_named("backend")};
    world.services[0].replicas = 2;
    {
      Agent agent(world);
      agent.push({"backend"}, 'a');
      agent.work();
      REQUIRE(agent.outcomes() == "backend succeeded");
    }
    int reached = 0;
    {
      Agent agent(world);
      const auto count = [&](std::string_view) {
        if (++reached == stop_at) agent.stop();
      };
      world.engine.on_call = [&](const std::string& call, FakeEngine::When) { count(call); };
      world.proxy.on_point = world.prober.on_point = world.source.on_point = count;
      agent.push({"backend"}, 'b');
      agent.work();
      world.engine.on_call = nullptr;
      world.proxy.on_point = world.prober.on_point = world.source.on_point = nullptr;
    }
    if (points == 0) points = 1000;  // until a rollout ends before it is stopped
    if (reached < stop_at) points = stop_at;
    INFO("stopped at point " << stop_at);
    Agent agent(world);
    agent.work();
    CHECK(agent.outcomes() == "backend succeeded, backend succeeded");
    CHECK(world.engine.names().size() == 2);
    CHECK(world.proxy.targets("backend").size() == 2);
    for (const auto& name : world.engine.names()) CHECK(name.starts_with("backend-bbbbbbb-"));
    CHECK(agent.journal.targets.present().size() == 2);
    CHECK(agent.complaints.empty());
  }
  CHECK(points > 20);
}
