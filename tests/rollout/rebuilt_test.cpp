// Services that other repositories rebuild: what goes out, when it is worth it, and how its revisions are told apart.
#include <catch2/catch_all.hpp>

#include "agent/rollout/taking_back.hpp"
#include "tests/rollout/polled.hpp"

using namespace deploy;
using namespace deploy::tests;

namespace {

/// backend of you/backend, which you/shared rebuilds, live at its own commit a with 1 of the other.
struct Rebuilt {
  explicit Rebuilt(bool with_address = true, const std::function<void(domain::Service&)>& edit = {}) {
    world.services = {polled("backend")};
    auto& service = world.services[0];
    service.rebuilt_by.resize(1);
    service.rebuilt_by[0].repo = "you/shared";
    if (with_address) {
      service.rebuilt_by[0].git.emplace();
      service.rebuilt_by[0].git->url = "file:///shared";
    }
    if (edit) edit(service);
    move_branch(world, "shared", '1');
    of.emplace(world);
    of->push("backend", 'a');
    world.engine.on_build = [this](const ports::BuildRequest& request) {
      builds.push_back(request);
      return FakeEngine::BuildOutcome{};
    };
  }

  void store(char commit) {
    domain::Delivery delivery;
    delivery.event = "push";
    delivery.repo = "you/shared";
    delivery.body_sha256 = std::string("shared ") + commit;
    domain::Change change;
    change.service = "backend";
    change.others = {{"you/shared", commit_of(commit)}};
    delivery.changes = {change};
    of->agent.inbox.store(delivery, world.clock.now());
  }

  void push_shared(char commit) {
    move_branch(world, "shared", commit);
    store(commit);
    of->agent.work();
  }

  /// The agent is started again.
  Agent& next_life() {
    of.reset();
    return of.emplace(world).agent;
  }

  domain::Rollout last() { return of->agent.last(); }
  /// Without the configuration's digits.
  std::string live() {
    auto name = rollout::live_revision(of->agent.journal, "backend");
    return name.substr(0, 16) + name.substr(22);
  }
  std::string fetched() {
    for (const auto& step : of->agent.journal.rollouts.steps(last().id)) {
      if (step.kind == domain::StepKind::fetch) return step.detail;
    }
    return "";
  }

  World world;
  std::optional<Polled> of;
  std::vector<ports::BuildRequest> builds;
};

}  // namespace

TEST_CASE("a push of another repository builds the service again from its own branch's tip, and from scratch") {
  Rebuilt rebuilt;
  CHECK(rebuilt.live() == "backend-aaaaaaa--1111111");
  rebuilt.push_shared('2');
  CHECK(rebuilt.last().phase == domain::Phase::succeeded);
  CHECK(rebuilt.last().commit == commit_of('a'));
  CHECK(rebuilt.last().others == domain::Commits{{"you/shared", commit_of('2')}});
  CHECK(rebuilt.last().cause == "push of you/shared, commit 2222222, which rebuilds backend");
  CHECK(rebuilt.live() == "backend-aaaaaaa--2222222");
  REQUIRE(rebuilt.builds.size() == 1);
  CHECK(rebuilt.builds[0].from_scratch);
  // Its own next commit has the other's as it is by then.
  rebuilt.of->push("backend", 'b');
  CHECK(rebuilt.live() == "backend-bbbbbbb--2222222");
  CHECK(rebuilt.builds.back().from_scratch);
}

TEST_CASE("a service that no other repository rebuilds is built with the engine's cache") {
  World world;
  world.services = {service_named("backend")};
  bool from_scratch = true;
  world.engine.on_build = [&](const ports::BuildRequest& request) {
    from_scratch = request.from_scratch;
    return FakeEngine::BuildOutcome{};
  };
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  CHECK(agent.outcomes() == "backend succeeded");
  CHECK_FALSE(from_scratch);
}

TEST_CASE("each version of the same own commit can be rolled back to") {
  Rebuilt rebuilt;
  auto& agent = rebuilt.of->agent;
  const auto first = rollout::live_revision(agent.journal, "backend");
  rebuilt.push_shared('2');
  agent.roll_back("backend", first);
  agent.work();
  CHECK(rollout::live_revision(agent.journal, "backend") == first);
  CHECK(routed_container(rebuilt.world, "backend").starts_with(first));
  // What was taken back stays away: the next push of the other repository builds what is live.
  move_branch(rebuilt.world, "backend", 'b');
  rebuilt.push_shared('3');
  CHECK(rebuilt.last().commit == commit_of('a'));
  CHECK(rebuilt.live() == "backend-aaaaaaa--3333333");
}

