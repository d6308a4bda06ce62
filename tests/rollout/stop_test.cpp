// Rollouts that are stopped, by a person or by a newer change, and services that are paused.
#include <catch2/catch_all.hpp>

#include "agent/api/commands.hpp"
#include "agent/base/error.hpp"
#include "tests/agent_world/world.hpp"
#include "tests/fakes/run.hpp"

using namespace deploy;
using namespace deploy::tests;

namespace {

/// Calls `what` once, when the engine begins this call.
void once_at(World& world, const std::string& call_start, std::function<void()> what) {
  auto done = std::make_shared<bool>(false);
  world.engine.on_call = [done, call_start, what](const std::string& call, FakeEngine::When when) {
    if (*done || when != FakeEngine::When::before || !call.starts_with(call_start)) return;
    *done = true;
    what();
  };
}

api::Commands commands_of(Agent& agent) {
  return {agent.journal, agent.releases, agent.world.services, [&agent] { agent.dispatcher.wake(); }};
}

}  // namespace

TEST_CASE("a rollout that is cancelled is undone at once, and says who did it") {
  World world;
  world.services = {service_named("backend")};
  Agent agent(world);
  auto commands = commands_of(agent);
  agent.push({"backend"}, 'a');
  agent.work();
  const auto before = routed_container(world, "backend");
  // The probe would take its time.
  world.prober.takes = std::chrono::minutes(1);
  const auto began = world.clock.elapsed();
  once_at(world, "start ", [&] { commands.cancel({"backend", 0}, "maria"); });
  agent.push({"backend"}, 'b');
  agent.work();
  CHECK(agent.last().phase == domain::Phase::cancelled);
  CHECK(agent.last().reason == "cancelled by maria");
  CHECK(world.clock.elapsed() - began < std::chrono::seconds(50));
  CHECK(world.engine.names() == std::vector{before});
  CHECK(routed_container(world, "backend") == before);
}

TEST_CASE("a queued rollout that is cancelled never begins") {
  World world;
  world.services = {service_named("backend")};
  Agent agent(world);
  auto commands = commands_of(agent);
  commands.pause({"backend", "a holiday"}, "maria");
  commands.rollout({{"backend"}, commit_of('a'), ""}, "maria");
  const auto id = agent.last().id.value;
  commands.cancel({"", id}, "jan");
  CHECK(agent.last().phase == domain::Phase::cancelled);
  CHECK(agent.last().reason == "cancelled by jan");
  const auto again = error_of([&] { commands.cancel({"", id}, "jan"); });
  CHECK(again.message() == "rollout 1 of backend has ended already: cancelled");
  const auto nothing = error_of([&] { commands.cancel({"backend", 0}, "jan"); });
  CHECK(nothing.message() == "no rollout of backend is queued or under way");
}

TEST_CASE("after its switch a rollout cannot be cancelled, and the message says what can be done") {
  World world;
  world.services = {service_named("backend")};
  Agent agent(world);
  auto commands = commands_of(agent);
  agent.push({"backend"}, 'a');
  agent.work();
  std::string refusal;
  once_at(world, "stop ", [&] { refusal = error_of([&] { commands.cancel({"backend", 0}, "maria"); }).message(); });
  agent.push({"backend"}, 'b');
  agent.work();
  CHECK(refusal ==
        "rollout 2 of backend has switched its traffic already and will be finished; go back with: deployctl rollback "
        "backend");
  CHECK(agent.last().phase == domain::Phase::succeeded);
}

TEST_CASE("one that is at its switch is not cancelled, and nobody says that it has switched") {
  World world;
  world.services = {service_named("backend")};
  Agent agent(world);
  auto commands = commands_of(agent);
  agent.push({"backend"}, 'a');
  agent.work();
  std::string refusal;
  world.proxy.on_point = [&](std::string_view point) {
    if (point != "proxy.apply.before" || agent.last().phase != domain::Phase::running || !refusal.empty()) return;
    refusal = error_of([&] { commands.cancel({"backend", 0}, "maria"); }).message();
  };
  agent.push({"backend"}, 'b');
  agent.work();
  CHECK(refusal ==
        "rollout 2 of backend is at its switch, which cannot be cut short; it goes on, or back by itself where that "
        "fails. Once it has ended, go back with: deployctl rollback backend");
}

