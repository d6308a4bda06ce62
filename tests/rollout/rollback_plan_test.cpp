// What a rollback would do, without doing it.
#include <catch2/catch_all.hpp>

#include "agent/api/commands.hpp"
#include "agent/base/error.hpp"
#include "agent/rollout/taking_back.hpp"
#include "tests/agent_world/world.hpp"
#include "tests/fakes/run.hpp"

using namespace deploy;
using namespace deploy::tests;
using Texts = std::vector<std::string>;

namespace {

/// llm <- backend, each with two versions that were live.
struct Two {
  Two() {
    world.services = {service_named("llm"), service_named("backend")};
    world.services[1].depends_on = {"llm"};
    world.services[1].retain = 5;
    agent.emplace(world);
    commands.emplace(agent->journal, agent->releases, world.services, [] {});
    release('a');
    first = live("backend");
    world.services[1].container.memory_bytes = 1024;
    world.services[1].container.environment = {{"PASSWORD", "secret"}};
    world.services[1].replicas = 2;
    release('b');
  }

  void release(char commit) {
    agent->push({"llm", "backend"}, commit);
    agent->work();
    REQUIRE(agent->last().phase == domain::Phase::succeeded);
  }
  std::string live(const std::string& service) { return rollout::live_revision(agent->journal, service); }

  /// And nothing was done or written down for it.
  api::PlanView plan(const api::RollbackRequest& request, const rollout::Resolve& resolve = as_written) {
    rollout::Previews previews(agent->journal, world.services, as_configured, resolve, "key", undrifted);
    const auto calls = world.engine.calls.size();
    const auto event = agent->journal.last_event();
    auto view = commands->plan_rollback(request, previews);
    CHECK(world.engine.calls.size() == calls);
    CHECK(agent->journal.last_event() == event);
    return view;
  }

  World world;
  std::optional<Agent> agent;
  std::optional<api::Commands> commands;
  std::string first;
};

}  // namespace

TEST_CASE("a rollback's plan goes from the live revision to the one before, with that one's own configuration") {
  Two two;
  const auto view = two.plan({"backend", ""});
  REQUIRE(view.services.size() == 1);
  const auto& planned = view.services[0];
  CHECK(planned.service == "backend");
  CHECK(planned.live == two.live("backend"));
  CHECK(planned.revision == two.first);
  CHECK(planned.strategy == "rolling");
  CHECK(planned.differences == Texts{"container.environment.PASSWORD: removed", "container.mem_limit: 1024 -> not set",
                                     "replicas: 2 -> not set"});
  CHECK(planned.steps == Texts{"image", "create new 1", "start new 1", "probe new 1", "switch new 1", "promote new 1",
                               "drain old 1, old 2", "stop old 1, old 2", "remove old 1, old 2", "prune"});
  CHECK(planned.notes.empty());
  CHECK(view.notes.empty());
  two.commands->rollback({"backend", ""}, "ann");
  two.agent->work();
  CHECK(two.live("backend") == planned.revision);
}

TEST_CASE("a rollback's plan to what is live says that nothing is done") {
  Two two;
  const auto planned = two.plan({"backend", two.live("backend")}).services.at(0);
  CHECK(planned.live == planned.revision);
  CHECK(planned.steps.empty());
  CHECK(planned.differences.empty());
  CHECK(planned.notes == Texts{"it is live already: nothing is done while each of its containers runs as it was made"});
}

TEST_CASE("a rollback's plan says what is irreversible, and what is in the way") {
  Two two;
  two.world.services[1].migrates_on_boot = true;
  two.world.services[1].strategy = domain::StrategyKind::recreate;
  two.release('c');
  const auto before = two.live("backend");
  two.release('d');
  two.agent->journal.pauses.add({"", "", "ann", two.agent->journal.now()});
  const auto to_c = two.plan({"backend", before}).services.at(0);
  CHECK(to_c.strategy == "recreate");
  CHECK(to_c.notes ==
        Texts{"the strategy is recreate, so backend answers nothing from the stop of the old version until the new one "
              "is healthy: the last time for 2.2 s",
              two.live("backend") + " changed the data when it started (migrates_on_boot); " + before +
                  " may not understand the data any more, so going back has to be confirmed with --yes",
              "the whole queue is paused: deployctl resume --all"});
  const auto missing = [](const domain::Service&) -> rollout::ResolvedSettings {
    throw Error(ErrorKind::invalid, "container.environment.DB needs the variable DB, which is not set");
  };
  CHECK(two.plan({"backend", two.first}, missing).services.at(0).notes.at(0) ==
        "it cannot be rolled back: container.environment.DB needs the variable DB, which is not set");
}

TEST_CASE("a rollback's plan notices that a variable has another value") {
  Two two;
  const auto other = [](const domain::Service& service) {
    auto settings = as_written(service);
    settings.container.environment["TOKEN"] = "another";
    return settings;
  };
  CHECK(two.plan({"llm", ""}, other).services.at(0).differences ==
        Texts{"a variable that the file names has another value"});
  CHECK(two.plan({"llm", ""}).services.at(0).differences.empty());
}

TEST_CASE("the plan for a whole release has its services in the order in which they go back") {
  Two two;
  const auto release = two.agent->last().release.value;
  const auto view = two.plan({"", "", release});
  REQUIRE(view.services.size() == 2);
  CHECK(view.services[0].service == "backend");
  CHECK(view.services[1].service == "llm");
  CHECK(view.services[0].revision == two.first);
  two.agent->push({"backend", ""}, 'c');
  two.agent->work();
  const auto after = two.plan({"", "", release});
  CHECK(after.services.empty());
  CHECK(after.notes == Texts{"not taken back: backend has another revision by now",
                             "not taken back: llm stays with backend, which depends on it"});
}

TEST_CASE("a rollback that makes no sense has no plan") {
  Two two;
  const auto refusal = [&](const api::RollbackRequest& request) {
    return error_of([&] { two.plan(request); }).message();
  };
  CHECK(refusal({"nobody", ""}) == "there is no service \"nobody\"; there are: llm, backend");
  CHECK(refusal({"", "", 99}) == "there is no release 99; `deployctl show ROLLOUT` names the one of a rollout");
  CHECK(refusal({"backend", "backend-x"}) ==
        "backend cannot be rolled back to \"backend-x\"; what is left: " + two.first);
}

TEST_CASE("while a rollout bakes, the plan turns it round and goes back to what stayed warm") {
  World world;
  world.services = {service_named("backend")};
  world.services[0].strategy = domain::StrategyKind::blue_green;
  world.services[0].bake = std::chrono::minutes(10);
  Agent agent(world);
  agent.push({"backend", ""}, 'a');
  agent.work();
  const auto first = rollout::live_revision(agent.journal, "backend");
  api::Commands commands(agent.journal, agent.releases, world.services, [] {});
  rollout::Previews previews(agent.journal, world.services, as_configured, as_written, "key", undrifted);
  std::optional<api::PlanView> view;
  world.prober.on_point = [&](std::string_view) {
    if (world.prober.probes.back().check.min_healthy == std::chrono::seconds(0) || view) return;
    view = commands.plan_rollback({"backend", ""}, previews);
  };
  agent.push({"backend", ""}, 'b');
  agent.work();
  REQUIRE(view);
  const auto& planned = view->services.at(0);
  CHECK(planned.live == rollout::live_revision(agent.journal, "backend"));
  CHECK(planned.revision == first);
  CHECK(planned.steps == Texts{"undo of rollout 2"});
  CHECK(planned.notes == Texts{"rollout 2 has switched and is being watched; it is turned round for this"});
}