TEST_CASE("the same commits are live already") {
  Rebuilt rebuilt;
  rebuilt.push_shared('2');
  rebuilt.store('1');  // delivered late: the branch is at 2
  rebuilt.of->agent.work();
  CHECK(rebuilt.last().phase == domain::Phase::unchanged);
  CHECK(rebuilt.live() == "backend-aaaaaaa--2222222");
}

TEST_CASE("without its address, the other repository's commit is the one that was pushed last") {
  Rebuilt rebuilt(false);
  CHECK(rebuilt.live() == "backend-aaaaaaa-");
  rebuilt.push_shared('2');
  CHECK(rebuilt.live() == "backend-aaaaaaa--2222222");
  rebuilt.of->push("backend", 'b');
  CHECK(rebuilt.live() == "backend-bbbbbbb--2222222");
  rebuilt.store('3');
  rebuilt.of->push("backend", 'c');
  CHECK(rebuilt.live() == "backend-ccccccc--3333333");
}

TEST_CASE("pushes of both repositories within the settle time are one rollout") {
  Rebuilt rebuilt(false);
  const bool own_first = GENERATE(true, false);
  if (!own_first) rebuilt.store('2');
  move_branch(rebuilt.world, "backend", 'b');
  rebuilt.of->agent.push({"backend"}, 'b');
  if (own_first) rebuilt.store('2');
  rebuilt.of->agent.work();
  CHECK(rebuilt.of->agent.outcomes() == "backend succeeded, backend succeeded");
  CHECK(rebuilt.live() == "backend-bbbbbbb--2222222");
  const std::string own = "push of o/r, commit bbbbbbb";
  const std::string other = "push of you/shared, commit 2222222, which rebuilds backend";
  CHECK(rebuilt.last().cause == (own_first ? own + "; " + other : other + "; " + own));
}

TEST_CASE("of several pushes of another repository the newest counts") {
  Rebuilt rebuilt(false);
  rebuilt.store('2');
  rebuilt.store('3');
  rebuilt.of->agent.work();
  CHECK(rebuilt.of->agent.outcomes() == "backend succeeded, backend succeeded");
  CHECK(rebuilt.live() == "backend-aaaaaaa--3333333");
  CHECK(rebuilt.last().cause == "push of you/shared, commit 3333333, which rebuilds backend");
}

TEST_CASE("a push of another repository takes the place of a rollout that has not switched") {
  Rebuilt rebuilt(false);
  rebuilt.world.prober.takes = std::chrono::minutes(1);
  move_branch(rebuilt.world, "backend", 'b');
  rebuilt.of->agent.push({"backend"}, 'b');
  rebuilt.of->agent.work(std::chrono::seconds(20));
  auto& agent = rebuilt.next_life();
  rebuilt.store('2');
  agent.work();
  CHECK(agent.outcomes() == "backend succeeded, backend superseded, backend succeeded");
  CHECK(rebuilt.live() == "backend-bbbbbbb--2222222");
}

TEST_CASE("a service that waits for its workflow is built again from the commit that is live or on its way") {
  Rebuilt rebuilt(false, [](domain::Service& service) { service.trigger = domain::Trigger::workflow_run; });
  move_branch(rebuilt.world, "backend", 'b');  // pushed, and not green yet
  rebuilt.push_shared('2');
  CHECK(rebuilt.live() == "backend-aaaaaaa--2222222");
  rebuilt.of->agent.push({"backend"}, 'b');
  rebuilt.of->agent.work(std::chrono::seconds(6));
  rebuilt.next_life();
  rebuilt.store('3');
  rebuilt.of->agent.work();
  CHECK(rebuilt.live() == "backend-bbbbbbb--3333333");
}

TEST_CASE("what another repository changes outside of its paths leaves what is live, whatever the own branch is at") {
  Rebuilt rebuilt(true, [](domain::Service& service) { service.rebuilt_by[0].paths = {"src"}; });
  rebuilt.world.source.fill = [](MemoryTree& tree, const std::string& commit) {
    tree.add("src/main.c", commit.front() >= '3' ? "new" : "old");
    tree.add("README.md", commit);
  };
  move_branch(rebuilt.world, "backend", 'b');
  rebuilt.push_shared('2');
  CHECK(rebuilt.last().phase == domain::Phase::unchanged);
  CHECK(rebuilt.fetched().starts_with("commit bbbbbbb: nothing below `paths` differs from backend-aaaaaaa-"));
  rebuilt.push_shared('3');
  CHECK(rebuilt.last().phase == domain::Phase::succeeded);
  CHECK(rebuilt.live() == "backend-bbbbbbb--3333333");
}

