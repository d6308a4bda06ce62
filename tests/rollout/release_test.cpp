// Releases of several services: taken back as a whole, by themselves or by a person.
#include <catch2/catch_all.hpp>

#include "agent/api/commands.hpp"
#include "agent/base/error.hpp"
#include "agent/rollout/taking_back.hpp"
#include "tests/agent_world/world.hpp"
#include "tests/fakes/run.hpp"

using namespace deploy;
using namespace deploy::tests;

namespace {

/// llm <- backend <- frontend, each live with commit a.
struct Three {
  explicit Three(bool atomic = false) {
    world.services = {service_named("llm"), service_named("backend"), service_named("frontend")};
    world.services[1].depends_on = {"llm"};
    world.services[2].depends_on = {"backend"};
    world.atomic = atomic;
    agent.emplace(world);
    commands.emplace(agent->journal, agent->releases, world.services, [this] { agent->dispatcher.wake(); });
    release('a');
  }

  domain::ReleaseId release(char commit) {
    agent->push({"llm", "backend", "frontend"}, commit);
    agent->work();
    return agent->last().release;
  }

  /// New versions of this service are not healthy.
  void break_service(const std::string& name) {
    world.prober.judge = [this, name](const FakeProber::Probe& probe) {
      const auto& labels = world.engine.at(probe.container_id).container.labels;
      return ports::Verdict{labels.at("deployctl.service") != name, "GET /health answered 503"};
    };
  }

  std::string live(const std::string& name) { return rollout::live_revision(agent->journal, name); }

  /// Rollouts after the first release, oldest first: "backend deploy succeeded, …".
  std::string told() {
    std::string text;
    auto history = agent->journal.rollouts.history("", 100);
    std::reverse(history.begin(), history.end());
    for (const auto& rollout : history) {
      if (rollout.release.value == 1) continue;
      text += (text.empty() ? "" : ", ") + rollout.service + " " + domain::to_string(rollout.kind) + " " +
              domain::to_string(rollout.phase);
    }
    return text;
  }

  World world;
  std::optional<Agent> agent;
  std::optional<api::Commands> commands;
};

}  // namespace

TEST_CASE("without atomic, what went live before a failure stays") {
  Three three;
  const auto before = three.live("llm");
  three.break_service("backend");
  three.release('b');
  CHECK(three.told() == "llm deploy succeeded, backend deploy rolled_back, frontend deploy cancelled");
  CHECK(three.live("llm") != before);
}

TEST_CASE("an atomic release that fails is taken back in reverse order") {
  Three three(true);
  const auto llm = three.live("llm");
  const auto backend = three.live("backend");
  three.break_service("frontend");
  three.release('b');
  CHECK(three.told() ==
        "llm deploy succeeded, backend deploy succeeded, frontend deploy rolled_back, backend rollback succeeded, llm "
        "rollback succeeded");
  CHECK(three.live("llm") == llm);
  CHECK(three.live("backend") == backend);
  const auto back = three.agent->journal.rollouts.history("llm", 1).front();
  CHECK(back.cause == "release 2 is atomic, and frontend failed in it (rollout 6)");
  const auto backend_back = three.agent->journal.rollouts.history("backend", 1).front();
  for (const auto& step : three.agent->journal.rollouts.steps(backend_back.id)) {
    if (step.kind == domain::StepKind::promote) CHECK(*step.finished <= let_in_at(three.agent->journal, back.id));
  }
}

TEST_CASE("an atomic release is taken back also where its last rollout was given up") {
  Three three(true);
  const auto llm = three.live("llm");
  three.break_service("backend");
  three.release('b');
  CHECK(three.told() ==
        "llm deploy succeeded, backend deploy rolled_back, frontend deploy cancelled, llm rollback succeeded");
  CHECK(three.live("llm") == llm);
}

TEST_CASE("an atomic release is looked at once, also when the agent was killed at its end") {
  Three three(true);
  three.break_service("frontend");
  three.release('b');
  const auto told = three.told();
  three.agent.emplace(three.world);
  three.agent->work();
  CHECK(three.told() == told);
}

