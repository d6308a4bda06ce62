#include <catch2/catch_all.hpp>

#include "agent/base/error.hpp"
#include "tests/agent_world/world.hpp"

using namespace deploy;
using namespace deploy::tests;

TEST_CASE("a version that is not healthy never gets traffic, and its container, image and address are gone") {
  World world;
  world.services = {service_named("backend")};
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  const auto before = routed_container(world, "backend");
  const auto switches = world.proxy.history.size();
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
  CHECK(world.proxy.history.size() == switches);
  CHECK_FALSE(run_virtual(world.clock, world.engine.inspect_image("deployctl/backend:" + refused)));
  CHECK(agent.journal.targets.present().size() == 1);
}

TEST_CASE("a container that is removed by hand while it is probed is said to be gone, not that it has no log") {
  World world;
  world.services = {service_named("backend")};
  world.prober.judge = [&world](const FakeProber::Probe& probe) {
    run_virtual(world.clock, world.engine.remove(probe.container_id));
    return ports::Verdict{false, "the container is gone: something other than this rollout removed it"};
  };
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  CHECK(agent.last().phase == domain::Phase::rolled_back);
  const auto revision = agent.journal.revisions.get(*agent.last().revision).name;
  CHECK(agent.last().reason ==
        revision + "-1-1 is not healthy: the container is gone: something other than this rollout removed it");
}

TEST_CASE("the journal shows which step failed, what was undone, and what happened in words") {
  World world;
  world.services = {service_named("backend")};
  world.prober.judge = [](const FakeProber::Probe&) { return ports::Verdict{false, "no answer"}; };
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  std::string states;
  for (const auto& step : agent.journal.rollouts.steps(agent.last().id)) {
    states += domain::to_string(step.kind) + " " + domain::to_string(step.state) + "\n";
  }
  CHECK(states ==
        "fetch succeeded\nbuild undone\ncreate undone\nstart undone\nprobe failed\nswitch pending\npromote pending\n"
        "prune pending\n");
  const auto revision = agent.journal.revisions.get(*agent.last().revision).name;
  std::string told;
  for (const auto& event : agent.events.of_rollout(agent.last().id)) told += event.text + "\n";
  CHECK(told ==
        "queued: push of o/r, commit aaaaaaa\nstarted\nfetch …\nfetch: commit aaaaaaa\nbuild …\nbuild: "
        "deployctl/backend:" +
            revision + "\ncreate …\ncreate: " + revision + "-1-1\nstart …\nstart: done\nprobe …\nprobe failed: " +
            revision + "-1-1 is not healthy: no answer\nundoing start\nstart undone\nundoing create\ncreate undone\n" +
            "undoing build\nbuild undone\nrolled back: " + revision + "-1-1 is not healthy: no answer\n");
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

TEST_CASE("a rollback whose image was removed by hand builds it again from its commit") {
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
  CHECK(agent.last().phase == domain::Phase::succeeded);
  CHECK(agent.journal.rollouts.steps(agent.last().id).front().detail == "deployctl/backend:" + old + ", built again");
}

TEST_CASE("a rollback whose pulled image was removed by hand pulls it again by its digest") {
  World world;
  world.services = {service_named("backend")};
  world.services[0].source.git.reset();
  world.services[0].source.image = "registry/backend:v1";
  world.engine.registry = {{"registry/backend:v1", {}}, {"registry/backend:v2", {}}};
  run_virtual(world.clock, world.engine.remove_image("registry/backend:v1"));
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  world.services[0].source.image = "registry/backend:v2";
  agent.push({"backend"}, 'b');
  agent.work();
  const auto old = agent.journal.revisions.promoted("backend").back();
  run_virtual(world.clock, world.engine.remove_image("registry/backend:v1"));
  run_virtual(world.clock, world.engine.remove_image(old.image));
  world.engine.registry[old.image] = {};
  agent.roll_back("backend", old.name);
  agent.work();
  CHECK(agent.last().phase == domain::Phase::succeeded);
  CHECK(agent.journal.rollouts.steps(agent.last().id).front().detail == old.image + ", pulled again");
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

TEST_CASE("a switch that worked and could not be written down is done again, never undone") {
  World world;
  world.services = {service_named("backend")};
  {
    Agent agent(world);
    agent.push({"backend"}, 'a');
    agent.work();
    // The table is away when the switch's success is to be written.
    bool hidden = false;
    world.proxy.on_point = [&](std::string_view point) {
      const bool switched = world.proxy.targets("backend").front().address != "10.2.0.10";
      if (point != "proxy.apply.after" || !switched || hidden) return;
      hidden = true;
      agent.database.execute("ALTER TABLE routes RENAME TO hidden_routes");
    };
    agent.push({"backend"}, 'b');
    agent.work(std::chrono::seconds(8));
    CHECK_FALSE(agent.complaints.empty());
    CHECK(world.engine.names().size() == 2);
    agent.database.execute("ALTER TABLE hidden_routes RENAME TO routes");
    world.proxy.on_point = nullptr;
  }
  Agent agent(world);
  agent.work();
  CHECK(agent.last().phase == domain::Phase::succeeded);
  CHECK(routed_container(world, "backend").starts_with("backend-bbbbbbb-"));
  CHECK(world.engine.names().size() == 1);
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

TEST_CASE("a rollout of what is live already ends as that, whichever of its commits the agent died of") {
  bool all_seen = false;
  for (int killed_at = 1; !all_seen; ++killed_at) {
    World world;
    world.services = {service_named("backend")};
    {
      Agent agent(world);
      agent.push({"backend"}, 'a');
      agent.work();
      agent.push({"backend"}, 'a');
      int commits = 0;
      agent.database.on_commit([&](bool committed) {
        if (committed && ++commits == killed_at) throw std::runtime_error("killed");
      });
      agent.work();
      agent.database.on_commit(nullptr);
      all_seen = commits < killed_at;
    }
    INFO("killed at commit " << killed_at);
    Agent agent(world);
    agent.work();
    CHECK(agent.outcomes() == "backend succeeded, backend unchanged");
    CHECK(agent.complaints.empty());
    CHECK(world.engine.names() == std::vector{routed_container(world, "backend")});
  }
}
