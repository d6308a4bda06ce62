// What cannot be reached is tried again for a while; what does not work is not. And nothing big begins on a full disk.
#include <catch2/catch_all.hpp>

#include "agent/base/error.hpp"
#include "tests/agent_world/world.hpp"

using namespace deploy;
using namespace deploy::tests;

namespace {

const Error away(ErrorKind::unreachable, "the engine at unix:///run/docker.sock does not answer");

std::vector<std::string> texts_of(Agent& agent, const std::string& kind) {
  std::vector<std::string> texts;
  for (const auto& event : agent.events.of_rollout(agent.last().id)) {
    if (event.kind == kind) texts.push_back(event.text);
  }
  return texts;
}

}  // namespace

TEST_CASE("a step whose engine is away is tried again, with growing pauses, and says so") {
  World world;
  world.services = {service_named("backend")};
  Agent agent(world);
  for (int nth = 1; nth <= 3; ++nth) world.engine.fail("create", nth, FakeEngine::When::before, away);
  agent.push({"backend"}, 'a');
  agent.work();
  CHECK(agent.last().phase == domain::Phase::succeeded);
  const std::string why = "create: the engine at unix:///run/docker.sock does not answer; trying again in ";
  CHECK(texts_of(agent, "step.retrying") == std::vector<std::string>{why + "1.0 s", why + "2.0 s", why + "4.0 s"});
}

TEST_CASE("a git remote that stays away ends the rollout within the limit") {
  World world;
  world.services = {service_named("backend")};
  world.source.fail_fetch = Error(ErrorKind::unreachable, "cannot reach git.example: timed out");
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  CHECK(agent.last().phase == domain::Phase::rolled_back);
  CHECK(agent.last().reason == "cannot reach git.example: timed out");
  const auto took = *agent.last().finished - *agent.last().started;
  CHECK(took > std::chrono::seconds(60));
  CHECK(took <= std::chrono::seconds(120));
}

TEST_CASE("a failure of another kind is not tried again") {
  World world;
  world.services = {service_named("backend")};
  world.source.fail_fetch = Error(ErrorKind::invalid, "the key was refused");
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  CHECK(agent.last().phase == domain::Phase::rolled_back);
  CHECK(texts_of(agent, "step.retrying").empty());
}

TEST_CASE("an undo waits longer for the engine than a step does") {
  World world;
  world.services = {service_named("backend")};
  world.prober.judge = [](const FakeProber::Probe&) { return ports::Verdict{false, "no answer"}; };
  for (int nth = 1; nth <= 20; ++nth) world.engine.fail("remove", nth, FakeEngine::When::before, away);
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  CHECK(agent.last().phase == domain::Phase::rolled_back);
  CHECK(world.engine.names().empty());
}

TEST_CASE("a build does not begin while less than disk.keep_free is free") {
  World world;
  world.services = {service_named("backend")};
  world.keep_free_bytes = std::int64_t{1} << 30;
  world.engine.free_space = ports::DiskSpace{"/var/lib/docker", std::uint64_t{300} << 20};
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  CHECK(agent.last().phase == domain::Phase::rolled_back);
  CHECK(agent.last().reason ==
        "only 300 MiB are free for /var/lib/docker, and a fetch needs disk.keep_free, 1.0 GiB, to stay free; `docker "
        "system df` shows what takes it, `docker image prune` and `docker builder prune` free some, or lower "
        "disk.keep_free in agent.yaml");
  CHECK(world.engine.names().empty());
  world.engine.free_space->free_bytes = std::uint64_t{2} << 30;
  agent.push({"backend"}, 'b');
  agent.work();
  CHECK(agent.last().phase == domain::Phase::succeeded);
}
