// What no webhook told of, where GitHub or a registry has to be asked.
#include <catch2/catch_all.hpp>
#include <functional>

#include "tests/fakes/fake_github.hpp"
#include "tests/rollout/polled.hpp"

using namespace deploy;
using namespace deploy::tests;
using domain::Trigger;

namespace {

domain::WorkflowRun green_run(char commit) {
  domain::WorkflowRun run;
  run.repository = {1, "you/backend"};
  run.head_repository = run.repository;
  run.conclusion = "success";
  run.event = "push";
  run.head_branch = "main";
  run.head_sha = commit_of(commit);
  run.path = ".github/workflows/ci.yml";
  return run;
}

}  // namespace

TEST_CASE("a workflow's service goes out once GitHub has a green run for the tip") {
  World world;
  world.services = {polled("backend")};
  world.services[0].trigger = Trigger::workflow_run;
  world.services[0].workflows = {".github/workflows/ci.yml"};
  FakeGitHub github;
  Polled of(world, &github);
  of.push("backend", 'a');
  move_branch(world, "backend", 'b');

  std::vector<std::function<void(domain::WorkflowRun&)>> others{
      [](auto& run) { run.conclusion = "failure"; },
      [](auto& run) { run.event = "pull_request"; },
      [](auto& run) { run.head_branch = "feature"; },
      [](auto& run) { run.head_sha = commit_of('a'); },
      [](auto& run) { run.path = ".github/workflows/lint.yml"; },
      [](auto& run) { run.head_repository->id = 2; },
      [](auto& run) { run.head_repository.reset(); },
  };
  of.poll();
  for (const auto& change : others) {
    auto run = green_run('b');
    change(run);
    github.runs[commit_of('b')] = {run};
    of.poll();
  }
  CHECK(of.agent.outcomes() == "backend succeeded");
  CHECK(of.poller.notes().empty());
  CHECK(github.asked.front() == "runs you/backend main bbbbbbb");

  github.runs[commit_of('b')].push_back(green_run('b'));
  of.poll();
  CHECK(of.agent.outcomes() == "backend succeeded, backend succeeded");
  CHECK(of.agent.last().commit == commit_of('b'));
  const auto asked = github.asked.size();
  of.poll();
  CHECK(github.asked.size() == asked);
}

TEST_CASE("a green run of a commit whose message says so deploys nothing") {
  World world;
  world.services = {polled("backend")};
  world.services[0].trigger = Trigger::workflow_run;
  FakeGitHub github;
  Polled of(world, &github);
  of.push("backend", 'a');
  move_branch(world, "backend", 'b');
  auto run = green_run('b');
  run.message = "[skip deploy]";
  github.runs[commit_of('b')] = {run};
  of.poll();
  of.poll();
  CHECK(of.agent.outcomes() == "backend succeeded");
  CHECK(of.told.size() == 1);
}

TEST_CASE("without a token a tip is recorded as not known to be green, once, and nothing is deployed") {
  World world;
  world.services = {polled("backend"), polled("worker")};
  for (auto& service : world.services) service.trigger = Trigger::workflow_run;
  Polled of(world);
  of.push("backend", 'a');
  of.push("worker", 'a');
  of.poll();
  CHECK(of.poller.notes().empty());
  move_branch(world, "backend", 'b');
  world.services[1].source.git.reset();
  world.services[1].source.image = "registry/worker:{sha}";
  of.poll();
  of.poll();
  const std::vector<std::string> notes{
      "backend: bbbbbbb, the tip of main of you/backend, is not known to be green: asking GitHub for its workflow runs "
      "needs a token; name one in agent.yaml under github.token, or roll it out: deployctl rollout backend",
      "worker: the tip of main of you/worker is not known to be green: asking GitHub for it needs a token; name one in "
      "agent.yaml under github.token"};
  CHECK(of.poller.notes() == notes);
  CHECK(of.complaints == notes);
  CHECK(of.agent.outcomes() == "backend succeeded, worker succeeded");
}

