// Containers from before deployd that have ports of the host which wait for Nginx go on running after the first
// rollout.
#include "agent/rollout/left_running.hpp"

#include <catch2/catch_all.hpp>
#include <filesystem>
#include <fstream>

#include "agent/rollout/take_up.hpp"
#include "tests/agent_world/world.hpp"
#include "tests/fakes/run.hpp"

using namespace deploy;
using namespace deploy::tests;

namespace {

using Names = std::vector<std::string>;

constexpr auto old_container = "shop-backend";
constexpr auto fixed_address = "10.2.0.200";
constexpr auto left_note =
    "the container shop-backend goes on answering on port 8100 of this host, with the version from before; `deployctl "
    "init DIR --write` gives the port to Nginx and ends it";
constexpr auto answered_note =
    "port 8100 of this host is still answered by shop-backend, with the version from before the first rollout: run "
    "`deployctl init DIR --write`";

/// The service backend has the container shop-backend, as `deployctl init` wrote it down.
struct Shop {
  Shop() {
    world.services = {service_named("backend")};
    world.links = {{"backend", "nginx"}};
    ports::ContainerSpec spec;
    spec.name = old_container;
    spec.image = "registry/backend:v1";
    spec.network.network = "internal";
    id = run_virtual(world.clock, world.engine.create(spec));
    run_virtual(world.clock, world.engine.start(id));
    std::ofstream(world.folder / "take-up.json") << R"([{"service": "backend", "container": ")" << id << R"("}])";
    write_ports(R"([{"service": "backend", "port": 8100}])");
  }

  std::filesystem::path list() const { return world.folder / "waiting-ports.json"; }
  void write_ports(const std::string& text) const { std::ofstream(list()) << text; }
  void take_up(Agent& agent) {
    rollout::TakeUp take_up(
        world.engine, agent.journal, world.services, agent.traffic, world.complete, world.folder / "take-up.json",
        {"internal", "deployctl", world.links, "nginx"}, [](const std::set<std::string>&) { return fixed_address; },
        [](const std::string&) {});
    run_virtual(world.clock, take_up.run());
  }
  /// On the routing network; empty: it is not on it.
  std::optional<ports::NetworkEndpoint> endpoint() {
    for (const auto& endpoint : world.engine.at(old_container).container.networks) {
      if (endpoint.network == "deployctl") return endpoint;
    }
    return std::nullopt;
  }
  /// It goes on running, where calls to the services go through Nginx, and its target's address is free.
  bool is_left_running() {
    const auto known = endpoint();
    return world.engine.at(old_container).container.state == "running" && known &&
           known->address.starts_with("10.2.2.") && known->links == world.links;
  }
  bool was_stopped() const {
    const auto effects = world.engine.effects();
    return std::find(effects.begin(), effects.end(), std::string("stop ") + old_container) != effects.end();
  }
  static Names notes(Agent& agent, domain::RolloutId rollout) {
    Names texts;
    for (const auto& event : agent.events.of_rollout(rollout)) {
      if (event.kind == "note") texts.push_back(event.text);
    }
    return texts;
  }

  World world;
  std::string id;
};

}  // namespace

TEST_CASE("what answers on a port that waits for Nginx goes on running, and gives its address back") {
  Shop shop;
  Agent agent(shop.world);
  shop.take_up(agent);
  agent.work();
  CHECK(shop.endpoint()->address == fixed_address);
  CHECK(agent.reconciler.problems().empty());
  agent.push({"backend"}, 'b');
  agent.work();
  CHECK(agent.last().phase == domain::Phase::succeeded);
  CHECK(routed_container(shop.world, "backend").starts_with("backend-bbbbbbb-"));
  CHECK(shop.is_left_running());
  CHECK(!shop.was_stopped());
  CHECK(Shop::notes(agent, agent.last().id) == Names{left_note});
  CHECK(agent.journal.targets.of_container(shop.id)->state == domain::TargetState::gone);
  CHECK(agent.reconciler.problems() == Names{answered_note});
  CHECK(agent.reconciler.in_order());

  // What comes after it goes as ever, and the container stays what it is until `init` ends it.
  agent.push({"backend"}, 'c');
  agent.work();
  CHECK(agent.last().phase == domain::Phase::succeeded);
  CHECK(shop.world.engine.names() == Names{routed_container(shop.world, "backend"), old_container});
  CHECK(Shop::notes(agent, agent.last().id).empty());
  run_virtual(shop.world.clock, shop.world.engine.remove(shop.id));
  agent.work();
  CHECK(agent.reconciler.problems().empty());
}

