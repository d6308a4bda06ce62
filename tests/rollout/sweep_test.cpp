// What belongs to nothing any more is removed, and foreign things stay.
#include <catch2/catch_all.hpp>

#include "agent/base/error.hpp"
#include "tests/agent_world/labelled.hpp"

using namespace deploy;
using namespace deploy::tests;

TEST_CASE("what a failed clean-up left is removed later, and a foreign container never") {
  World world;
  world.services = {service_named("backend")};
  add_container(world, "postgres", {}, "10.2.1.1");
  add_container(world, "backend-other", {{domain::labels::instance, "instance-2"}}, "10.2.1.2");
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  world.engine.fail("remove", 1, FakeEngine::When::before, Error(ErrorKind::failed, "device busy"));
  agent.push({"backend"}, 'b');
  agent.work();
  CHECK(agent.last().phase == domain::Phase::needs_operator);
  const auto live = routed_container(world, "backend");
  CHECK(world.engine.names() == std::vector<std::string>{live, "backend-other", "postgres"});
  CHECK(agent.journal.targets.present().size() == 1);
}

TEST_CASE("what is left over is stopped when its last requests have ended, or its drain time is over") {
  World world;
  world.services = {service_named("backend")};
  world.services[0].drain = std::chrono::minutes(5);
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  const auto old = routed_container(world, "backend");
  for (const auto* call : {"stop", "remove"})
    world.engine.fail(call, 1, FakeEngine::When::before, Error(ErrorKind::failed, "device busy"));
  world.engine.at(old).connections[8000] = 1;
  agent.push({"backend"}, 'b');
  agent.work(std::chrono::minutes(6));
  REQUIRE(agent.last().phase == domain::Phase::needs_operator);
  agent.work(std::chrono::seconds(10));
  CHECK(world.engine.names().size() == 2);
  CHECK(agent.reconciler.problems() ==
        std::vector<std::string>{"the container " + old +
                                 " belongs to nothing any more; it is removed when its requests have ended"});
  SECTION("its requests end") {
    world.engine.at(old).connections.clear();
    agent.work(std::chrono::minutes(1));
    CHECK(world.engine.names() == std::vector{routed_container(world, "backend")});
  }
  SECTION("the drain time ends") {
    agent.work(std::chrono::minutes(6));
    CHECK(world.engine.names() == std::vector{routed_container(world, "backend")});
  }
}

TEST_CASE("a build that fails leaves no image beside the one that was pulled for the same commit") {
  World world;
  world.services = {service_named("backend")};
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  const auto own = [&] {
    return run_virtual(world.clock, world.engine.images({{domain::labels::instance, "instance-1"}}));
  };
  REQUIRE(own().size() == 1);
  auto revision = agent.journal.revisions.promoted("backend").front();
  revision.image = "registry/backend@sha256:1";
  agent.journal.revisions.set_image(revision);
  agent.work();
  CHECK(own().size() == 1);  // a container runs from it
  agent.push({"backend"}, 'b');
  agent.work();
  REQUIRE(own().size() == 1);
  CHECK(own()[0].tags.front().starts_with("deployctl/backend:backend-bbbbbbb-"));
}

TEST_CASE("an image that is pulled for a revision whose build was interrupted is kept for a rollback") {
  World world;
  world.services = {service_named("backend")};
  world.services[0].source.image = "registry/backend:{sha}";
  world.source.refs[world.services[0].source.git->url + " main"] = commit_of('a');
  Agent agent(world);
  world.engine.fail("build", 1, FakeEngine::When::before, Error(ErrorKind::failed, "the connection was lost"));
  store::Job by_hand;
  by_hand.service = "backend";
  by_hand.ref = "main";
  agent.releases.plan_now({by_hand});
  agent.work();
  REQUIRE(agent.last().phase == domain::Phase::rolled_back);
  for (const char commit : {'a', 'b'}) {
    world.engine.registry["registry/backend:" + commit_of(commit)] = {};
    agent.push({"backend"}, commit);
    agent.work();
    REQUIRE(agent.last().phase == domain::Phase::succeeded);
  }
  const auto promoted = agent.journal.revisions.promoted("backend");
  REQUIRE(promoted.size() == 2);
  CHECK(agent.journal.revisions.with_image("").size() == 2);  // the build's was the same revision
  for (const auto& revision : promoted) CHECK(run_virtual(world.clock, world.engine.inspect_image(revision.image)));
}

TEST_CASE("the image of a build that was interrupted is removed, and that of a live revision is not") {
  World world;
  world.services = {service_named("backend")};
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  world.engine.fail("build", 1, FakeEngine::When::after, Error(ErrorKind::failed, "the connection was lost"));
  agent.push({"backend"}, 'b');
  agent.work();
  CHECK(agent.last().phase == domain::Phase::rolled_back);
  const auto images = run_virtual(world.clock, world.engine.images({{domain::labels::instance, "instance-1"}}));
  REQUIRE(images.size() == 1);
  CHECK(images[0].tags == std::vector<std::string>{"deployctl/" + std::string("backend:") +
                                                   agent.journal.revisions.promoted("backend").front().name});
}