TEST_CASE("where only an image is here, GitHub says where the branch is, and the registry whether the image is there") {
  World world;
  world.services = {polled("backend")};
  world.services[0].source.git.reset();
  world.services[0].source.image = "registry/backend:{sha}";
  FakeGitHub github;
  Polled of(world, &github);
  world.engine.registry["registry/backend:" + commit_of('a')] = {};
  of.push("backend", 'a');
  REQUIRE(of.agent.outcomes() == "backend succeeded");
  github.tips["you/backend main"] = {commit_of('b'), "b"};
  of.poll();
  CHECK(of.agent.outcomes() == "backend succeeded");
  world.engine.registry["registry/backend:" + commit_of('b')] = {};
  of.poll();
  CHECK(of.agent.outcomes() == "backend succeeded, backend succeeded");
  CHECK(of.agent.last().commit == commit_of('b'));
  github.tips["you/backend main"] = {commit_of('c'), "c [skip deploy]"};
  world.engine.registry["registry/backend:" + commit_of('c')] = {};
  of.poll();
  CHECK(of.agent.last().commit == commit_of('b'));
  CHECK(of.poller.notes().empty());
}

TEST_CASE("an image without the commit in its name is polled by its tag's digest") {
  World world;
  world.services = {polled("backend")};
  world.services[0].source.git.reset();
  world.services[0].source.image = "registry/app:latest";
  world.engine.registry["registry/app:latest"] = {};
  Polled of(world);
  of.push("backend", 'a');
  REQUIRE(of.agent.outcomes() == "backend succeeded");
  of.poll();
  CHECK(of.agent.outcomes() == "backend succeeded");

  world.engine.registry["registry/app:latest"] = {{"version", "2"}};
  const auto digest = run_virtual(world.clock, world.engine.remote_digest("registry/app:latest"));
  of.poll();
  CHECK(of.agent.outcomes() == "backend succeeded, backend succeeded");
  CHECK(of.agent.last().cause == "poll: registry/app:latest is at " + digest.substr(0, 14));
  CHECK(of.agent.last().image == "registry/app@" + digest);
  const auto live = of.agent.journal.revisions.promoted("backend").front();
  CHECK(live.image == "registry/app@" + digest);
  of.poll();
  CHECK(of.agent.outcomes() == "backend succeeded, backend succeeded");

  // One that fails is not tried again, and neither is one that was taken back.
  world.prober.judge = [](const FakeProber::Probe&) { return ports::Verdict{false, "GET /health answered 503"}; };
  world.engine.registry["registry/app:latest"] = {{"version", "3"}};
  of.poll();
  world.prober.judge = nullptr;
  of.poll();
  CHECK(of.agent.outcomes() == "backend succeeded, backend succeeded, backend rolled_back");
  world.engine.registry["registry/app:latest"] = {{"version", "2"}};
  of.agent.roll_back("backend", of.agent.journal.revisions.promoted("backend").back().name);
  of.agent.work();
  of.poll();
  CHECK(of.agent.outcomes() == "backend succeeded, backend succeeded, backend rolled_back, backend succeeded");
}

TEST_CASE("a registry that is away is a note, and an image that was named by its digest is not asked for") {
  World world;
  world.services = {polled("backend"), polled("worker")};
  for (auto& service : world.services) service.source.git.reset();
  world.services[0].source.image = "registry/app:latest";
  world.services[1].source.image = "registry/worker@sha256:" + std::string(64, '1');
  Polled of(world);
  of.push("backend", 'a');
  of.push("worker", 'a');
  world.engine.fail("remote_digest", 1, FakeEngine::When::before,
                    Error(ErrorKind::unreachable, "pull registry/app:latest: the registry does not answer"));
  of.poll();
  CHECK(of.poller.notes() ==
        std::vector<std::string>{"polling: pull registry/app:latest: the registry does not answer"});
  CHECK(std::count(world.engine.calls.begin(), world.engine.calls.end(), "remote_digest registry/app:latest") == 1);
}
