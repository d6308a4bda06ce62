// A rollout whose version is live only clears away what it replaced: nobody waits for that.
#include <catch2/catch_all.hpp>

#include "agent/api/commands.hpp"
#include "tests/agent_world/world.hpp"
#include "tests/fakes/run.hpp"

using namespace deploy;
using namespace deploy::tests;

namespace {

using std::chrono::seconds;

/// An llm, and a backend that calls it; each keeps two connections to a version that is to go for all of its drain
/// time.
struct LongDrains {
  World world;
  std::optional<Agent> agent;
  std::optional<api::Commands> commands;
  int drains = 0;
  std::function<void(int drain)> on_drain;  // counted from 1

  LongDrains() {
    world.services = {service_named("llm"), service_named("backend")};
    world.services[1].depends_on = {"llm"};
    agent.emplace(world);
    commands.emplace(agent->journal, agent->releases, world.services, [this] { agent->dispatcher.wake(); });
    agent->push({"llm", "backend"}, 'a');
    agent->work();
    for (auto& service : world.services) service.drain = seconds(60);
    std::set<std::string> seen;
    world.engine.on_call = [this, seen](const std::string& call, FakeEngine::When when) mutable {
      if (when != FakeEngine::When::before || !call.starts_with("established_connections ")) return;
      if (!seen.insert(call).second) return;
      ++drains;
      if (on_drain) on_drain(drains);
    };
    hold("llm");
    hold("backend");
  }

  void hold(const std::string& service) { world.engine.at(routed_container(world, service)).connections[8000] = 2; }

  domain::Rollout rollout(std::int64_t id) { return agent->journal.rollouts.get({id}); }
};

}  // namespace

TEST_CASE("the next rollout starts while the one before it drains") {
  LongDrains drains;
  auto& agent = *drains.agent;
  auto& commands = *drains.commands;
  drains.on_drain = [&](int drain) {
    if (drain == 1) commands.rollout({{"backend"}, commit_of('c'), ""}, "maria");
  };
  agent.push({"backend"}, 'b');
  agent.work();
  CHECK(agent.outcomes() == "llm succeeded, backend succeeded, backend succeeded, backend succeeded");
  CHECK(*drains.rollout(4).started < *drains.rollout(3).finished);
  CHECK(*drains.rollout(3).finished - *drains.rollout(3).started >= seconds(60));
  CHECK(drains.world.engine.names().size() == 2);
  CHECK(routed_container(drains.world, "backend").find("ccccccc") != std::string::npos);
}

TEST_CASE("what depends on a service goes out when its new version is live, not when the old one is gone") {
  LongDrains drains;
  auto& agent = *drains.agent;
  agent.push({"llm", "backend"}, 'b');
  agent.work();
  CHECK(*drains.rollout(4).started < *drains.rollout(3).finished);
  CHECK(*drains.rollout(4).finished - *drains.rollout(3).started < seconds(90));
}

TEST_CASE("a service waits while two of its rollouts clear away") {
  LongDrains drains;
  auto& agent = *drains.agent;
  auto& commands = *drains.commands;
  drains.on_drain = [&](int drain) {
    if (drain == 1) drains.hold("backend");
    if (drain < 3) commands.rollout({{"backend"}, commit_of(static_cast<char>('b' + drain)), ""}, "maria");
  };
  agent.push({"backend"}, 'b');
  agent.work();
  CHECK(*drains.rollout(4).started < *drains.rollout(3).finished);
  CHECK(*drains.rollout(5).started >= *drains.rollout(3).finished);
  CHECK(*drains.rollout(5).started < *drains.rollout(4).finished);
}

TEST_CASE("cancel means the rollout that can be cancelled, not the one before it that only clears away") {
  LongDrains drains;
  auto& agent = *drains.agent;
  auto& commands = *drains.commands;
  drains.on_drain = [&](int drain) {
    if (drain != 1) return;
    commands.rollout({{"backend"}, commit_of('c'), ""}, "maria");
    commands.cancel({"backend", 0}, "maria");
  };
  agent.push({"backend"}, 'b');
  agent.work();
  CHECK(drains.rollout(3).phase == domain::Phase::succeeded);
  CHECK(drains.rollout(4).phase == domain::Phase::cancelled);
  CHECK(routed_container(drains.world, "backend").find("bbbbbbb") != std::string::npos);
}