TEST_CASE("a note names every port of a container that is left running") {
  CHECK(rollout::note_of_left_running("shop-backend", {8100, 8101}) ==
        "the container shop-backend goes on answering on the ports 8100, 8101 of this host, with the version from "
        "before; `deployctl init DIR --write` gives the ports to Nginx and ends it");
}

TEST_CASE("without a port of its service that waits, a container from before goes like any other") {
  Shop shop;
  std::string said;
  SECTION("no list") { std::filesystem::remove(shop.list()); }
  SECTION("an empty list") { shop.write_ports("[]\n"); }
  SECTION("another service's port") { shop.write_ports(R"([{"service": "llm", "port": 8100}])"); }
  SECTION("a list that cannot be read") {
    shop.write_ports(R"([{"service": "backend", "port": "8100"}])");
    said = "shop-backend is not left running: " + shop.list().string() +
           " is not what `deployctl init` writes, a list of {\"service\", \"port\"}; correct it, or remove it where no "
           "port of this host waits for Nginx";
  }
  SECTION("its version must run alone") { shop.world.services[0].strategy = domain::StrategyKind::recreate; }
  Agent agent(shop.world);
  shop.take_up(agent);
  agent.work();
  agent.push({"backend"}, 'b');
  agent.work();
  CHECK(agent.last().phase == domain::Phase::succeeded);
  CHECK(shop.was_stopped());
  CHECK(shop.world.engine.names() == Names{routed_container(shop.world, "backend")});
  CHECK(Shop::notes(agent, agent.last().id).empty());
  const auto log = agent.log.read(agent.last().id, 0, 1 << 20);
  CHECK((said.empty() || log.find(said) != std::string::npos));
  CHECK(log.find("is not left running") == (said.empty() ? std::string::npos : log.find("is not left running")));
}

TEST_CASE("only the container that was taken up is left running, and not those of its service that deployd made") {
  Shop shop;
  shop.write_ports("[]");
  Agent agent(shop.world);
  shop.take_up(agent);
  agent.push({"backend"}, 'b');
  agent.work();
  shop.write_ports(R"([{"service": "backend", "port": 8100}])");
  agent.push({"backend"}, 'c');
  agent.work();
  CHECK(shop.world.engine.names() == Names{routed_container(shop.world, "backend")});
}

TEST_CASE("a container from before that has ended, or is off the routing network already, is no hindrance") {
  const bool ends = GENERATE(true, false);
  Shop shop;
  Agent agent(shop.world);
  shop.take_up(agent);
  agent.work();
  agent.push({"backend"}, 'b');
  bool done = false;
  shop.world.engine.on_call = [&](const std::string& call, FakeEngine::When when) {
    if (done || when != FakeEngine::When::before || !call.starts_with("established_connections")) return;
    done = true;
    if (ends) {
      shop.world.engine.exit(old_container, 1);
    } else {
      auto& networks = shop.world.engine.at(old_container).container.networks;
      std::erase_if(networks, [](const auto& endpoint) { return endpoint.network == "deployctl"; });
    }
  };
  agent.work();
  REQUIRE(done);
  CHECK(agent.last().phase == domain::Phase::succeeded);
  Names expected{routed_container(shop.world, "backend")};
  if (!ends) expected.emplace_back(old_container);
  CHECK(shop.world.engine.names() == expected);
  CHECK(Shop::notes(agent, agent.last().id) == (ends ? Names{} : Names{left_note}));
  CHECK((ends || shop.is_left_running()));
}

