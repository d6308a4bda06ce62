// What a lost or older state folder left is adopted or reported.
#include <algorithm>
#include <catch2/catch_all.hpp>
#include <filesystem>

#include "tests/agent_world/labelled.hpp"

using namespace deploy;
using namespace deploy::tests;

namespace {

void lose_state(World& world) { std::filesystem::remove_all(world.folder / "state.db"); }

}  // namespace

TEST_CASE("with a lost state folder the containers that get the traffic are live again") {
  World world;
  world.services = {service_named("backend")};
  std::string live;
  {
    Agent agent(world);
    agent.push({"backend"}, 'a');
    agent.work();
    live = routed_container(world, "backend");
  }
  lose_state(world);
  Agent agent(world);
  agent.work();
  CHECK(agent.outcomes() == "backend succeeded");
  CHECK(agent.last().cause == "containers found by their labels, not in the state of deployd");
  CHECK(routed_container(world, "backend") == live);
  CHECK(world.engine.names() == std::vector{live});
  // And a rollout takes over from them as from any other.
  agent.push({"backend"}, 'b');
  agent.work();
  CHECK(agent.last().phase == domain::Phase::succeeded);
  CHECK(world.engine.names() == std::vector{routed_container(world, "backend")});
  agent.roll_back("backend", agent.journal.revisions.promoted("backend").back().name);
  agent.work();
  CHECK(agent.last().phase == domain::Phase::succeeded);
  CHECK(routed_container(world, "backend").starts_with("backend-aaaaaaa-"));
}

TEST_CASE("what is adopted keeps the port at which it has the traffic, whatever the configuration says by now") {
  World world;
  world.services = {service_named("backend")};
  {
    Agent agent(world);
    agent.push({"backend"}, 'a');
    agent.work();
  }
  lose_state(world);
  world.services[0].proxy.port = 9000;
  const auto before = world.proxy.targets("backend");
  Agent agent(world);
  agent.work();
  CHECK(world.proxy.targets("backend") == before);
  CHECK(agent.journal.targets.live("backend").front().port == 8000);
}

TEST_CASE("rollouts after a lost state folder are numbered after those whose containers are there") {
  World world;
  world.services = {service_named("backend")};
  {
    Agent agent(world);
    agent.push({"backend"}, 'a');
    agent.work();
    agent.push({"backend"}, 'b');
    agent.work();
  }
  lose_state(world);
  Agent agent(world);
  agent.work();
  CHECK(agent.last().id.value == 1);
  agent.push({"backend"}, 'b');
  agent.work();
  CHECK(agent.last().id.value == 3);
  CHECK(agent.outcomes() == "backend succeeded, backend unchanged");
}

TEST_CASE(
    "with a state lost in the middle of a rolling update both revisions stay in traffic, and the newer one counts") {
  World world;
  world.services = {service_named("backend")};
  world.services[0].replicas = 2;
  {
    Agent agent(world);
    agent.push({"backend"}, 'a');
    agent.work();
    world.engine.on_call = [&](const std::string& call, FakeEngine::When when) {
      if (when == FakeEngine::When::after && call.starts_with("stop ")) agent.stop();
    };
    agent.push({"backend"}, 'b');
    agent.work();
    world.engine.on_call = nullptr;
  }
  lose_state(world);
  Agent agent(world);
  agent.work();
  CHECK(world.proxy.targets("backend").size() == 2);
  CHECK(agent.journal.targets.live("backend").size() == 2);
  const auto adopted = agent.journal.rollouts.get({1});
  CHECK(adopted.phase == domain::Phase::succeeded);
  CHECK(agent.journal.revisions.get(*adopted.revision).name.starts_with("backend-bbbbbbb-"));
  // The third container had been stopped already: a person is to look at it.
  CHECK(agent.last().phase == domain::Phase::needs_operator);
  agent.push({"backend"}, 'b');
  agent.work();
  CHECK(agent.last().phase == domain::Phase::succeeded);
  for (const auto& target : agent.journal.targets.live("backend"))
    CHECK(target.container_name.starts_with("backend-bbbbbbb-"));
}

