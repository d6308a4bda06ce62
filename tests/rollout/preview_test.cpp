// What a rollout would do, and how the configuration differs from what runs.
#include "agent/rollout/preview.hpp"

#include <catch2/catch_all.hpp>

#include "agent/base/error.hpp"
#include "tests/agent_world/world.hpp"
#include "tests/fakes/run.hpp"

using namespace deploy;
using namespace deploy::tests;
using Texts = std::vector<std::string>;

namespace {

struct Live {
  Live() {
    world.services = {service_named("backend"), service_named("llm")};
    world.services[0].depends_on = {"llm"};
    agent.emplace(world);
    agent->push({"llm", "backend"}, 'a');
    agent->work();
  }

  std::vector<rollout::Preview> previews(const Texts& names = {}, const rollout::Resolve& resolve = as_written) {
    rollout::Previews previews(agent->journal, world.services, world.complete, resolve, "key", undrifted);
    return run(previews.of(names));
  }

  World world;
  std::optional<Agent> agent;
};

}  // namespace

TEST_CASE("a preview has the services in order, what is live, and the steps") {
  Live live;
  const auto all = live.previews();
  REQUIRE(all.size() == 2);
  CHECK(all[0].service == "llm");
  CHECK(all[1].service == "backend");
  CHECK(all[1].live == live.agent->journal.revisions.promoted("backend").front().name);
  CHECK(all[1].strategy == "rolling");
  CHECK(all[1].differences.empty());
  CHECK(all[1].notes.empty());
  CHECK(all[1].steps == Texts{"fetch", "build", "create new 1", "start new 1", "probe new 1", "switch new 1",
                              "promote new 1", "drain old 1", "stop old 1", "remove old 1", "prune"});
  CHECK(live.previews({"backend"}).size() == 1);
}

TEST_CASE("a preview of what was never rolled out has no live revision") {
  World world;
  world.services = {service_named("backend")};
  domain::Hook migrate;
  migrate.run = {"./migrate"};
  world.services[0].hooks.before = {migrate};
  world.services[0].strategy = domain::StrategyKind::recreate;
  Agent agent(world);
  rollout::Previews previews(agent.journal, world.services, as_configured, as_written, "key", undrifted);
  const auto preview = run(previews.of({})).at(0);
  CHECK(preview.live.empty());
  CHECK(preview.steps == Texts{"fetch", "build", "before \"./migrate\"", "create new 1", "start new 1", "probe new 1",
                               "switch new 1", "promote new 1", "prune"});
}

TEST_CASE("a preview names what differs by the keys of the file, and of variables the names alone") {
  Live live;
  auto& service = live.world.services[0];
  service.container.environment = {{"PASSWORD", "secret"}};
  service.container.memory_bytes = 1024;
  service.container.volumes = {"data:/data"};
  service.health.expect_status = 204;
  service.proxy.upstream = "api";
  service.source.image = "registry/backend:{sha}";
  service.drain = std::chrono::seconds(7);  // no matter of what runs
  CHECK(live.previews({"backend"}).at(0).differences ==
        Texts{"container.environment.PASSWORD: new", "container.mem_limit: not set -> 1024",
              "container.volumes: not set -> [\"data:/data\"]", "health.expect.status: not set -> 204",
              "proxy.upstream: \"backend\" -> \"api\"", "source.image: \"\" -> \"registry/backend:{sha}\""});
}

TEST_CASE("a variable that was removed or changed differs") {
  domain::Service running;
  running.container.environment = {{"A", "1"}, {"B", "1"}};
  auto configured = running;
  configured.container.environment = {{"A", "2"}};
  CHECK(rollout::differences(running, configured) ==
        Texts{"container.environment.A: changed", "container.environment.B: removed"});
}

TEST_CASE("a preview notices that a variable has another value, and does not say which") {
  Live live;
  const auto other = [](const domain::Service& service) {
    auto settings = as_written(service);
    settings.container.environment["PASSWORD"] = "another";
    return settings;
  };
  CHECK(live.previews({"llm"}, other).at(0).differences == Texts{"a variable that the file names has another value"});
}

TEST_CASE("a preview has what somebody changed by hand, because a rollout puts it back") {
  Live live;
  const auto drift = [](const std::string& service) {
    return service == "llm" ? Texts{"the container llm-1 was changed by hand"} : Texts{};
  };
  rollout::Previews previews(live.agent->journal, live.world.services, as_configured, as_written, "key", drift);
  const auto all = run(previews.of({}));
  CHECK(all.at(0).differences == Texts{"the container llm-1 was changed by hand"});
  CHECK(all.at(1).differences.empty());
  // So does a rollback to what is live.
  store::Job job;
  job.service = "llm";
  job.revision = all[0].live;
  const auto back = previews.of_rollbacks({job}, std::nullopt).at(0);
  CHECK(back.differences == Texts{"the container llm-1 was changed by hand"});
  CHECK(back.steps.size() == 10);
  CHECK(back.notes.empty());
}

TEST_CASE("a preview says what is in the way") {
  Live live;
  live.world.services[1].strategy = domain::StrategyKind::recreate;
  live.agent->journal.pauses.add({"llm", "", "ann", live.agent->journal.now()});
  CHECK(live.previews({"llm"}).at(0).notes ==
        Texts{"the strategy is recreate, so llm answers nothing from the stop of the old version until the new one is "
              "healthy: for 2 min 40 s at the most (drain, stop_grace_period and health.deadline)",
              "it is paused: deployctl resume llm"});
  const auto missing = [](const domain::Service&) -> rollout::ResolvedSettings {
    throw Error(ErrorKind::invalid, "container.environment.DB needs the variable DB, which is not set");
  };
  CHECK(live.previews({"backend"}, missing).at(0).notes ==
        Texts{"it cannot be rolled out: container.environment.DB needs the variable DB, which is not set"});
}
