// What the API refuses, before anything is queued.
#include <catch2/catch_all.hpp>

#include "agent/api/commands.hpp"
#include "agent/api/queries.hpp"
#include "agent/base/error.hpp"
#include "tests/agent_world/world.hpp"
#include "tests/fakes/run.hpp"

using namespace deploy;
using namespace deploy::tests;

TEST_CASE("a rollout to what is not an image reference is refused, and nothing is queued") {
  World world;
  world.services = {service_named("backend")};
  Agent agent(world);
  api::Commands commands(agent.journal, agent.releases, world.services, [] {});
  const auto error = error_of([&] { commands.rollout({{"backend"}, "", "Not An Image"}, "maria"); });
  CHECK(error.kind() == ErrorKind::invalid);
  CHECK(error.message() ==
        "\"Not An Image\" is not an image reference; write it as repository:tag or repository@sha256:digest");
  CHECK(agent.journal.rollouts.unfinished().empty());
  CHECK(agent.journal.rollouts.history("", 10).empty());
}

TEST_CASE("questions about a service that does not exist name those that do") {
  World world;
  world.services = {service_named("backend"), service_named("llm")};
  Agent agent(world);
  api::Queries queries(agent.journal, world.services);
  const std::string expected = "there is no service \"bakend\"; there are: backend, llm";
  CHECK(error_of([&] { queries.history("bakend", 10); }).message() == expected);
  CHECK(error_of([&] { queries.live_targets("bakend"); }).message() == expected);
  CHECK(queries.history("backend", 10).rollouts.empty());
  CHECK(error_of([&] { queries.live_targets("backend"); }).message() ==
        "no container of backend is live; `deployctl status` shows what is, and deployctl rollout backend starts one");
}

TEST_CASE("a service that was taken out of deploy.d still has its history") {
  World world;
  world.services = {service_named("backend")};
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  const std::vector<domain::Service> others{service_named("llm")};
  CHECK(api::Queries(agent.journal, others).history("backend", 10).rollouts.size() == 1);
}