TEST_CASE("an image that is pulled again goes out where it is another one") {
  Rebuilt rebuilt(false, [](domain::Service& service) {
    service.source.git.reset();
    service.source.image = "registry/team/backend:v1";
    service.trigger = domain::Trigger::manual;
  });
  rebuilt.world.engine.registry = {{"registry/team/backend:v1", {}}};
  auto& agent = rebuilt.of->agent;
  agent.releases.plan_now({[] {
    store::Job job;
    job.service = "backend";
    job.cause = "a person";
    return job;
  }()});
  agent.work();
  REQUIRE(rebuilt.last().phase == domain::Phase::succeeded);
  rebuilt.push_shared('2');
  CHECK(rebuilt.last().phase == domain::Phase::unchanged);
  rebuilt.world.engine.registry["registry/team/backend:v1"] = {{"version", "2"}};
  rebuilt.push_shared('3');
  CHECK(rebuilt.last().phase == domain::Phase::succeeded);
  CHECK(rollout::live_revision(agent.journal, "backend").ends_with("-3333333"));
}

TEST_CASE("a missed push of another repository is found by polling, once") {
  Rebuilt rebuilt;
  auto& of = *rebuilt.of;
  of.poll();
  CHECK(of.agent.outcomes() == "backend succeeded");
  move_branch(rebuilt.world, "shared", '2');
  of.poll();
  of.poll();
  CHECK(of.agent.outcomes() == "backend succeeded, backend succeeded");
  CHECK(rebuilt.live() == "backend-aaaaaaa--2222222");
  CHECK(rebuilt.last().cause == "poll: main of you/shared, which rebuilds backend, is at 2222222");
  rebuilt.world.source.messages[commit_of('3')] = "Notes [skip deploy]";
  move_branch(rebuilt.world, "shared", '3');
  of.poll();
  CHECK(of.agent.outcomes() == "backend succeeded, backend succeeded");
  CHECK(of.told.back() == "backend: 3333333 on main of you/shared is not deployed: its message says [skip deploy]");
  // Both at once are one rollout.
  move_branch(rebuilt.world, "shared", '4');
  move_branch(rebuilt.world, "backend", 'b');
  of.poll();
  CHECK(of.agent.outcomes() == "backend succeeded, backend succeeded, backend succeeded");
  CHECK(rebuilt.live() == "backend-bbbbbbb--4444444");
}

TEST_CASE("polling says of which other repository it cannot know") {
  Rebuilt rebuilt(false);
  rebuilt.of->poll();
  CHECK(rebuilt.of->poller.notes() ==
        std::vector<std::string>{"backend: the tip of main of you/shared is not known: asking GitHub for it needs a "
                                 "token; name one in agent.yaml under github.token"});
}

TEST_CASE("another repository that cannot be read ends the rollout and says which it is") {
  Rebuilt rebuilt;
  rebuilt.world.source.refs.erase("file:///shared main");
  rebuilt.store('2');
  rebuilt.of->agent.work();
  CHECK(rebuilt.last().phase == domain::Phase::rolled_back);
  CHECK(rebuilt.last().reason == "rebuilt_by you/shared: there is no branch, tag or commit \"main\"");
}

TEST_CASE("an image that was removed by hand cannot be made again as it was") {
  Rebuilt rebuilt;
  auto& agent = rebuilt.of->agent;
  const auto first = rollout::live_revision(agent.journal, "backend");
  const auto image = agent.journal.revisions.find("backend", first).value().image;
  rebuilt.push_shared('2');
  run_virtual(rebuilt.world.clock, rebuilt.world.engine.remove_image(image));
  agent.roll_back("backend", first);
  agent.work();
  CHECK(rebuilt.last().phase == domain::Phase::rolled_back);
  CHECK(rebuilt.last().reason ==
        "the image " + image + " of " + first +
            " was removed by hand, and it cannot be made again as it was, because other repositories took part in it "
            "(rebuilt_by); roll back to another revision: deployctl rollback backend --to REVISION, of those that "
            "deployctl history shows");
}
