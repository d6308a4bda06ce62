// Changes of several services' traffic at once.
#include <boost/asio/detached.hpp>
#include <catch2/catch_all.hpp>

#include "tests/agent_world/world.hpp"

using namespace deploy;
using namespace deploy::tests;

namespace {

/// Three services that are live, and an Nginx that takes its time.
struct Crowd {
  World world;
  Agent agent;
  std::vector<ports::SwitchReport> reports;

  Crowd() : agent((world.services = {service_named("a"), service_named("b"), service_named("c")}, world)) {
    agent.push({"a", "b", "c"}, 'a');
    agent.work();
    world.proxy.clock = &world.clock;
    world.proxy.takes = std::chrono::milliseconds(300);
    world.proxy.apply_calls = 0;
  }

  /// Takes the traffic of all three away at the same moment.
  void switch_all(const std::vector<std::string>& services = {"a", "b", "c"}) {
    for (const auto& service : services) asio::co_spawn(agent.context, switch_one(service), asio::detached);
    const auto end = world.clock.elapsed() + std::chrono::minutes(1);
    do {
      agent.context.restart();
      agent.context.poll();
    } while (world.clock.advance_to_next(end));
  }

  Task<void> switch_one(std::string service) {
    const std::vector<domain::TargetId> nobody;
    reports.push_back(co_await agent.traffic.route(service, nobody));
  }

  bool all_switched() const {
    return world.proxy.targets("a").empty() && world.proxy.targets("b").empty() && world.proxy.targets("c").empty();
  }
};

}  // namespace

TEST_CASE("services that switch while another change is under way share one reload") {
  Crowd crowd;
  crowd.switch_all();
  CHECK(crowd.all_switched());
  CHECK(crowd.world.proxy.apply_calls == 2);
  REQUIRE(crowd.reports.size() == 3);
  CHECK(crowd.reports[0].notes.empty());
  CHECK(crowd.reports[1].notes == std::vector<std::string>{"one reload of Nginx for b, c"});
  CHECK(crowd.reports[2].notes == crowd.reports[1].notes);
}

TEST_CASE("a change that could not be shared is made with those that came later, and not by their report") {
  Crowd crowd;
  crowd.world.services.push_back(service_named("d"));
  crowd.world.services.push_back(service_named("e"));
  int applied = 0;
  crowd.world.proxy.on_point = [&](std::string_view point) {
    if (point != "proxy.apply.before") return;
    ++applied;
    if (applied == 2) crowd.world.proxy.fail_before.emplace_back(ErrorKind::invalid, "nginx -t refuses");
    if (applied == 3) {  // b alone; c still waits
      for (const auto* late : {"d", "e"}) asio::co_spawn(crowd.agent.context, crowd.switch_one(late), asio::detached);
    }
  };
  crowd.switch_all({"a", "b", "c"});
  CHECK(crowd.all_switched());
  REQUIRE(crowd.reports.size() == 5);
  CHECK(crowd.reports[2].notes == std::vector<std::string>{"one reload of Nginx for c, d, e"});
}

TEST_CASE("where a shared reload fails each is tried alone") {
  Crowd crowd;
  bool first = true;
  crowd.world.proxy.on_point = [&](std::string_view point) {
    if (point == "proxy.apply.after" && first) {
      first = false;
      crowd.world.proxy.fail_before.emplace_back(ErrorKind::invalid, "nginx -t refuses");
    }
  };
  crowd.switch_all();
  CHECK(crowd.all_switched());
  CHECK(crowd.world.proxy.apply_calls == 4);
  REQUIRE(crowd.reports.size() == 3);
  CHECK(crowd.reports[2].notes.empty());
}
