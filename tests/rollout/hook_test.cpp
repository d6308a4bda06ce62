// The users' hooks: before, verify, after.
#include <catch2/catch_all.hpp>

#include "agent/api/commands.hpp"
#include "agent/base/error.hpp"
#include "tests/rollout/hooks.hpp"

using namespace deploy;
using namespace deploy::tests;

namespace {

int starts_of_hooks(const World& world) {
  return static_cast<int>(std::count_if(world.engine.calls.begin(), world.engine.calls.end(), [](const auto& call) {
    return call.starts_with("start ") && call.find("-before-") != std::string::npos;
  }));
}

std::string kinds(Agent& agent) {
  std::string text;
  for (const auto& step : agent.journal.rollouts.steps(agent.last().id)) {
    text += (text.empty() ? "" : " ") + domain::to_string(step.kind);
  }
  return text;
}

}  // namespace

TEST_CASE("hooks stand where every strategy has them: first, before the switch, and before promote") {
  World world;
  auto service = migrating();
  service.hooks.before.push_back(command({"./seed"}));
  service.hooks.verify = {command({"check"})};
  service.hooks.after = {command({"ask"})};
  service.strategy = domain::StrategyKind::blue_green;
  service.bake = std::chrono::seconds(10);
  world.services = {service};
  hooks_exit_with(world, 0);
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  CHECK(kinds(agent) == "fetch build before before create start probe verify switch after promote prune");
  agent.push({"backend"}, 'b');
  agent.work();
  CHECK(kinds(agent) ==
        "fetch build before before create start probe verify switch after bake promote drain stop remove prune");
  CHECK(agent.outcomes() == "backend succeeded, backend succeeded");
  CHECK(starts_of_hooks(world) == 4);
  CHECK(world.engine.names().size() == 1);
}

TEST_CASE("a migration runs in a container of the new image, with the service's environment and its own") {
  World world;
  auto service = migrating();
  service.container.environment = {{"DB", "postgres"}, {"MODE", "serve"}};
  service.container.restart = "always";
  service.hooks.before[0].environment = {{"MODE", "migrate"}};
  world.services = {service};
  hooks_exit_with(world, 0);
  std::vector<ports::ContainerSpec> made;
  world.engine.on_call = [&](const std::string& call, FakeEngine::When when) {
    if (when == FakeEngine::When::after && call.starts_with("start "))
      made.push_back(world.engine.at(call.substr(6)).spec);
  };
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  REQUIRE(made.size() == 2);
  CHECK(made[0].image == made[1].image);
  CHECK(made[0].settings.command == std::vector<std::string>{"./migrate"});
  CHECK(made[0].settings.environment == std::map<std::string, std::string>{{"DB", "postgres"}, {"MODE", "migrate"}});
  CHECK(made[0].settings.restart == "no");
  CHECK_FALSE(made[0].labels.contains("deployctl.target"));
  CHECK(made[1].settings.environment.at("MODE") == "serve");
}

TEST_CASE("a migration that fails ends the rollout before anything was made, with its output") {
  World world;
  world.services = {migrating()};
  hooks_exit_with(world, 3);
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  CHECK(agent.last().phase == domain::Phase::rolled_back);
  CHECK(agent.last().reason == "the hook \"./migrate\" exited with 3");
  CHECK(agent.last().log == std::vector<std::string>{"migrating", "done"});
  CHECK(world.engine.names().empty());
}

TEST_CASE("the last lines of a hook are shown although the engine ends its log before them") {
  World world;
  world.services = {migrating()};
  world.engine.loses_last_lines = true;
  hooks_exit_with(world, 3);
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  CHECK(agent.last().log == std::vector<std::string>{"migrating", "done"});
}

TEST_CASE("a migration that does not end is stopped at its timeout") {
  World world;
  auto service = migrating();
  service.hooks.before[0].timeout = std::chrono::minutes(2);
  world.services = {service};
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work(std::chrono::minutes(10));
  CHECK(agent.last().reason == "the hook \"./migrate\" did not end within its timeout, 2 min 0 s");
  CHECK(world.engine.names().empty());
}

TEST_CASE("a migration that ran while the agent was killed is not run again") {
  World world;
  world.services = {migrating()};
  hooks_exit_with(world, 0);
  {
    Agent agent(world);
    world.engine.fail("follow_logs", 1, FakeEngine::When::after, Error(ErrorKind::unreachable, "the engine is gone"));
    agent.push({"backend"}, 'a');
    agent.work();
    CHECK(agent.last().phase == domain::Phase::succeeded);
  }
  CHECK(starts_of_hooks(world) == 1);
}