TEST_CASE("an atomic release leaves what had nothing before and what ran an irreversible hook, and says so") {
  Three three(true);
  domain::Hook migrate;
  migrate.run = {"./migrate"};
  migrate.irreversible = true;
  three.world.services[0].hooks.before = {migrate};
  three.world.engine.behave = [](const ports::ContainerSpec& spec) {
    FakeEngine::Behaviour behaviour;
    behaviour.exits = spec.labels.contains("deployctl.hook");
    return behaviour;
  };
  three.break_service("frontend");
  const auto backend = three.live("backend");
  three.release('b');
  CHECK(three.told() ==
        "llm deploy succeeded, backend deploy succeeded, frontend deploy rolled_back, backend rollback succeeded");
  CHECK(three.live("backend") == backend);
  const auto events = three.agent->events.of_rollout(domain::RolloutId{6});
  CHECK(events.back().text == "not taken back: " + three.live("llm") + " ran \"./migrate\", which is irreversible");
}

TEST_CASE("a person takes a release back in reverse order") {
  Three three;
  const auto llm = three.live("llm");
  const auto second = three.release('b');
  three.commands->rollback({"", "", second.value, false}, "ann");
  three.agent->work();
  CHECK(
      three.told() ==
      "llm deploy succeeded, backend deploy succeeded, frontend deploy succeeded, frontend rollback succeeded, backend "
      "rollback succeeded, llm rollback succeeded");
  CHECK(three.live("llm") == llm);
  const auto again = error_of([&] { three.commands->rollback({"", "", second.value, false}, "ann"); });
  CHECK(again.message() ==
        "nothing of release 2 can be taken back: llm has another revision by now, backend has another revision by now, "
        "frontend has another revision by now");
}

TEST_CASE("where what depends on a service cannot go back, the service stays with it") {
  Three three;
  const auto second = three.release('b');
  const auto llm = three.live("llm");
  three.break_service("backend");
  three.commands->rollback({"", "", second.value, false}, "ann");
  three.agent->work();
  CHECK(three.told().ends_with("frontend rollback succeeded, backend rollback rolled_back, llm rollback cancelled"));
  CHECK(three.live("llm") == llm);
  CHECK(three.agent->journal.rollouts.history("llm", 1).front().reason ==
        "backend, which depends on llm, was not rolled back (rollout 8)");
}

TEST_CASE("what a service that stays depends on stays with it, and the rollback says so") {
  Three three;
  const auto llm = three.live("llm");
  const auto second = three.release('b');
  three.agent->push({"backend"}, 'c');
  three.agent->work();
  three.commands->rollback({"", "", second.value, false}, "ann");
  three.agent->work();
  CHECK(three.told().ends_with("backend deploy succeeded, frontend rollback succeeded"));
  CHECK(three.live("llm") != llm);
  std::string notes;
  for (const auto& event : three.agent->events.of_rollout(three.agent->last().id)) {
    if (event.kind == "note") notes += event.text + "\n";
  }
  CHECK(notes ==
        "not taken back: backend has another revision by now\n"
        "not taken back: llm stays with backend, which depends on it\n");
}

TEST_CASE("a rollback of a release that makes no sense is refused") {
  Three three;
  const auto refusal = [&](const api::RollbackRequest& request) {
    return error_of([&] { three.commands->rollback(request, "ann"); }).message();
  };
  CHECK(refusal({"", "", 99, false}) == "there is no release 99; `deployctl show ROLLOUT` names the one of a rollout");
  CHECK(refusal({"llm", "", 1, false}) == "a rollback goes back with a service or with a release, not with both");
  CHECK(refusal({"", "", 1, false}) ==
        "nothing of release 1 can be taken back: llm had no revision before, backend had no revision before, frontend "
        "had "
        "no revision before");
  three.agent->push({"llm"}, 'b');
  three.world.services[0].migrates_on_boot = true;
  three.agent->work();
  const auto release = three.agent->last().release.value;
  const auto number = std::to_string(release);
  CHECK(refusal({"", "", release, false}) ==
        three.live("llm") +
            " changed the data when it started (migrates_on_boot); earlier revisions may not understand the data any "
            "more. Go back all the same with: deployctl rollback --release " +
            number + " --yes");
}