TEST_CASE("a newer commit takes the place of a rollout that has not switched yet") {
  World world;
  world.services = {service_named("backend")};
  Agent agent(world);
  world.prober.takes = std::chrono::minutes(1);
  once_at(world, "start ", [&] {
    agent.push({"backend"}, 'b');
    agent.dispatcher.wake();
  });
  agent.push({"backend"}, 'a');
  agent.work();
  CHECK(agent.outcomes() == "backend superseded, backend succeeded");
  CHECK(agent.journal.rollouts.get({1}).reason == "release 2 brings a newer change");
  CHECK(routed_container(world, "backend").starts_with("backend-bbbbbbb-"));
  CHECK(world.engine.names().size() == 1);
}

TEST_CASE("with supersede: queued a rollout under way is finished first") {
  World world;
  world.services = {service_named("backend")};
  world.services[0].supersede = domain::Supersede::queued;
  Agent agent(world);
  world.prober.takes = std::chrono::seconds(30);
  once_at(world, "start ", [&] {
    agent.push({"backend"}, 'b');
    agent.dispatcher.wake();
  });
  agent.push({"backend"}, 'a');
  agent.work();
  CHECK(agent.outcomes() == "backend succeeded, backend succeeded");
  CHECK(routed_container(world, "backend").starts_with("backend-bbbbbbb-"));
}

TEST_CASE("the same commit once more does not begin anew what is under way") {
  World world;
  world.services = {service_named("backend")};
  Agent agent(world);
  world.prober.takes = std::chrono::seconds(30);
  once_at(world, "start ", [&] {
    agent.push({"backend"}, 'a');
    agent.dispatcher.wake();
  });
  agent.push({"backend"}, 'a');
  agent.work();
  CHECK(agent.outcomes() == "backend succeeded, backend unchanged");
}

TEST_CASE("a wish to stop is kept over a restart of the agent") {
  World world;
  world.services = {service_named("backend")};
  {
    Agent agent(world);
    auto commands = commands_of(agent);
    // The agent ends before it acts on the wish.
    once_at(world, "start ", [&] {
      commands.cancel({"backend", 0}, "maria");
      agent.stop();
    });
    agent.push({"backend"}, 'a');
    agent.work();
    CHECK_FALSE(domain::is_final(agent.last().phase));
  }
  world.engine.on_call = nullptr;
  Agent agent(world);
  agent.work();
  CHECK(agent.last().phase == domain::Phase::cancelled);
  CHECK(agent.last().reason == "cancelled by maria");
  CHECK(world.engine.names().empty());
}

TEST_CASE("a paused service waits, also over a restart, and goes on when it is resumed") {
  World world;
  world.services = {service_named("backend"), service_named("llm")};
  {
    Agent agent(world);
    commands_of(agent).pause({"backend", "the database is moved"}, "maria");
    agent.push({"backend", "llm"}, 'a');
    agent.work(std::chrono::minutes(10));
    CHECK(agent.outcomes() == "backend queued, llm succeeded");
  }
  Agent agent(world);
  agent.work(std::chrono::minutes(10));
  CHECK(agent.outcomes() == "backend queued, llm succeeded");
  const auto paused = agent.journal.pauses.all();
  REQUIRE(paused.size() == 1);
  CHECK(paused[0].reason == "the database is moved");
  CHECK(paused[0].who == "maria");
  commands_of(agent).resume({"backend", ""}, "maria");
  agent.work();
  CHECK(agent.outcomes() == "llm succeeded, backend succeeded");
}

TEST_CASE("a pause of everything holds every service back") {
  World world;
  world.services = {service_named("backend"), service_named("llm")};
  Agent agent(world);
  auto commands = commands_of(agent);
  commands.pause({"", "an incident"}, "");
  agent.push({"backend", "llm"}, 'a');
  agent.work(std::chrono::minutes(10));
  CHECK(agent.outcomes() == "backend queued, llm queued");
  CHECK(error_of([&] {
          commands.resume({"backend", ""}, "");
        }).message() == "backend is not paused; `deployctl status` shows what is");
  CHECK(error_of([&] {
          commands.pause({"nobody", ""}, "");
        }).message() == "there is no service \"nobody\"; there are: backend, llm");
}
