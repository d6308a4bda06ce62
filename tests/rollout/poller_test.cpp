// What no webhook told of: found by looking, and put into the queue once.
#include <catch2/catch_all.hpp>

#include "tests/rollout/polled.hpp"

using namespace deploy;
using namespace deploy::tests;
using domain::Trigger;

namespace {

std::vector<std::string> causes(Agent& agent) {
  std::vector<std::string> all;
  for (const auto& rollout : agent.journal.rollouts.history("", 100)) all.insert(all.begin(), rollout.cause);
  return all;
}

}  // namespace

TEST_CASE("a push that no webhook told of is found once") {
  World world;
  world.services = {polled("backend")};
  Polled of(world);
  of.push("backend", 'a');
  of.poll();
  CHECK(of.agent.outcomes() == "backend succeeded");
  move_branch(world, "backend", 'b');
  of.poll();
  CHECK(of.agent.outcomes() == "backend succeeded, backend succeeded");
  CHECK(routed_container(world, "backend").starts_with("backend-bbbbbbb-"));
  CHECK(of.agent.last().cause == "poll: main of you/backend is at bbbbbbb");
  CHECK(of.agent.last().commit == commit_of('b'));
  CHECK(of.agent.last().ref == "main");
  CHECK(of.told == std::vector<std::string>{"backend: poll: main of you/backend is at bbbbbbb"});
  of.poll();
  of.poll();
  CHECK(of.agent.outcomes() == "backend succeeded, backend succeeded");
  CHECK(of.poller.notes().empty());
  CHECK(of.complaints.empty());
}

TEST_CASE("it looks at the start, and then at each interval") {
  World world;
  world.services = {polled("backend")};
  Polled of(world);
  of.push("backend", 'a');
  of.agent.start();
  asio::cancellation_signal stop;
  asio::co_spawn(of.agent.context, of.poller.run(),
                 asio::bind_cancellation_slot(stop.slot(), [](std::exception_ptr) {}));
  move_branch(world, "backend", 'b');
  const auto run_for = [&](std::chrono::seconds time) { world.clock.advance(of.agent.context, time); };
  run_for(std::chrono::minutes(2));
  CHECK(world.source.tips_asked.size() == 1);
  CHECK(of.agent.outcomes() == "backend succeeded, backend succeeded");
  move_branch(world, "backend", 'c');
  run_for(std::chrono::minutes(2));
  CHECK(of.agent.outcomes() == "backend succeeded, backend succeeded");
  run_for(std::chrono::minutes(3));
  CHECK(world.source.tips_asked.size() == 2);
  CHECK(of.agent.outcomes() == "backend succeeded, backend succeeded, backend succeeded");
  stop.emit(asio::cancellation_type::terminal);
  of.agent.stop();
  of.agent.context.restart();
  of.agent.context.run();
}

TEST_CASE("what failed is not tried again by polling, and what comes after it is") {
  World world;
  world.services = {polled("backend")};
  Polled of(world);
  of.push("backend", 'a');
  world.prober.judge = [](const FakeProber::Probe&) { return ports::Verdict{false, "GET /health answered 503"}; };
  move_branch(world, "backend", 'b');
  of.poll();
  of.poll();
  CHECK(of.agent.outcomes() == "backend succeeded, backend rolled_back");
  world.prober.judge = nullptr;
  of.poll();
  CHECK(of.agent.outcomes() == "backend succeeded, backend rolled_back");
  move_branch(world, "backend", 'c');
  of.poll();
  CHECK(of.agent.outcomes() == "backend succeeded, backend rolled_back, backend succeeded");
}

TEST_CASE("what a person took back stays away") {
  World world;
  world.services = {polled("backend")};
  Polled of(world);
  of.push("backend", 'a');
  of.push("backend", 'b');
  of.agent.roll_back("backend", of.agent.journal.revisions.promoted("backend").back().name);
  of.agent.work();
  REQUIRE(routed_container(world, "backend").starts_with("backend-aaaaaaa-"));
  of.poll();
  of.poll();
  CHECK(routed_container(world, "backend").starts_with("backend-aaaaaaa-"));
  CHECK(of.agent.outcomes() == "backend succeeded, backend succeeded, backend succeeded");
}

TEST_CASE("services that are paused, manual, without a repository or never rolled out are left alone") {
  World world;
  world.services = {polled("manual"), polled("fresh"), polled("paused"), polled("alone")};
  Polled of(world);
  for (const auto* name : {"manual", "paused", "alone"}) of.push(name, 'a');
  for (const auto& service : world.services) move_branch(world, service.name, 'b');
  world.services[0].trigger = Trigger::manual;
  world.services[3].repo.clear();
  of.agent.journal.pauses.add({"paused", "a migration", "maria", world.clock.now()});
  of.poll();
  CHECK(world.source.tips_asked.empty());
  CHECK(of.agent.outcomes() == "manual succeeded, paused succeeded, alone succeeded");
  of.agent.journal.pauses.remove("paused");
  of.poll();
  CHECK(of.agent.last().cause == "poll: main of you/paused is at bbbbbbb");
}

