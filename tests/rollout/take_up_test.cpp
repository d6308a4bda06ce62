// Containers that ran before deployd did become first revisions, and are replaced like any other.
#include "agent/rollout/take_up.hpp"

#include <catch2/catch_all.hpp>
#include <filesystem>
#include <fstream>

#include "tests/agent_world/labelled.hpp"
#include "tests/fakes/run.hpp"

using namespace deploy;
using namespace deploy::tests;

namespace {

using Texts = std::vector<std::string>;

/// A container of the users', without a label of ours.
std::string add_before(World& world, const std::string& name) {
  ports::ContainerSpec spec;
  spec.name = name;
  spec.image = "registry/backend:v1";
  spec.network.network = "internal";
  const auto id = run_virtual(world.clock, world.engine.create(spec));
  run_virtual(world.clock, world.engine.start(id));
  return id;
}

struct Before {
  explicit Before(World& of) : world(of), list(of.folder / "take-up.json") {}

  void write(const std::string& text) const { std::ofstream(list) << text; }
  void write(const std::string& service, const std::string& id) const {
    write(R"([{"service": ")" + service + R"(", "container": ")" + id + R"("}])");
  }
  void take_up(Agent& agent) {
    rollout::TakeUp take_up(
        world.engine, agent.journal, world.services, agent.traffic, world.complete, list,
        {"internal", "deployctl", links, "nginx"},
        [this](const std::set<std::string>&) { return "10.2.0." + std::to_string(10 + next++); },
        [this](const std::string& message) { said.push_back(message); });
    run_virtual(world.clock, take_up.run());
  }

  World& world;
  std::filesystem::path list;
  ports::Links links;
  int next = 0;
  Texts said;
};

}  // namespace

TEST_CASE("what ran before is live with the requests that it had, and the first rollout replaces it") {
  World world;
  world.services = {service_named("backend")};
  const auto id = add_before(world, "shop-backend-1");
  Before before(world);
  before.write("backend", id);
  Agent agent(world);
  before.take_up(agent);
  CHECK(before.said.size() == 1);
  CHECK(before.said.front().starts_with("backend: took up the container shop-backend-1 as backend-"));
  CHECK(before.said.front().ends_with("-before"));
  agent.work();
  CHECK(agent.outcomes() == "backend succeeded");
  CHECK(agent.last().cause == "it ran before deployd did, and was taken up as it was");
  CHECK(routed_container(world, "backend") == "shop-backend-1");
  CHECK(world.engine.names() == Texts{"shop-backend-1"});
  const auto taken_up = agent.journal.revisions.promoted("backend").front().name;

  agent.push({"backend"}, 'b');
  agent.work();
  CHECK(agent.last().phase == domain::Phase::succeeded);
  CHECK(routed_container(world, "backend").starts_with("backend-bbbbbbb-"));
  CHECK(world.engine.names() == Texts{routed_container(world, "backend")});
  agent.roll_back("backend", taken_up);
  agent.work();
  CHECK(agent.last().phase == domain::Phase::succeeded);
  CHECK(routed_container(world, "backend").starts_with(taken_up));
}

TEST_CASE("a version that is not healthy leaves the requests with what ran before") {
  World world;
  world.services = {service_named("backend")};
  const auto id = add_before(world, "shop-backend-1");
  Before before(world);
  before.write("backend", id);
  Agent agent(world);
  before.take_up(agent);
  agent.work();
  world.prober.judge = [](const auto&) { return ports::Verdict{false, "it does not answer"}; };
  agent.push({"backend"}, 'b');
  agent.work();
  CHECK(agent.last().phase == domain::Phase::rolled_back);
  CHECK(routed_container(world, "backend") == "shop-backend-1");
  CHECK(world.engine.names() == Texts{"shop-backend-1"});
}

TEST_CASE("a second start takes nothing up again, and neither does one after a rollout") {
  World world;
  world.services = {service_named("backend")};
  const auto id = add_before(world, "backend");
  Before before(world);
  before.write("backend", id);
  {
    Agent agent(world);
    before.take_up(agent);
  }
  Agent agent(world);
  before.take_up(agent);
  agent.work();
  CHECK(agent.outcomes() == "backend succeeded");
  CHECK(before.said.size() == 1);
}