TEST_CASE("a version that must run alone waits until the one before the live one is gone") {
  LongDrains drains;
  auto& agent = *drains.agent;
  auto& backend = drains.world.services[1];
  auto& commands = *drains.commands;
  drains.on_drain = [&](int drain) {
    if (drain != 1) return;
    backend.strategy = domain::StrategyKind::recreate;
    commands.rollout({{"backend"}, commit_of('c'), ""}, "maria");
  };
  agent.push({"backend"}, 'b');
  agent.work();
  CHECK(drains.rollout(4).phase == domain::Phase::succeeded);
  CHECK(let_in_at(agent.journal, {4}) >= *drains.rollout(3).finished);
}

TEST_CASE("a rollback to a version that ran alone waits, too, whatever the strategy is by now") {
  LongDrains drains;
  auto& agent = *drains.agent;
  auto& backend = drains.world.services[1];
  auto& commands = *drains.commands;
  backend.strategy = domain::StrategyKind::recreate;
  agent.push({"backend"}, 'b');
  agent.work();
  backend.strategy = domain::StrategyKind::rolling;
  drains.hold("backend");
  const auto seen = drains.drains;
  drains.on_drain = [&](int drain) {
    if (drain == seen + 1) commands.rollback({"backend", ""}, "maria");
  };
  agent.push({"backend"}, 'c');
  agent.work();
  REQUIRE(drains.rollout(5).phase == domain::Phase::succeeded);
  CHECK(let_in_at(agent.journal, {5}) >= *drains.rollout(4).finished);
}

TEST_CASE("what depends on a service does not wait for its drains, however many") {
  LongDrains drains;
  auto& agent = *drains.agent;
  auto& commands = *drains.commands;
  drains.on_drain = [&](int drain) {
    if (drain != 1) return;
    drains.hold("llm");
    commands.rollout({{"llm", "backend"}, commit_of('c'), ""}, "maria");
  };
  agent.push({"llm"}, 'b');
  agent.work();
  CHECK(*drains.rollout(5).started < *drains.rollout(3).finished);
}

TEST_CASE(
    "without memory for another version the next rollout waits for the drain, also where nothing else would wait") {
  LongDrains drains;
  // Room for two versions of backend, beside an llm.
  drains.world.memory.keep_free_bytes = 100;
  drains.world.memory.waits = false;
  drains.world.memory.available = [&]() -> std::optional<std::int64_t> {
    return drains.world.engine.names().size() < 3 ? 200 : 50;
  };
  drains.agent.emplace(drains.world);
  auto& agent = *drains.agent;
  auto& commands = *drains.commands;
  drains.on_drain = [&](int drain) {
    if (drain == 1) commands.rollout({{"backend"}, commit_of('c'), ""}, "maria");
  };
  agent.push({"backend"}, 'b');
  agent.work();
  CHECK(drains.rollout(4).phase == domain::Phase::succeeded);
  CHECK(*drains.rollout(4).started < *drains.rollout(3).finished);
}

TEST_CASE("an agent that is killed carries both on: what drains, and what began beside it") {
  LongDrains drains;
  auto& first = *drains.agent;
  api::Commands commands(first.journal, first.releases, drains.world.services, [&first] { first.dispatcher.wake(); });
  drains.on_drain = [&](int drain) {
    if (drain != 1) return;
    commands.rollout({{"backend"}, commit_of('c'), ""}, "maria");
    drains.world.prober.takes = seconds(40);
  };
  first.push({"backend"}, 'b');
  first.work(seconds(30));
  REQUIRE(drains.rollout(3).phase == domain::Phase::running);
  REQUIRE(drains.rollout(4).phase == domain::Phase::running);
  drains.agent.emplace(drains.world);
  drains.agent->work();
  CHECK(drains.rollout(3).phase == domain::Phase::succeeded);
  CHECK(drains.rollout(4).phase == domain::Phase::succeeded);
  CHECK(drains.world.engine.names().size() == 2);
}