TEST_CASE("without state and upstream files the newest healthy containers are taken up, and no other gets traffic") {
  World world;
  world.services = {service_named("backend"), service_named("llm")};
  {
    Agent agent(world);
    agent.push({"backend", "llm"}, 'a');
    agent.work();
  }
  const auto backend = routed_container(world, "backend");
  lose_state(world);
  world.proxy.live.clear();
  world.prober.judge = [&](const FakeProber::Probe& probe) {
    return ports::Verdict{world.engine.at(backend).container.id == probe.container_id, "no answer"};
  };
  Agent agent(world);
  agent.work();
  CHECK(routed_container(world, "backend") == backend);
  CHECK(world.proxy.targets("llm").empty());
  CHECK(agent.outcomes() == "backend succeeded, llm needs_operator");
}

TEST_CASE("containers of another state that get no traffic are reported, and never removed") {
  World world;
  world.services = {service_named("backend")};
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  const auto live = routed_container(world, "backend");
  add_container(world, "backend-fffffff-000000-9-1", labels_of("backend", "backend-fffffff-000000", 9, 99),
                "10.2.0.99");
  agent.work();
  CHECK(agent.last().phase == domain::Phase::needs_operator);
  CHECK(
      agent.last().reason ==
      "these containers are of this installation, but its state does not know them and they get no traffic (an older "
      "state folder?): look at them, and remove those that nobody needs with: docker rm -f backend-fffffff-000000-9-1");
  CHECK(world.engine.names() == std::vector<std::string>{live, "backend-fffffff-000000-9-1"});
  CHECK(routed_container(world, "backend") == live);
  // Once a person removed it, nothing is left of it, and it is reported once only.
  run_virtual(world.clock, world.engine.remove("backend-fffffff-000000-9-1"));
  agent.work();
  CHECK(agent.outcomes() == "backend succeeded, backend needs_operator");
  CHECK(agent.journal.targets.present().size() == 1);
}

TEST_CASE("with an older state folder what gets the traffic is adopted, and what it replaced goes") {
  World world;
  world.services = {service_named("backend")};
  const auto kept = world.folder / "older.db";
  {
    Agent agent(world);
    agent.push({"backend"}, 'a');
    agent.work();
  }
  std::filesystem::copy_file(world.folder / "state.db", kept);
  {
    Agent agent(world);
    agent.push({"backend"}, 'b');
    agent.work();
  }
  const auto newer = routed_container(world, "backend");
  std::filesystem::copy_file(kept, world.folder / "state.db", std::filesystem::copy_options::overwrite_existing);
  Agent agent(world);
  agent.work();
  CHECK(routed_container(world, "backend") == newer);
  CHECK(world.engine.names() == std::vector{newer});
  CHECK(agent.journal.targets.live("backend").size() == 1);
}

TEST_CASE("what was under way in an older state folder is not carried on: others may have its addresses now") {
  World world;
  world.services = {service_named("llm"), service_named("backend")};
  const auto kept = world.folder / "older.db";
  {
    Agent agent(world);
    agent.push({"llm"}, 'a');
    agent.work();
    world.engine.on_call = [&](const std::string& call, FakeEngine::When) {
      if (call.starts_with("start llm-bbbbbbb")) agent.stop();
    };
    agent.push({"llm"}, 'b');
    agent.work();
    world.engine.on_call = nullptr;
    REQUIRE(agent.journal.rollouts.unfinished().size() == 1);
  }
  std::filesystem::copy_file(world.folder / "state.db", kept);
  {
    Agent agent(world);
    agent.work();
    agent.push({"backend"}, 'c');
    agent.work();
  }
  const auto llm = routed_container(world, "llm");
  const auto backend = routed_container(world, "backend");
  REQUIRE(llm.starts_with("llm-bbbbbbb-"));
  REQUIRE(world.proxy.targets("backend").front().address == "10.2.0.10");  // that of llm's first container
  std::filesystem::copy_file(kept, world.folder / "state.db", std::filesystem::copy_options::overwrite_existing);
  const auto switches = world.proxy.history.size();
  Agent agent(world);
  agent.work();
  CHECK(world.proxy.history.size() == switches);
  CHECK(routed_container(world, "llm") == llm);
  CHECK(routed_container(world, "backend") == backend);
  CHECK(world.engine.names().size() == 2);
  const auto rollouts = agent.journal.rollouts.history("llm", 10);
  const auto cut_off = std::find_if(rollouts.begin(), rollouts.end(),
                                    [](const auto& rollout) { return rollout.phase == domain::Phase::needs_operator; });
  REQUIRE(cut_off != rollouts.end());
  CHECK(cut_off->reason ==
        "the state folder of an earlier time was put back, when this rollout was under way; the containers of this "
        "installation stay as they are: look at them, and roll out again");
}

