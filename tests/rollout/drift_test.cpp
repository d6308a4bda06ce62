// What somebody changed by hand in what is live: told of, left as it is, and put back by a rollout.
#include "agent/rollout/drift.hpp"

#include <catch2/catch_all.hpp>

#include "agent/rollout/taking_back.hpp"
#include "tests/agent_world/world.hpp"

using namespace deploy;
using namespace deploy::tests;

namespace {

using Sentences = std::vector<std::string>;

/// A backend that is live, with limits.
struct Limited {
  Limited() {
    world.services = {service_named("backend")};
    auto& settings = world.services[0].container;
    settings.memory_bytes = 2048;
    settings.cpus = 0.5;
    settings.restart = "on-failure:3";
    agent.emplace(world);
    agent->push({"backend"}, 'a');
    agent->work();
    name = routed_container(world, "backend");
    REQUIRE(agent->reconciler.drift().empty());
    agent->said.clear();
  }

  ports::Container& container() { return world.engine.at(id()).container; }
  std::string id() { return agent->journal.targets.live("backend").at(0).container_id; }
  std::string told(const std::string& what) {
    return "the container " + name + " was changed by hand: " + what +
           "; make a new one with: deployctl rollback backend --to " +
           rollout::live_revision(agent->journal, "backend");
  }

  World world;
  std::optional<Agent> agent;
  std::string name;
};

}  // namespace

TEST_CASE("what somebody changed in a container that is live is told of once, stays, and is put back by a rollout") {
  Limited limited;
  auto& container = limited.container();
  std::string what;
  SECTION("its memory") {
    container.memory_bytes = 1024;
    what = "its memory limit is 1024, and not 2048";
  }
  SECTION("its CPUs") {
    container.cpus = 1.5;
    what = "its limit of CPUs is 1.5, and not 0.5";
  }
  SECTION("its restart policy") {
    container.restart = "always";
    what = "its restart policy is always, and not on-failure:3";
  }
  SECTION("its name") {
    run_virtual(limited.world.clock, limited.world.engine.rename(limited.id(), "mine"));
    what = "its name is mine, and not " + limited.name;
  }
  SECTION("the network that services share") {
    run_virtual(limited.world.clock, limited.world.engine.disconnect(limited.id(), "internal"));
    what = "it is not on the network internal any more";
  }
  SECTION("another network") {
    container.networks.push_back({"bridge", "172.17.0.9", {}});
    what = "it is on the network bridge, too";
  }
  SECTION("its address") {
    container.networks.back().address = "10.2.0.77";
    what = "its address on the network deployctl is 10.2.0.77, and not 10.2.0.10";
  }
  SECTION("the network by which requests come") {
    run_virtual(limited.world.clock, limited.world.engine.disconnect(limited.id(), "deployctl"));
    what = "it is not on the network deployctl any more, so that no request reaches it";
  }
  const auto effects = limited.world.engine.effects().size();
  auto& agent = *limited.agent;
  agent.work();
  agent.work();
  const rollout::Reconciler::Drift expected{{"backend", {limited.told(what)}}};
  CHECK(agent.reconciler.drift() == expected);
  CHECK(agent.said == Sentences{limited.told(what)});
  CHECK(agent.reconciler.problems().empty());
  CHECK(limited.world.engine.effects().size() == effects);

  agent.push({"backend"}, 'a');
  agent.work();
  CHECK(agent.last().phase == domain::Phase::succeeded);
  CHECK(agent.reconciler.drift().empty());
  const auto& fresh = limited.container();
  CHECK(fresh.name != limited.name);
  CHECK(fresh.memory_bytes == 2048);
  agent.push({"backend"}, 'a');
  agent.work();
  CHECK(agent.last().phase == domain::Phase::unchanged);
}

TEST_CASE("a limit that nobody set is told of, and one that the engine ignores is not") {
  ports::Container container;
  container.name = "backend-1";
  container.network_mode = "internal";
  container.networks = {{"internal", "10.1.2.1", {}}, {"deployctl", "10.2.0.10", {}}};
  container.restart = "unless-stopped";
  container.memory_bytes = 1024;
  domain::Target target;
  target.container_name = "backend-1";
  target.address = "10.2.0.10";
  domain::Service made;
  CHECK(rollout::changed_by_hand(container, target, made, "deployctl") ==
        Sentences{"its memory limit is 1024, and not none"});
  made.container.memory_bytes = 2048;
  made.container.cpus = 2;
  container.memory_bytes = 0;
  CHECK(rollout::changed_by_hand(container, target, made, "deployctl").empty());
  made.container.restart = "on-failure:0";
  container.restart = "on-failure";
  CHECK(rollout::changed_by_hand(container, target, made, "deployctl").empty());
}

TEST_CASE("a container that was stopped and started again is not taken for changed by hand") {
  Limited limited;
  run_virtual(limited.world.clock, limited.world.engine.stop(limited.id(), std::chrono::seconds(1)));
  limited.agent->work();
  CHECK(limited.container().state == "running");
  CHECK(limited.agent->reconciler.drift().empty());
}

TEST_CASE("with route dns the container that has the service's name is as deployd made it") {
  World world;
  world.services = {service_named("backend")};
  world.services[0].proxy.dns = true;
  Agent agent(world);
  for (const char commit : {'a', 'b'}) {
    agent.push({"backend"}, commit);
    agent.work();
    CHECK(world.engine.names() == Sentences{"backend"});
    CHECK(agent.reconciler.drift().empty());
  }
  const auto id = world.engine.at("backend").container.id;
  run_virtual(world.clock, world.engine.rename(id, "mine"));
  agent.work();
  CHECK(agent.reconciler.drift().at("backend").at(0).starts_with(
      "the container backend was changed by hand: its name is mine, and not backend; "));
}

TEST_CASE("what a container was made with is not known where its revision was found by its labels") {
  Limited limited;
  const auto target = limited.agent->journal.targets.live("backend").at(0);
  limited.container().memory_bytes = 1;
  const auto changed = rollout::changed_by_hand(limited.container(), target, std::nullopt, "deployctl");
  CHECK(changed.empty());
  CHECK(limited.agent->journal.made_with(target)->container.memory_bytes == 2048);
}

TEST_CASE("an upstream file that was changed by hand is drift until the next switch") {
  Limited limited;
  auto& agent = *limited.agent;
  limited.world.proxy.edited = {"/srv/upstreams/backend.conf"};
  agent.work();
  const std::string told =
      "/srv/upstreams/backend.conf was changed by hand; the next switch writes deployd's own text again, and keeps "
      "this "
      "one beside it as /srv/upstreams/backend.conf.edited";
  CHECK(agent.reconciler.drift() == rollout::Reconciler::Drift{{"", {told}}});
  CHECK(agent.said == Sentences{told});
  agent.push({"backend"}, 'b');
  agent.work();
  CHECK(agent.reconciler.drift().empty());
}