TEST_CASE("services of one repository and branch ask once, and go out together") {
  World world;
  world.services = {polled("backend"), polled("llm")};
  for (auto& service : world.services) {
    service.repo = "you/mono";
    service.source.git->url = "file:///mono";
  }
  world.services[0].depends_on = {"llm"};
  Polled of(world);
  move_branch(world, "mono", 'a');
  of.agent.push({"backend", "llm"}, 'a');
  of.agent.work();
  move_branch(world, "mono", 'b');
  of.poll();
  CHECK(world.source.tips_asked == std::vector<std::string>{"file:///mono main"});
  CHECK(of.agent.outcomes() == "llm succeeded, backend succeeded, llm succeeded, backend succeeded");
  CHECK(of.agent.journal.rollouts.history("backend", 1).front().release ==
        of.agent.journal.rollouts.history("llm", 1).front().release);
}

TEST_CASE("a commit that changes nothing of a service with paths is looked at once") {
  World world;
  world.services = {polled("backend")};
  world.services[0].paths = {"backend"};
  Polled of(world);
  of.push("backend", 'a');
  move_branch(world, "backend", 'b');
  of.poll();
  of.poll();
  CHECK(of.agent.outcomes() == "backend succeeded, backend unchanged");
}

TEST_CASE("a tip whose message says so is not deployed, and is fetched once") {
  World world;
  world.services = {polled("backend")};
  Polled of(world);
  of.push("backend", 'a');
  move_branch(world, "backend", 'b');
  world.source.messages[commit_of('b')] = "notes\n\n[skip deploy]\n";
  int fetches = 0;
  world.source.on_point = [&](std::string_view point) { fetches += point == "source.fetch" ? 1 : 0; };
  of.poll();
  of.poll();
  CHECK(fetches == 1);
  CHECK(of.agent.outcomes() == "backend succeeded");
  CHECK(of.told == std::vector<std::string>{
                       "backend: bbbbbbb on main of you/backend is not deployed: its message says [skip deploy]"});
  CHECK(of.poller.notes().empty());
  move_branch(world, "backend", 'c');
  of.poll();
  CHECK(of.agent.outcomes() == "backend succeeded, backend succeeded");
}

TEST_CASE("a remote that is away has a note while it lasts and one line in the log, and holds nobody up") {
  World world;
  world.services = {polled("backend"), polled("llm")};
  Polled of(world);
  of.push("backend", 'a');
  of.push("llm", 'a');
  move_branch(world, "backend", 'b');
  move_branch(world, "llm", 'b');
  const Error away(ErrorKind::unreachable, "cannot fetch file:///backend: cannot reach it");
  world.source.fail_tip.emplace("file:///backend", away);
  of.poll();
  const std::vector<std::string> note{"polling: cannot fetch file:///backend: cannot reach it"};
  CHECK(of.poller.notes() == note);
  CHECK(of.agent.outcomes() == "backend succeeded, llm succeeded, llm succeeded");
  // In other words, and still the same trouble.
  world.source.fail_tip.at("file:///backend") = Error(ErrorKind::timed_out, "it took longer than 30 s");
  of.poll();
  CHECK(of.poller.notes() == std::vector<std::string>{"polling: it took longer than 30 s"});
  CHECK(of.complaints == note);
  world.source.fail_tip.clear();
  of.poll();
  CHECK(of.poller.notes().empty());
  CHECK(of.agent.last().cause == "poll: main of you/backend is at bbbbbbb");
}

TEST_CASE("what is told of while a remote answers is newer than its answer") {
  World world;
  world.services = {polled("backend")};
  Polled of(world);
  of.push("backend", 'a');
  move_branch(world, "backend", 'b');
  world.source.on_point = [&](std::string_view point) {
    if (point == "source.tip") of.agent.push({"backend"}, 'c');
  };
  run_virtual(world.clock, of.poller.pass());
  world.source.on_point = nullptr;
  CHECK(of.agent.jobs.waiting().size() == 1);
  of.agent.work();
  CHECK(routed_container(world, "backend").starts_with("backend-ccccccc-"));
  CHECK(of.told.empty());
}

TEST_CASE("a rollout that finds out what is newest by itself is waited for") {
  World world;
  world.services = {polled("backend")};
  Polled of(world);
  of.push("backend", 'a');
  move_branch(world, "backend", 'b');
  store::Job job;
  job.service = "backend";
  job.cause = "a person";
  of.agent.releases.plan_now({job});
  of.poll();
  CHECK(causes(of.agent) == std::vector<std::string>{"push of o/r, commit aaaaaaa", "a person"});
  CHECK(world.source.tips_asked.empty());
}

TEST_CASE("what could not be written down is found again") {
  World world;
  world.services = {polled("backend")};
  Polled of(world);
  of.push("backend", 'a');
  move_branch(world, "backend", 'b');
  of.agent.database.on_commit([](bool committed) {
    if (!committed) throw Error(ErrorKind::disk_full, "the disk is full");
  });
  run_virtual(world.clock, of.poller.pass());
  CHECK(of.poller.notes() ==
        std::vector<std::string>{"polling: what was found could not be written down: the disk is full"});
  CHECK(of.told.empty());
  of.agent.database.on_commit(nullptr);
  of.poll();
  CHECK(of.agent.outcomes() == "backend succeeded, backend succeeded");
}