TEST_CASE("an agent that ended between the connection and the record goes on with the address that is there") {
  World world;
  world.services = {service_named("backend")};
  const auto id = add_before(world, "backend");
  const ports::NetworkEndpoint endpoint{"deployctl", "10.2.0.40", {}};
  run_virtual(world.clock, world.engine.connect(id, endpoint));
  Before before(world);
  before.write("backend", id);
  Agent agent(world);
  before.take_up(agent);
  CHECK(agent.journal.targets.live("backend").front().address == "10.2.0.40");
}

TEST_CASE("what does not run any more is said, and what belongs to no service is passed over") {
  World world;
  world.services = {service_named("backend")};
  const auto id = add_before(world, "backend");
  run_virtual(world.clock, world.engine.remove(id));
  Before before(world);
  Agent agent(world);
  before.take_up(agent);  // without a list
  before.write("llm", id);
  before.take_up(agent);
  CHECK(before.said.empty());
  before.write("backend", "0123456789abcdef");
  before.take_up(agent);
  CHECK(before.said ==
        Texts{"backend: the container 0123456789ab, which was to be taken up, does not run any more, so the "
              "service has no live version"});
  CHECK(agent.outcomes() == "");
}

TEST_CASE("a container that cannot join the routing network, and a list that cannot be read, stop the start") {
  World world;
  world.services = {service_named("backend")};
  const auto id = add_before(world, "backend");
  Before before(world);
  before.write("backend", id);
  world.engine.fail("connect", 1, FakeEngine::When::before, Error(ErrorKind::failed, "it is on the host's network"));
  Agent agent(world);
  CHECK(error_of([&] { before.take_up(agent); }).message() ==
        "the container backend cannot be taken up: it is on the host's network");
  before.write("{}");
  CHECK(
      error_of([&] { before.take_up(agent); }).message() ==
      before.list.string() +
          " is not what `deployctl init` writes, a list of {\"service\", \"container\"}; remove it where every service "
          "has had a rollout, else run `deployctl init --write` again");
}

TEST_CASE("where its whole configuration is not known it is live, and cannot be rolled back to") {
  World world;
  world.services = {service_named("backend")};
  world.complete = [](domain::Service) -> Task<domain::Service> {
    throw Error(ErrorKind::not_found, "service backend: compose: needs Docker Compose v2");
    co_return domain::Service{};
  };
  const auto id = add_before(world, "backend");
  Before before(world);
  before.write("backend", id);
  Agent agent(world);
  before.take_up(agent);
  CHECK(before.said.front() ==
        "backend: what runs cannot be rolled back to: service backend: compose: needs Docker Compose v2");
  CHECK(agent.journal.targets.live("backend").size() == 1);
  CHECK(agent.journal.revisions.promoted("backend").empty());
}

namespace {

/// On a network, with what it finds there first.
struct Joined {
  std::string address;
  ports::Links links;
};
std::optional<Joined> on(World& world, const std::string& container, const std::string& network) {
  for (const auto& endpoint : world.engine.at(container).container.networks) {
    if (endpoint.network == network) return Joined{endpoint.address, endpoint.links};
  }
  return std::nullopt;
}

/// Two services that run, an Nginx on the same network, and what `init` wrote of them.
struct TwoBefore : Before {
  explicit TwoBefore(World& of) : Before(of) {
    links = {{"backend", "nginx"}, {"llm", "nginx"}};
    of.services = {service_named("llm"), service_named("backend")};
    llm = add_before(of, "llm");
    backend = add_before(of, "backend");
    add_before(of, "nginx");
    write(R"([{"service": "llm", "container": ")" + llm + R"("}, {"service": "backend", "container": ")" + backend +
          R"("}])");
  }

  std::string llm;
  std::string backend;
};

}  // namespace

