// Settings that stand in Compose's files: read when a rollout begins and when one is planned, and kept by revisions.
#include <catch2/catch_all.hpp>

#include "agent/base/error.hpp"
#include "agent/rollout/preview.hpp"
#include "tests/agent_world/world.hpp"
#include "tests/fakes/run.hpp"

using namespace deploy;
using namespace deploy::tests;
using Texts = std::vector<std::string>;

namespace {

/// A service whose environment stands in a file that can be edited while the agent runs.
struct Composed {
  Composed() {
    world.services = {service_named("backend")};
    world.complete = [this](domain::Service service) -> Task<domain::Service> {
      ++asked;
      if (takes.count() > 0) co_await world.clock.sleep_for(takes);
      if (!problem.empty()) throw Error(ErrorKind::invalid, problem);
      service.container.environment = file;
      co_return service;
    };
    agent.emplace(world);
  }

  rollout::Preview preview() {
    rollout::Previews previews(agent->journal, world.services, world.complete, as_written, "key", undrifted);
    return run(previews.of({})).at(0);
  }
  std::map<std::string, std::string> environment() {
    return world.engine.at(routed_container(world, "backend")).spec.settings.environment;
  }

  World world;
  std::optional<Agent> agent;
  std::map<std::string, std::string> file{{"MODE", "a"}};
  std::string problem;
  std::chrono::seconds takes{0};
  int asked = 0;
};

}  // namespace

TEST_CASE("a changed Compose file shows in a plan, is rolled out, and a rollback takes the old settings back") {
  Composed shop;
  auto& agent = *shop.agent;
  agent.push({"backend"}, 'a');
  agent.work();
  CHECK(shop.environment() == shop.file);
  CHECK(shop.preview().differences.empty());
  const auto first = agent.journal.revisions.promoted("backend").front().name;

  shop.file["MODE"] = "b";
  CHECK(shop.preview().differences == Texts{"container.environment.MODE: changed"});
  agent.push({"backend"}, 'a');  // the same commit
  agent.work();
  CHECK(agent.last().phase == domain::Phase::succeeded);
  CHECK(shop.environment().at("MODE") == "b");

  shop.file["MODE"] = "c";
  shop.asked = 0;
  agent.roll_back("backend", first);
  agent.work();
  CHECK(agent.last().phase == domain::Phase::succeeded);
  CHECK(shop.environment().at("MODE") == "a");
  CHECK(shop.asked == 0);
}

TEST_CASE("a rollout goes on after a restart with the settings that it began with") {
  Composed shop;
  shop.agent->push({"backend"}, 'a');
  shop.agent->work(std::chrono::seconds(6));  // it has begun
  REQUIRE(shop.asked == 1);
  shop.file["MODE"] = "b";
  shop.agent.emplace(shop.world);
  shop.agent->work();
  CHECK(shop.agent->outcomes() == "backend succeeded");
  CHECK(shop.environment().at("MODE") == "a");
  CHECK(shop.asked == 1);
}

TEST_CASE("a rollout whose Compose file cannot be read does nothing and says why") {
  Composed shop;
  shop.problem = "service backend: compose: Docker Compose refuses /srv/docker-compose.yml: yaml: line 3";
  shop.agent->push({"backend"}, 'a');
  shop.agent->work();
  CHECK(shop.agent->outcomes() == "backend rolled_back");
  CHECK(shop.agent->last().reason == shop.problem);
  CHECK(shop.agent->journal.rollouts.steps(shop.agent->last().id).empty());
  CHECK(shop.world.engine.names().empty());
  CHECK(shop.preview().notes == Texts{"it cannot be rolled out: " + shop.problem});
}

TEST_CASE("a rollout that is ended while its Compose file is read stays ended") {
  for (const std::string problem : {"", "Compose did not end within 60 s"}) {
    Composed shop;
    shop.takes = std::chrono::seconds(60);
    shop.problem = problem;
    shop.agent->push({"backend"}, 'a');
    shop.agent->start();
    run_virtual(shop.agent->context, shop.world.clock, shop.world.clock.sleep_for(std::chrono::seconds(10)));
    auto rollout = shop.agent->last();
    REQUIRE(rollout.phase == domain::Phase::queued);
    REQUIRE(shop.asked == 1);
    shop.agent->journal.end(rollout, domain::Phase::cancelled, "by ann");
    run_virtual(shop.agent->context, shop.world.clock, shop.world.clock.sleep_for(std::chrono::minutes(5)));
    CHECK(shop.agent->outcomes() == "backend cancelled");
    CHECK(shop.agent->last().reason == "by ann");
    CHECK(shop.world.engine.names().empty());
    shop.agent->stop();
    shop.agent->context.restart();
    shop.agent->context.run();
  }
}
