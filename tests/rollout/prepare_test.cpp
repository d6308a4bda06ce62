// The images of a release are made at once; its services are replaced in order.
#include <catch2/catch_all.hpp>

#include "agent/api/commands.hpp"
#include "tests/agent_world/world.hpp"

using namespace deploy;
using namespace deploy::tests;
using std::chrono::seconds;

namespace {

constexpr seconds build_time{60};

/// llm, backend and frontend, each of which takes a minute to build.
struct Chain {
  Chain() {
    world.services = {service_named("llm"), service_named("backend", {"llm"}), service_named("frontend", {"backend"})};
    world.builds = 3;
    world.engine.on_build = [](const ports::BuildRequest&) { return FakeEngine::BuildOutcome{{}, "", build_time}; };
    agent.emplace(world);
  }
  /// The agent is started again.
  Agent& next_life() {
    agent.reset();
    return agent.emplace(world);
  }
  void push_all(char commit) { agent->push({"llm", "backend", "frontend"}, commit); }
  domain::Rollout rollout(std::int64_t id) { return agent->journal.rollouts.get({id}); }
  std::vector<std::string> said(std::int64_t id) {
    std::vector<std::string> notes;
    for (const auto& event : agent->events.of_rollout({id})) {
      if (event.kind == "note") notes.push_back(event.text);
    }
    return notes;
  }

  World world;
  std::optional<Agent> agent;
};

}  // namespace

TEST_CASE("a release takes its longest build and the sum of its rollouts, not the sum of its builds") {
  Chain chain;
  chain.push_all('a');
  chain.agent->work();
  REQUIRE(chain.agent->outcomes() == "llm succeeded, backend succeeded, frontend succeeded");
  const auto took = *chain.rollout(3).finished - *chain.rollout(1).started;
  std::chrono::nanoseconds rollouts{0};
  for (std::int64_t id : {1, 2, 3}) rollouts += *chain.rollout(id).finished - let_in_at(chain.agent->journal, {id});
  CHECK(took <= build_time + rollouts * 11 / 10);
  CHECK(let_in_at(chain.agent->journal, {2}) >= *chain.rollout(1).finished);
  CHECK(let_in_at(chain.agent->journal, {3}) >= *chain.rollout(2).finished);
  CHECK(chain.said(1).empty());
  CHECK(chain.said(2) == std::vector<std::string>{"ready; waits for llm, which it depends on"});
  CHECK(chain.said(3) == std::vector<std::string>{"ready; waits for backend, which it depends on"});
}

TEST_CASE("what was made for a release is given up where what comes first fails") {
  Chain chain;
  chain.world.prober.judge = [](const FakeProber::Probe& probe) {
    return ports::Verdict{probe.endpoint.port != 0, "GET /health answered 503"};
  };
  chain.world.engine.on_build = [](const ports::BuildRequest& request) {
    const bool llm = request.tag.find("llm") != std::string::npos;
    return FakeEngine::BuildOutcome{{}, llm ? "no space" : "", llm ? 2 * build_time : build_time};
  };
  chain.push_all('a');
  chain.agent->work();
  CHECK(chain.agent->outcomes() == "llm rolled_back, backend cancelled, frontend cancelled");
  CHECK(chain.rollout(2).reason == "llm, which backend depends on, was not rolled out (rollout 1)");
  CHECK(chain.world.engine.names().empty());
  for (const auto& image : chain.world.engine.all_images()) CHECK(image.labels.empty());
}

TEST_CASE("a newer change takes the place of one that only has its image, also where those under way are kept") {
  Chain chain;
  chain.world.services[1].supersede = domain::Supersede::queued;
  chain.world.engine.on_build = [](const ports::BuildRequest& request) {
    const bool llm = request.tag.find("llm") != std::string::npos;
    return FakeEngine::BuildOutcome{{}, "", llm ? 10 * build_time : build_time};
  };
  chain.push_all('a');
  chain.agent->work(seconds(120));
  CHECK(chain.rollout(2).phase == domain::Phase::running);
  auto& next = chain.next_life();
  next.push({"backend"}, 'b');
  next.work();
  CHECK(next.outcomes() == "backend superseded, llm succeeded, frontend succeeded, backend succeeded");
}

TEST_CASE("an agent that is started again goes on waiting, and makes nothing twice") {
  Chain chain;
  chain.world.engine.on_build = [](const ports::BuildRequest& request) {
    const bool llm = request.tag.find("llm") != std::string::npos;
    return FakeEngine::BuildOutcome{{}, "", llm ? 10 * build_time : build_time};
  };
  chain.push_all('a');
  chain.agent->work(seconds(120));
  const auto built = [&] {
    return std::count_if(chain.world.engine.calls.begin(), chain.world.engine.calls.end(),
                         [](const auto& call) { return call.starts_with("build deployctl/frontend"); });
  };
  CHECK(built() == 1);
  auto& next = chain.next_life();
  next.work();
  CHECK(next.outcomes() == "llm succeeded, backend succeeded, frontend succeeded");
  CHECK(built() == 1);
}

TEST_CASE("a service that is paused gets its image, and nothing of it is replaced until it is resumed") {
  Chain chain;
  chain.push_all('a');
  chain.agent->work(seconds(30));
  chain.agent->journal.pauses.add({"backend", "", "maria", chain.world.clock.now()});
  auto& paused = chain.next_life();
  paused.work(seconds(600));
  CHECK(paused.outcomes() == "backend running, frontend running, llm succeeded");
  CHECK(paused.events.of_rollout({2}).back().text == "ready; it is paused: deployctl resume backend");
}

TEST_CASE("while a rollout only has its image, its service's targets are looked after") {
  Chain chain;
  chain.push_all('a');
  chain.agent->work();
  chain.agent->journal.pauses.add({"llm", "", "maria", chain.world.clock.now()});
  auto& waiting = chain.next_life();
  waiting.push({"llm", "backend"}, 'b');
  waiting.work(seconds(200));
  const auto name = routed_container(chain.world, "backend");
  run_virtual(chain.world.clock, chain.world.engine.stop(chain.world.engine.at(name).container.id, seconds(1)));
  auto& next = chain.next_life();
  next.work(seconds(60));
  CHECK(chain.world.engine.at(name).container.state == "running");
}