TEST_CASE("going back runs no migration") {
  World world;
  world.services = {migrating()};
  hooks_exit_with(world, 0);
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  agent.push({"backend"}, 'b');
  agent.work();
  api::Commands commands(agent.journal, agent.releases, world.services, [&] { agent.dispatcher.wake(); });
  commands.rollback({"backend", "", 0, false}, "ann");
  agent.work();
  CHECK(agent.last().phase == domain::Phase::succeeded);
  CHECK(kinds(agent).find("before") == std::string::npos);
}

TEST_CASE("a new version that fails its verify never gets traffic") {
  World world;
  auto service = service_named("backend");
  service.hooks.verify = {command({"curl", "http://llm:8000/health"})};
  world.services = {service};
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  const auto first = routed_container(world, "backend");
  world.engine.on_exec = [](const FakeEngine::Record&, const ports::ExecRequest&) {
    return ports::ExecResult{7, "connection refused\n"};
  };
  agent.push({"backend"}, 'b');
  agent.work();
  CHECK(agent.last().phase == domain::Phase::rolled_back);
  CHECK(agent.last().reason == "the hook \"curl http://llm:8000/health\" exited with 7");
  CHECK(agent.last().log == std::vector<std::string>{"connection refused"});
  CHECK(routed_container(world, "backend") == first);
}

TEST_CASE("a hook has its own environment, whichever container it runs in") {
  World world;
  add_postgres(world);
  auto service = service_named("backend");
  service.container.environment = {{"DB", "postgres"}};
  service.hooks.before = {dump()};
  service.hooks.before[0].environment = {{"PGPASSWORD", "1"}};
  service.hooks.verify = {command({"check"})};
  service.hooks.verify[0].environment = {{"TOKEN", "2"}};
  service.hooks.after = {command({"smoke"}), command({"plain"})};
  service.hooks.after[0].environment = {{"TOKEN", "3"}};
  world.services = {service};
  std::vector<std::pair<std::string, std::map<std::string, std::string>>> ran;
  world.engine.on_exec = [&](const FakeEngine::Record&, const ports::ExecRequest& request) {
    ran.emplace_back(request.argv.front(), request.environment);
    return ports::ExecResult{0, "rows"};
  };
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  CHECK(agent.last().phase == domain::Phase::succeeded);
  CHECK(ran == decltype(ran){{"pg_dump", {{"PGPASSWORD", "1"}}},
                             {"check", {{"TOKEN", "2"}}},
                             {"smoke", {{"TOKEN", "3"}}},
                             {"plain", {}}});
  CHECK(world.engine.at(routed_container(world, "backend")).spec.settings.environment ==
        std::map<std::string, std::string>{{"DB", "postgres"}});
}

TEST_CASE("a version that the proxy does not answer for is taken back") {
  World world;
  auto service = service_named("backend");
  domain::Hook ask;
  ask.host = "localhost";
  ask.path = "/api/health";
  ask.timeout = std::chrono::seconds(5);
  service.hooks.after = {ask};
  world.services = {service};
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  CHECK(agent.last().phase == domain::Phase::succeeded);
  const auto first = routed_container(world, "backend");
  world.prober.proxy = [](const std::string& url) {
    CHECK(url == "http://localhost/api/health");
    return ports::Verdict{false, "GET /api/health on localhost:80 answered 502"};
  };
  agent.push({"backend"}, 'b');
  agent.work();
  CHECK(agent.last().phase == domain::Phase::rolled_back);
  CHECK(agent.last().reason ==
        "the hook \"GET http://localhost/api/health\" failed for 5.0 s: GET /api/health on localhost:80 answered 502");
  CHECK(routed_container(world, "backend") == first);
}

TEST_CASE("what a hook ran in is removed where its rollout left it behind") {
  World world;
  world.services = {migrating()};
  hooks_exit_with(world, 0);
  Agent agent(world);
  world.engine.fail("remove", 1, FakeEngine::When::before, Error(ErrorKind::failed, "device busy"));
  agent.push({"backend"}, 'a');
  agent.work();
  CHECK(agent.last().phase == domain::Phase::needs_operator);
  CHECK(world.engine.names() == std::vector{routed_container(world, "backend")});
}

