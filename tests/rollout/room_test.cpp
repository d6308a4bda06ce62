// Steps that wait for room: for memory, or for workers of Nginx to leave; and what runs before a container is stopped.
#include <boost/asio/detached.hpp>
#include <catch2/catch_all.hpp>

#include "agent/api/commands.hpp"
#include "tests/agent_world/world.hpp"

using namespace deploy;
using namespace deploy::tests;

namespace {

constexpr std::int64_t mib = std::int64_t{1} << 20;

std::vector<std::string> notes_of(Agent& agent, domain::RolloutId id) {
  std::vector<std::string> notes;
  for (const auto& event : agent.events.of_rollout(id)) {
    if (event.kind == "note") notes.push_back(event.text);
  }
  return notes;
}

Task<void> cancel_later(World& world, api::Commands& commands) {
  co_await world.clock.sleep_for(std::chrono::minutes(1));
  commands.cancel({"backend", 0}, "maria");
}

}  // namespace

TEST_CASE("without memory for another container a rollout stops before it makes one, and says so") {
  World world;
  world.services = {service_named("backend")};
  std::int64_t available = 500 * mib;
  world.memory = {[&] { return available; }, 64 * mib, true};
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  const auto first = routed_container(world, "backend");
  available = 20 * mib;
  agent.push({"backend"}, 'b');
  agent.work();
  CHECK(agent.last().phase == domain::Phase::rolled_back);
  CHECK(agent.last().reason ==
        "only 20 MiB of memory are available, and a new container needs memory.keep_free, 64 MiB, to stay free; stop "
        "what is not needed, or lower memory.keep_free in agent.yaml");
  CHECK(world.engine.names() == std::vector{first});
}

TEST_CASE("while another rollout is under way, one without memory waits for its end") {
  World world;
  world.services = {service_named("backend"), service_named("llm")};
  std::optional<Agent> agent;
  const auto backend_takes_it = [&] { return agent->journal.under_way("backend") && !world.engine.names().empty(); };
  world.memory = {[&] { return backend_takes_it() ? 20 * mib : 500 * mib; }, 64 * mib, true};
  agent.emplace(world);
  agent->push({"backend", "llm"}, 'a');
  agent->work();
  CHECK(agent->outcomes() == "backend succeeded, llm succeeded");
  CHECK(notes_of(*agent, {2}) ==
        std::vector<std::string>{"only 20 MiB of memory are available, and a new container needs memory.keep_free, 64 "
                                 "MiB, to stay free; waiting for another rollout to end"});
}

TEST_CASE("rollouts that all wait for memory do not wait for each other") {
  World world;
  world.services = {service_named("backend"), service_named("llm")};
  world.memory = {[] { return 20 * mib; }, 64 * mib, true};
  Agent agent(world);
  const auto began = world.clock.elapsed();
  agent.push({"backend", "llm"}, 'a');
  agent.work();
  for (const auto& rollout : agent.journal.rollouts.history("", 10)) CHECK(rollout.phase == domain::Phase::rolled_back);
  CHECK(world.clock.elapsed() - began < std::chrono::minutes(1));
}

TEST_CASE("with when_low: stop nothing waits") {
  World world;
  world.services = {service_named("backend"), service_named("llm")};
  world.memory = {[&] { return world.engine.names().empty() ? 500 * mib : 20 * mib; }, 64 * mib, false};
  Agent agent(world);
  agent.push({"backend", "llm"}, 'a');
  agent.work();
  CHECK(agent.outcomes() == "llm rolled_back, backend succeeded");
}

TEST_CASE("a recreate needs no room for two") {
  World world;
  world.services = {service_named("backend")};
  world.services[0].strategy = domain::StrategyKind::recreate;
  world.memory = {[] { return 20 * mib; }, 64 * mib, true};
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  CHECK(agent.outcomes() == "backend succeeded");
}