TEST_CASE("a rolling update that is undone leaves the requests with the container from before, as it was") {
  Shop shop;
  shop.world.services[0].strategy = domain::StrategyKind::rolling;
  shop.world.services[0].max_surge = 0;
  shop.world.services[0].max_unavailable = 1;
  Agent agent(shop.world);
  shop.take_up(agent);
  agent.work();
  shop.world.prober.judge = [&](const FakeProber::Probe& probe) {
    return ports::Verdict{probe.container_id == shop.id, "it does not answer"};
  };
  agent.push({"backend"}, 'b');
  agent.work();
  CHECK(agent.last().phase == domain::Phase::rolled_back);
  CHECK(routed_container(shop.world, "backend") == old_container);
  CHECK(!shop.was_stopped());
  CHECK(shop.endpoint()->address == fixed_address);
}

TEST_CASE("the sweep leaves running what a rollout could not clear away") {
  Shop shop;
  Agent agent(shop.world);
  shop.take_up(agent);
  agent.work();
  shop.world.engine.fail("disconnect", 1, FakeEngine::When::before, Error(ErrorKind::failed, "disconnect: no"));
  agent.push({"backend"}, 'b');
  agent.work();
  CHECK(agent.last().phase == domain::Phase::needs_operator);
  CHECK(!shop.was_stopped());
  CHECK(shop.is_left_running());
  CHECK(agent.journal.targets.of_container(shop.id)->state == domain::TargetState::gone);
  CHECK(agent.reconciler.problems() == Names{answered_note});
}

TEST_CASE("the sweep ends what must not run beside the new version, though a port waits") {
  Shop shop;
  shop.world.services[0].strategy = domain::StrategyKind::recreate;
  Agent agent(shop.world);
  shop.take_up(agent);
  agent.work();
  shop.world.engine.fail("remove", 1, FakeEngine::When::before, Error(ErrorKind::failed, "remove: no"));
  agent.push({"backend"}, 'b');
  shop.world.engine.on_call = [&](const std::string& call, FakeEngine::When) {
    // Its restart policy revived it when the engine started again.
    if (call == "remove shop-backend") shop.world.engine.at(old_container).container.state = "running";
  };
  agent.work();
  CHECK(shop.world.engine.names() == Names{routed_container(shop.world, "backend")});
  CHECK(agent.reconciler.problems().empty());
}

TEST_CASE("wherever the agent dies in a first rollout, the container from before goes on running") {
  int reached = 0;
  int died_at = 0;
  do {
    ++died_at;
    Shop shop;
    {
      Agent agent(shop.world);
      shop.take_up(agent);
      agent.work();
    }
    reached = 0;
    {
      Agent agent(shop.world);
      const auto count = [&](std::string_view) {
        if (++reached == died_at) agent.stop();
      };
      shop.world.engine.on_call = [&](const std::string& call, FakeEngine::When) { count(call); };
      shop.world.proxy.on_point = shop.world.prober.on_point = shop.world.source.on_point = count;
      agent.push({"backend"}, 'b');
      agent.work();
      shop.world.engine.on_call = nullptr;
      shop.world.proxy.on_point = shop.world.prober.on_point = shop.world.source.on_point = nullptr;
    }
    INFO("stopped at point " << died_at);
    Agent agent(shop.world);
    agent.work();
    CHECK(agent.outcomes() == "backend succeeded, backend succeeded");
    CHECK(shop.world.engine.names() == Names{routed_container(shop.world, "backend"), old_container});
    CHECK(shop.is_left_running());
    CHECK(!shop.was_stopped());
    CHECK(Shop::notes(agent, agent.last().id) == Names{left_note});
    CHECK(agent.journal.targets.present().size() == 1);
    CHECK(agent.reconciler.problems() == Names{answered_note});
    CHECK(agent.complaints.empty());
  } while (reached >= died_at);
  CHECK(died_at > 20);
}