TEST_CASE("what a hook of another state folder ran in is told of and stays") {
  World world;
  world.services = {migrating()};
  hooks_exit_with(world, 0);
  ports::ContainerSpec strange;
  strange.name = "backend-aaaaaaa-c0de42-1-before-1";
  strange.image = "registry/backend:v1";
  strange.labels = {{"deployctl.instance", "instance-1"},
                    {"deployctl.service", "backend"},
                    {"deployctl.revision", "backend-aaaaaaa-c0de42"},
                    {"deployctl.rollout", "1"},
                    {"deployctl.hook", "before-1@1"}};
  run_virtual(world.clock, world.engine.create(strange));
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  CHECK(agent.last().phase == domain::Phase::succeeded);
  CHECK(world.engine.at(strange.name).container.state == "created");
  CHECK(agent.reconciler.problems() ==
        std::vector<std::string>{"the container " + strange.name +
                                 " ran a hook, and comes from another state folder; once it is not needed, remove it "
                                 "with: docker rm " +
                                 strange.name});
}

TEST_CASE("a push that comes while a migration runs waits for its end, also when the agent is started again") {
  World world;
  world.services = {migrating()};
  const bool killed = GENERATE(false, true);
  std::optional<Agent> agent;
  agent.emplace(world);
  std::string migration;
  const auto meanwhile = [&]() -> Task<void> {
    co_await world.clock.sleep_for(std::chrono::seconds(1));
    agent->push({"backend"}, 'b');
    agent->dispatcher.wake();
    co_await world.clock.sleep_for(std::chrono::minutes(1));
    CHECK(world.engine.at(migration).container.state == "running");
    hooks_exit_with(world, 0);
    if (!killed) world.engine.exit(migration, 0);
  };
  world.engine.on_call = [&](const std::string& call, FakeEngine::When when) {
    if (when != FakeEngine::When::before || !call.starts_with("follow_logs ") || !migration.empty()) return;
    migration = call.substr(12);
    asio::co_spawn(agent->context, meanwhile(), asio::detached);
  };
  agent->push({"backend"}, 'a');
  agent->work(killed ? std::chrono::minutes(2) : std::chrono::minutes(60));
  if (killed) {
    CHECK(agent->last().phase == domain::Phase::queued);
    agent.emplace(world);
    world.engine.exit(migration, 0);
    agent->work();
  }
  CHECK(agent->outcomes() == "backend superseded, backend succeeded");
  CHECK(std::count(world.engine.calls.begin(), world.engine.calls.end(), "start " + migration) == 1);
  CHECK(std::count(world.engine.calls.begin(), world.engine.calls.end(), "stop " + migration) == 0);
}

TEST_CASE("a command in a container of the users' that does not end, or is lost sight of, is not begun again") {
  World world;
  auto service = service_named("backend");
  service.hooks.before = {command({"backup"})};
  service.hooks.before[0].in = "postgres";
  world.services = {service};
  add_postgres(world);
  std::string why;
  SECTION("it does not end") {
    world.engine.fail("exec", 1, FakeEngine::When::after, Error(ErrorKind::timed_out, "backup took longer than 300 s"));
    why = "did not end within its timeout, 5 min 0 s";
  }
  SECTION("the engine went away") {
    world.engine.fail("exec", 1, FakeEngine::When::after, Error(ErrorKind::unreachable, "the engine is gone"));
    why = "was lost sight of: the engine is gone";
  }
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  CHECK(agent.last().phase == domain::Phase::rolled_back);
  CHECK(agent.last().reason == "the hook \"backup\" " + why + "; it may still run in the container postgres");
}

TEST_CASE("a rollback while hooks run after the switch takes that version back") {
  World world;
  auto service = service_named("backend");
  domain::Hook ask;
  ask.host = "localhost";
  ask.path = "/";
  ask.timeout = std::chrono::minutes(10);
  world.services = {service};
  Agent agent(world);
  api::Commands commands(agent.journal, agent.releases, world.services, [&] { agent.dispatcher.wake(); });
  for (const char commit : {'a', 'b'}) {
    agent.push({"backend"}, commit);
    agent.work();
  }
  const auto second = agent.journal.revisions.promoted("backend").front().name;
  world.services[0].hooks.after = {ask};
  int asked = 0;
  world.prober.proxy = [&](const std::string&) {
    if (++asked == 2) commands.rollback({"backend", "", 0, false}, "ann");
    return ports::Verdict{false, "answered 502"};
  };
  agent.push({"backend"}, 'c');
  agent.work();
  CHECK(agent.outcomes() == "backend succeeded, backend succeeded, backend cancelled, backend unchanged");
  CHECK(agent.journal.revisions.promoted("backend").front().name == second);
}
