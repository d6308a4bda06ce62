// Between rollouts: targets that die or are not healthy, and an Nginx that comes back without our routes.
#include <catch2/catch_all.hpp>

#include "agent/base/error.hpp"
#include "tests/agent_world/world.hpp"

using namespace deploy;
using namespace deploy::tests;

namespace {

std::vector<std::string> routed_to(World& world) {
  std::vector<std::string> addresses;
  for (const auto& target : world.proxy.targets("backend")) addresses.push_back(target.address);
  return addresses;
}

}  // namespace

TEST_CASE("an Nginx that lost its routes has them again after the next pass") {
  World world;
  world.services = {service_named("backend")};
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  const auto routes = world.proxy.live;
  world.proxy.live.clear();
  agent.work();
  CHECK(world.proxy.live == routes);
  CHECK(agent.said == std::vector<std::string>{"Nginx has the routes again that were live"});
}

TEST_CASE("the first start of an installation says nothing of routes that were live") {
  World world;
  world.services = {service_named("backend")};
  Agent agent(world);
  agent.work();
  CHECK(world.proxy.live.size() == 1);
  CHECK(agent.said.empty());
}

TEST_CASE("a live target that is not healthy gets no traffic while another is, and gets it back") {
  World world;
  world.services = {service_named("backend")};
  world.services[0].replicas = 2;
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  REQUIRE(routed_to(world) == std::vector<std::string>{"10.2.0.10", "10.2.0.11"});
  world.prober.judge = [](const FakeProber::Probe& probe) {
    return ports::Verdict{probe.endpoint.address != "10.2.0.10", "GET /health answered 503"};
  };
  agent.work(std::chrono::minutes(2));
  CHECK(routed_to(world) == std::vector<std::string>{"10.2.0.11"});
  REQUIRE_FALSE(agent.reconciler.problems().empty());
  CHECK(agent.reconciler.problems()[0].ends_with("-1-1 is not healthy and gets no traffic until it is"));
  world.prober.judge = nullptr;
  agent.work();
  CHECK(routed_to(world) == std::vector<std::string>{"10.2.0.10", "10.2.0.11"});
  CHECK(agent.reconciler.problems().empty());
}

TEST_CASE("a rolling update replaces the target that is not healthy first, and gives it no traffic on the way") {
  World world;
  world.services = {service_named("backend")};
  world.services[0].replicas = 3;
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  world.prober.judge = [](const FakeProber::Probe& probe) {
    return ports::Verdict{probe.endpoint.address != "10.2.0.11", "GET /health answered 503"};
  };
  agent.work(std::chrono::minutes(2));
  REQUIRE(routed_to(world) == std::vector<std::string>{"10.2.0.10", "10.2.0.12"});
  const auto before = world.proxy.history.size();
  agent.push({"backend"}, 'b');
  agent.work(std::chrono::minutes(5));
  REQUIRE(agent.last().phase == domain::Phase::succeeded);
  std::vector<std::vector<std::string>> switches;
  for (auto at = before; at < world.proxy.history.size(); ++at) {
    auto& addresses = switches.emplace_back();
    for (const auto& target : world.proxy.history[at].front().targets) addresses.push_back(target.address);
  }
  CHECK(switches == std::vector<std::vector<std::string>>{{"10.2.0.13", "10.2.0.10", "10.2.0.12"},
                                                          {"10.2.0.13", "10.2.0.14", "10.2.0.12"},
                                                          {"10.2.0.13", "10.2.0.14", "10.2.0.15"}});
}

TEST_CASE("where no target is healthy all of them keep their traffic") {
  World world;
  world.services = {service_named("backend")};
  world.services[0].replicas = 2;
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  world.prober.judge = [](const FakeProber::Probe&) { return ports::Verdict{false, "GET /health answered 503"}; };
  agent.work(std::chrono::minutes(2));
  CHECK(routed_to(world) == std::vector<std::string>{"10.2.0.10", "10.2.0.11"});
  CHECK(agent.reconciler.problems() ==
        std::vector<std::string>{
            "no target of backend is healthy, so all of them keep their traffic; see: deployctl logs backend"});
}

TEST_CASE("a live container that was stopped is started again, but not while its service is paused") {
  World world;
  world.services = {service_named("backend")};
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  const auto name = routed_container(world, "backend");
  agent.journal.pauses.add({"backend", "it eats the disk", "maria", world.clock.now()});
  run_virtual(world.clock, world.engine.stop(name, std::chrono::seconds(1)));
  agent.work(std::chrono::minutes(2));
  CHECK(world.engine.at(name).container.state == "exited");
  CHECK(agent.reconciler.problems() ==
        std::vector<std::string>{"the container " + name + " is exited; start it with: docker start " + name});
  agent.journal.pauses.remove("backend");
  agent.work();
  CHECK(world.engine.at(name).container.state == "running");
  CHECK(agent.said.back() == "started " + name +
                                 " again, which was exited; if it is to stay stopped, pause its service first: "
                                 "deployctl pause backend");
}

TEST_CASE("a live container that was removed by hand is reported with what makes a new one") {
  World world;
  world.services = {service_named("backend")};
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  const auto name = routed_container(world, "backend");
  run_virtual(world.clock, world.engine.remove(name));
  agent.work(std::chrono::minutes(2));
  CHECK(agent.reconciler.problems() ==
        std::vector<std::string>{"the container " + name +
                                 " was removed by hand; make a new one with: deployctl rollback backend --to " +
                                 agent.journal.revisions.promoted("backend").front().name});
}

TEST_CASE("the engine's events make the agent look within seconds, a quiet engine is looked at every half minute") {
  World world;
  world.services = {service_named("backend")};
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  const auto name = routed_container(world, "backend");
  agent.start();
  const auto run_for = [&](std::chrono::seconds time) { world.clock.advance(agent.context, time); };
  run_for(std::chrono::seconds(2));
  run_virtual(world.clock, world.engine.stop(name, std::chrono::seconds(1)));
  run_for(std::chrono::seconds(3));
  CHECK(world.engine.at(name).container.state == "running");
  const auto calls = world.proxy.apply_calls;
  run_for(std::chrono::seconds(300));
  CHECK(world.proxy.apply_calls - calls <= 300 / 30 + 3);
  agent.stop();
  agent.context.restart();
  agent.context.run();
}

TEST_CASE("two services that switch at the same time do not take each other's targets back") {
  World world;
  world.services = {service_named("backend"), service_named("llm")};
  Agent agent(world);
  agent.push({"backend", "llm"}, 'a');
  agent.work();
  agent.push({"backend", "llm"}, 'b');
  agent.work();
  CHECK(agent.outcomes() == "backend succeeded, llm succeeded, backend succeeded, llm succeeded");
  CHECK(routed_container(world, "backend").starts_with("backend-bbbbbbb-"));
  CHECK(routed_container(world, "llm").starts_with("llm-bbbbbbb-"));
  for (const auto& routes : world.proxy.history) {
    for (const auto& route : routes) CHECK(route.targets.size() <= 1);
  }
  CHECK(world.engine.names().size() == 2);
}
