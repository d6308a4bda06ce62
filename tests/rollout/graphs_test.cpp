// Random services that depend on each other at random, and some of which fail: the order is never violated.
#include <catch2/catch_all.hpp>
#include <random>

#include "agent/domain/labels.hpp"
#include "agent/domain/order.hpp"
#include "tests/agent_world/world.hpp"

using namespace deploy;
using namespace deploy::tests;

namespace {

constexpr unsigned graphs_in_a_test = 50;
constexpr int services_most = 8;

struct Drawn {
  std::vector<domain::Service> services;
  std::set<std::string> build_fails;
  std::set<std::string> ill;
};

Drawn draw(unsigned seed) {
  std::mt19937 random(seed);
  const auto one_in = [&](unsigned n) { return random() % n == 0; };
  Drawn drawn;
  const int count = 2 + static_cast<int>(random() % (services_most - 1));
  for (int i = 0; i < count; ++i) {
    const auto name = "service-" + std::to_string(i);
    std::vector<std::string> needed;
    for (const auto& earlier : drawn.services) {
      if (one_in(3)) needed.push_back(earlier.name);
    }
    drawn.services.push_back(service_named(name, needed));
    if (one_in(8)) drawn.build_fails.insert(name);
    if (one_in(8)) drawn.ill.insert(name);
  }
  std::shuffle(drawn.services.begin(), drawn.services.end(), random);
  return drawn;
}

/// The number of the event with which the rollout was let in, or went live; nullopt: never.
std::optional<std::int64_t> event_of(Agent& agent, domain::RolloutId id, const std::string& kind,
                                     const std::string& text) {
  for (const auto& event : agent.events.of_rollout(id)) {
    if (event.kind == kind && event.text.starts_with(text)) return event.seq;
  }
  return std::nullopt;
}

/// Nothing is let in before what it depends on is live, nor where that failed.
void try_graphs(unsigned first) {
  int failed = 0;
  for (unsigned seed = first; seed < first + graphs_in_a_test; ++seed) {
    CAPTURE(seed);
    const auto drawn = draw(seed);
    World world;
    world.services = drawn.services;
    world.builds = 1 + static_cast<int>(seed % 3);
    world.engine.on_build = [&](const ports::BuildRequest& request) {
      const auto service = request.labels.at(domain::labels::service);
      return FakeEngine::BuildOutcome{{}, drawn.build_fails.contains(service) ? "no" : "", std::chrono::seconds(30)};
    };
    world.prober.judge = [&](const FakeProber::Probe& probe) {
      const auto& labels = world.engine.all().at(probe.container_id).container.labels;
      return ports::Verdict{!drawn.ill.contains(labels.at(domain::labels::service)), "answered"};
    };
    Agent agent(world);
    std::vector<std::string> names;
    for (const auto& service : drawn.services) names.push_back(service.name);
    agent.push(names, 'a');
    agent.work();
    std::map<std::string, domain::Rollout> rollouts;
    for (const auto& rollout : agent.journal.rollouts.history("", 100)) rollouts[rollout.service] = rollout;
    REQUIRE(rollouts.size() == drawn.services.size());
    for (const auto& [name, rollout] : rollouts) {
      CAPTURE(name);
      const auto let_in = event_of(agent, rollout.id, "step.started", "create");
      bool may_go = true;
      for (const auto& needed : domain::dependencies_of(name, drawn.services)) {
        const auto live = event_of(agent, rollouts[needed].id, "step.succeeded", "promote");
        may_go = may_go && live;
        if (let_in) CHECK((live && *live < *let_in));
      }
      const bool bad = drawn.build_fails.contains(name) || drawn.ill.contains(name);
      failed += bad && may_go;
      CHECK(rollout.phase == (!may_go && rollout.phase != domain::Phase::rolled_back ? domain::Phase::cancelled
                              : bad                                                  ? domain::Phase::rolled_back
                                                                                     : domain::Phase::succeeded));
      CHECK(world.proxy.targets(name).empty() == (rollout.phase != domain::Phase::succeeded));
    }
  }
  CHECK(failed > 20);  // otherwise little was tried
}

}  // namespace

TEST_CASE("the order of random graphs is never violated, the first fifty") { try_graphs(1); }
TEST_CASE("the order of random graphs is never violated, the second fifty") { try_graphs(51); }
TEST_CASE("the order of random graphs is never violated, the third fifty") { try_graphs(101); }
TEST_CASE("the order of random graphs is never violated, the fourth fifty") { try_graphs(151); }