TEST_CASE("a switch waits while too many workers of Nginx are shutting down") {
  World world;
  world.services = {service_named("backend")};
  Agent agent(world);
  world.proxy.shutting_down = {40, 33, 32};
  const auto began = world.clock.elapsed();
  agent.push({"backend"}, 'a');
  agent.work();
  CHECK(agent.outcomes() == "backend succeeded");
  CHECK(world.proxy.shutting_down.empty());
  CHECK(world.clock.elapsed() - began >= std::chrono::seconds(2));
  CHECK(world.prober.probes.size() == 2);  // what was true before the wait is asked again
  CHECK(
      notes_of(agent, {1}) ==
      std::vector<std::string>{"40 workers of Nginx are shutting down and still have connections, more than the 32 of "
                               "proxy.nginx.workers_leaving; the switch waits until some have ended"});
}

TEST_CASE("a rollout that waits for workers can be cancelled, and one that has switched does not wait") {
  World world;
  world.services = {service_named("backend")};
  world.services[0].replicas = 2;
  Agent agent(world);
  api::Commands commands(agent.journal, agent.releases, world.services, [&] { agent.dispatcher.wake(); });
  SECTION("cancelled") {
    world.proxy.shutting_down = std::deque<int>(2000, 50);
    asio::co_spawn(agent.context, cancel_later(world, commands), asio::detached);
    agent.push({"backend"}, 'a');
    agent.work();
    CHECK(agent.last().reason == "cancelled by maria");
    CHECK(agent.last().phase == domain::Phase::cancelled);
  }
  SECTION("between its switches") {
    world.proxy.shutting_down = {0, 50};
    agent.push({"backend"}, 'a');
    agent.work();
    CHECK(agent.outcomes() == "backend succeeded");
    CHECK(world.proxy.shutting_down == std::deque<int>{50});
  }
}

TEST_CASE("workers of Nginx that never leave fail the switch, with advice") {
  World world;
  world.services = {service_named("backend")};
  Agent agent(world);
  world.proxy.shutting_down = std::deque<int>(2000, 50);
  agent.push({"backend"}, 'a');
  agent.work();
  CHECK(agent.outcomes() == "backend rolled_back");
  CHECK(agent.last().reason ==
        "50 workers of Nginx are shutting down and still have connections, more than the 32 of "
        "proxy.nginx.workers_leaving; worker_shutdown_timeout in nginx.conf would end them after that time");
}

TEST_CASE("pre_stop runs in the old container before it is stopped, and keeps nothing from being stopped") {
  World world;
  world.services = {service_named("backend")};
  world.services[0].container.pre_stop = {"app", "leave"};
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  const auto first = routed_container(world, "backend");
  int exit_code = 0;
  SECTION("it works") {}
  SECTION("it fails") { exit_code = 3; }
  std::vector<std::string> ran;
  world.engine.on_exec = [&](const FakeEngine::Record& record, const ports::ExecRequest& request) {
    CHECK(record.container.state == "running");
    ran.push_back(record.container.name + " " + request.argv.at(0) + " " + request.argv.at(1));
    return ports::ExecResult{exit_code, ""};
  };
  agent.push({"backend"}, 'b');
  agent.work();
  CHECK(agent.outcomes() == "backend succeeded, backend succeeded");
  CHECK(ran == std::vector{first + " app leave"});
  const auto log = agent.log.read(agent.last().id, 0, 10000);
  CHECK(log.find(first + ": pre_stop exited with " + std::to_string(exit_code) + "\n") != std::string::npos);
}

TEST_CASE("a setting at its default is no part of what distinguishes two configurations") {
  auto service = service_named("backend");
  const auto hash = [&] { return rollout::config_hash(service, {service.container, {}}, "key"); };
  const auto plain = hash();
  service.bake = std::chrono::minutes(1);  // how it is rolled out, not what runs
  service.max_surge = 3;
  CHECK(hash() == plain);
  service.container.pre_stop = {"app", "leave"};
  CHECK(hash() != plain);
  service.container.pre_stop.clear();
  service.health.expect_status = 204;
  CHECK(hash() != plain);
}