TEST_CASE("a state from before a switch that Nginx has made since is not carried on") {
  World world;
  world.services = {service_named("llm")};
  const auto kept = world.folder / "older.db";
  {
    Agent agent(world);
    world.engine.on_call = [&](const std::string& call, FakeEngine::When) {
      if (call.starts_with("start llm-aaaaaaa")) agent.stop();
    };
    agent.push({"llm"}, 'a');
    agent.work();
    world.engine.on_call = nullptr;
  }
  std::filesystem::copy_file(world.folder / "state.db", kept);
  Agent(world).work();
  const auto llm = routed_container(world, "llm");
  const auto switches = world.proxy.history.size();
  std::filesystem::copy_file(kept, world.folder / "state.db", std::filesystem::copy_options::overwrite_existing);
  Agent agent(world);
  agent.work();
  CHECK(world.proxy.history.size() == switches);
  CHECK(routed_container(world, "llm") == llm);
  CHECK(agent.outcomes() == "llm needs_operator, llm succeeded");
}

TEST_CASE("a container that was made in a time that is lost is not taken for one of the same numbers") {
  World world;
  world.services = {service_named("llm")};
  const auto kept = world.folder / "older.db";
  const auto stop_at = [&](Agent& agent, const std::string& what) {
    world.engine.on_call = [&agent, what](const std::string& call, FakeEngine::When) {
      if (call.starts_with(what)) agent.stop();
    };
  };
  {
    Agent agent(world);
    stop_at(agent, "build ");
    agent.push({"llm"}, 'a');
    agent.work();
  }
  std::filesystem::copy_file(world.folder / "state.db", kept);
  lose_state(world);
  {
    Agent agent(world);
    stop_at(agent, "start llm-bbbbbbb");
    agent.push({"llm"}, 'b');
    agent.work();
  }
  world.engine.on_call = nullptr;
  const auto made = world.engine.names();
  REQUIRE(made.size() == 1);
  std::filesystem::copy_file(kept, world.folder / "state.db", std::filesystem::copy_options::overwrite_existing);
  Agent agent(world);
  agent.work();
  CHECK(world.engine.names() == made);
  CHECK(agent.journal.rollouts.get({1}).phase == domain::Phase::needs_operator);
}

TEST_CASE("a container that the engine made after its agent was killed is our own") {
  World world;
  world.services = {service_named("backend")};
  Agent agent(world);
  bool made = false;
  world.engine.on_call = [&](const std::string& call, FakeEngine::When when) {
    if (made || when != FakeEngine::When::before || !call.starts_with("create ")) return;
    made = true;
    ports::ContainerSpec spec;
    spec.name = call.substr(std::string("create ").size());
    spec.image = world.engine.all_images().back().tags.front();
    spec.labels = labels_of("backend", agent.journal.revisions.with_image("").front().name, 1, 1);
    spec.network.network = "internal";
    run_virtual(world.clock, world.engine.create(spec));
  };
  agent.push({"backend"}, 'a');
  agent.work();
  CHECK(made);
  CHECK(agent.outcomes() == "backend succeeded");
  CHECK(world.engine.names() == std::vector{routed_container(world, "backend")});
}
