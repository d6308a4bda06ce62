// What hooks do to data: dumps, and what cannot be taken back.
#include <catch2/catch_all.hpp>
#include <fstream>
#include <set>
#include <sstream>

#include "agent/api/commands.hpp"
#include "agent/base/error.hpp"
#include "agent/rollout/dump_file.hpp"
#include "tests/fakes/run.hpp"
#include "tests/fakes/temp_dir.hpp"
#include "tests/rollout/hooks.hpp"

using namespace deploy;
using namespace deploy::tests;

namespace {

std::string text_of(const std::filesystem::path& file) {
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

}  // namespace

TEST_CASE("a dump is a file that is there as a whole, and the newest are kept") {
  World world;
  auto service = service_named("backend");
  service.hooks.before = {dump()};
  world.services = {service};
  add_postgres(world);
  int dumps = 0;
  world.engine.on_exec = [&](const FakeEngine::Record&, const ports::ExecRequest&) {
    return ports::ExecResult{0, "dump " + std::to_string(++dumps)};
  };
  Agent agent(world);
  for (const char commit : {'a', 'b', 'c', 'd'}) {
    agent.push({"backend"}, commit);
    agent.work();
  }
  CHECK(agent.last().phase == domain::Phase::succeeded);
  const auto folder = world.folder / "backups";
  std::vector<std::string> contents;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) contents.push_back(text_of(entry.path()));
  std::sort(contents.begin(), contents.end());
  CHECK(contents == std::vector<std::string>{"dump 2", "dump 3", "dump 4"});
  const auto revision = agent.journal.revisions.promoted("backend").front().name;
  const auto named = (folder / ("backend-" + revision + "-4.sql")).string();
  for (const auto& step : agent.journal.rollouts.steps(agent.last().id)) {
    if (step.kind != domain::StepKind::before) continue;
    CHECK(step.detail == named + " saved, 6 B; read it back with: docker exec -i postgres psql -U app app < " + named);
  }
}

TEST_CASE("a dump that is empty or fails stops the rollout and leaves no file") {
  World world;
  auto service = service_named("backend");
  service.hooks.before = {dump()};
  world.services = {service};
  ports::ExecResult result{0, ""};
  std::string reason = "the hook \"pg_dump -U app app\" exited with 0 and wrote nothing";
  SECTION("empty") { add_postgres(world); }
  SECTION("failed") {
    add_postgres(world);
    result = {1, "half a dump"};
    reason = "the hook \"pg_dump -U app app\" exited with 1";
  }
  SECTION("the container is not there") {
    reason =
        "the hook \"pg_dump -U app app\" wants to run in the container postgres, which is not there; "
        "start it, or name another one with `in`";
  }
  SECTION("the container does not run") {
    add_postgres(world);
    world.engine.exit("postgres", 1);
    reason =
        "the hook \"pg_dump -U app app\" wants to run in the container postgres, which does not run: it is exited; "
        "start it, or name another one with `in`";
  }
  world.engine.on_exec = [&](const FakeEngine::Record&, const ports::ExecRequest&) { return result; };
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  CHECK(agent.last().phase == domain::Phase::rolled_back);
  CHECK(agent.last().reason == reason);
  const auto folder = world.folder / "backups";
  CHECK((!std::filesystem::exists(folder) || std::filesystem::is_empty(folder)));
}

TEST_CASE("going back over an irreversible hook wants to be confirmed, and says why") {
  World world;
  auto service = service_named("backend");
  world.services = {service};
  Agent agent(world);
  agent.push({"backend"}, 'a');
  agent.work();
  const auto first = agent.journal.revisions.promoted("backend").front().name;
  std::string said;
  SECTION("a hook, with the command that reads its dump back") {
    world.services[0].hooks.before = {dump(), command({"./migrate"})};
    world.services[0].hooks.before[1].irreversible = true;
    add_postgres(world);
    hooks_exit_with(world, 0);
    world.engine.on_exec = [](const FakeEngine::Record&, const ports::ExecRequest&) {
      return ports::ExecResult{0, "data"};
    };
    said =
        " ran \"./migrate\", which is irreversible; before it, FILE saved, 4 B; read it back with: docker exec -i "
        "postgres psql -U app app < FILE";
  }
  SECTION("an app that migrates when it starts") {
    world.services[0].migrates_on_boot = true;
    said = " changed the data when it started (migrates_on_boot)";
  }
  agent.push({"backend"}, 'b');
  agent.work();
  REQUIRE(agent.last().phase == domain::Phase::succeeded);
  const auto second = agent.journal.revisions.promoted("backend").front().name;
  const auto file = (world.folder / "backups" / ("backend-" + second + "-2.sql")).string();
  for (auto at = said.find("FILE"); at != std::string::npos; at = said.find("FILE")) said.replace(at, 4, file);
  api::Commands commands(agent.journal, agent.releases, world.services, [&] { agent.dispatcher.wake(); });
  const auto refusal = error_of([&] { commands.rollback({"backend", "", 0, false}, "ann"); });
  CHECK(refusal.kind() == ErrorKind::conflict);
  CHECK(refusal.message() == second + said + "; " + first +
                                 " may not understand the data any more. Go back all the same with: deployctl rollback "
                                 "backend --to " +
                                 first + " --yes");
  commands.rollback({"backend", "", 0, true}, "ann");
  agent.work();
  CHECK(agent.journal.revisions.promoted("backend").front().name == first);
}

TEST_CASE("a dump takes nobody else's file away, and failures none of a version that went live") {
  TempDir folder;
  const auto touch = [&](const std::string& name) { std::ofstream(folder / name) << "data"; };
  const std::string other = "app-worker-1111111-222222-1.sql";
  for (const auto* name :
       {"app-app-1111111-222222-1.sql", "app-app-1111111-222222-2.sql", "app-app-3333333-222222-3.sql",
        "app-app-3333333-222222-4.sql", "app-manual.sql", "app-app-1111111-222222-9.sql.part"}) {
    touch(name);
  }
  touch(other);
  rollout::keep_newest(folder.path(), "app-{revision}.sql", "app", 1,
                       [](domain::RolloutId id) { return id.value <= 2; });
  std::set<std::string> left;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) left.insert(entry.path().filename());
  CHECK(left == std::set<std::string>{"app-app-1111111-222222-2.sql", "app-app-3333333-222222-4.sql", "app-manual.sql",
                                      "app-app-1111111-222222-9.sql.part", other});
}

TEST_CASE("a migration of a version that never went live counts, too") {
  World world;
  world.services = {service_named("backend")};
  Agent agent(world);
  for (const char commit : {'a', 'b'}) {
    agent.push({"backend"}, commit);
    agent.work();
  }
  world.services[0].hooks.before = {command({"./migrate"})};
  world.services[0].hooks.before[0].irreversible = true;
  hooks_exit_with(world, 0);
  world.prober.judge = [](const FakeProber::Probe&) { return ports::Verdict{false, "GET /health answered 503"}; };
  agent.push({"backend"}, 'c');
  agent.work();
  REQUIRE(agent.last().phase == domain::Phase::rolled_back);
  api::Commands commands(agent.journal, agent.releases, world.services, [&] { agent.dispatcher.wake(); });
  CHECK_THAT(error_of([&] {
               commands.rollback({"backend", "", 0, false}, "ann");
             }).message(),
             Catch::Matchers::ContainsSubstring("ran \"./migrate\", which is irreversible"));
}