TEST_CASE("what was taken up asks Nginx for the services' names once Nginx routes, and is moved with one reload") {
  World world;
  TwoBefore before(world);
  Agent agent(world);
  Texts seen;  // when Nginx is told something: who has joined by then
  world.proxy.on_point = [&](std::string_view point) {
    if (point != "proxy.apply.before") return;
    seen.push_back(std::string(on(world, "llm", "deployctl") ? "llm" : "") +
                   (on(world, "backend", "deployctl") ? " backend" : ""));
  };
  before.take_up(agent);
  CHECK(seen == Texts{"", "llm backend"});
  REQUIRE(world.proxy.history.size() == 2);
  CHECK(world.proxy.history.front().at(0).targets.at(0).address == on(world, "llm", "internal")->address);
  CHECK(world.proxy.history.back().at(0).targets.at(0).address == on(world, "llm", "deployctl")->address);
  CHECK(world.proxy.history.back().at(1).targets.at(0).address == on(world, "backend", "deployctl")->address);
  CHECK(on(world, "llm", "deployctl")->links == before.links);

  before.take_up(agent);  // at the next start
  CHECK(world.proxy.apply_calls == 2);
}

TEST_CASE("an Nginx that is not on their network routes over ours from the start") {
  World world;
  TwoBefore before(world);
  run_virtual(world.clock, world.engine.disconnect("nginx", "internal"));
  Agent agent(world);
  before.take_up(agent);
  CHECK(world.proxy.apply_calls == 0);
  CHECK(agent.journal.targets.live("llm").front().address == on(world, "llm", "deployctl")->address);
  CHECK(on(world, "llm", "deployctl")->links == before.links);
}

TEST_CASE("an Nginx that cannot route yet holds the start up, and a container has the address that it has by then") {
  World world;
  TwoBefore before(world);
  Agent agent(world);
  world.proxy.fail_before.push_back(Error(ErrorKind::not_found, "there is no Nginx container called nginx"));
  CHECK(error_of([&] { before.take_up(agent); }).message() == "there is no Nginx container called nginx");
  CHECK_FALSE(on(world, "llm", "deployctl"));
  const auto earlier = on(world, "llm", "internal")->address;
  run_virtual(world.clock, world.engine.stop(before.llm, std::chrono::seconds(1)));
  run_virtual(world.clock, world.engine.stop(before.backend, std::chrono::seconds(1)));
  run_virtual(world.clock, world.engine.start(before.backend));
  run_virtual(world.clock, world.engine.start(before.llm));
  REQUIRE(on(world, "llm", "internal")->address != earlier);
  before.take_up(agent);
  CHECK(world.proxy.history.front().at(0).targets.at(0).address == on(world, "llm", "internal")->address);
  CHECK(world.proxy.history.back().at(0).targets.at(0).address == on(world, "llm", "deployctl")->address);
}

TEST_CASE("an agent that is killed anywhere while it takes up is followed by one that finishes it") {
  struct Killed {};
  int points = 0;
  for (int killed_at = 1; points == 0; ++killed_at) {
    World world;
    TwoBefore before(world);
    int reached = 0;
    const auto count = [&] {
      if (++reached == killed_at) throw Killed{};
    };
    {
      Agent agent(world);
      world.engine.on_call = [&](const std::string&, FakeEngine::When) { count(); };
      world.proxy.on_point = [&](std::string_view) { count(); };
      try {
        before.take_up(agent);
        points = reached;
      } catch (const Killed&) {
      }
      world.engine.on_call = nullptr;
      world.proxy.on_point = nullptr;
    }
    INFO("killed at point " << killed_at);
    Agent agent(world);
    before.take_up(agent);
    agent.work();
    for (const std::string name : {"llm", "backend"}) {
      const auto joined = on(world, name, "deployctl");
      REQUIRE(joined);
      CHECK(joined->links == before.links);
      CHECK(agent.journal.targets.live(name).front().address == joined->address);
    }
    CHECK(on(world, "llm", "deployctl")->address != on(world, "backend", "deployctl")->address);
    CHECK(world.proxy.live.at(0).targets.at(0).address == on(world, "llm", "deployctl")->address);
    CHECK(world.proxy.live.at(1).targets.at(0).address == on(world, "backend", "deployctl")->address);
  }
  CHECK(points > 15);
}
