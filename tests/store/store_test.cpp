#include <catch2/catch_all.hpp>
#include <filesystem>
#include <fstream>

#include "agent/base/error.hpp"
#include "agent/store/delivery_inbox.hpp"
#include "agent/store/event_log.hpp"
#include "agent/store/rollout_store.hpp"
#include "agent/store/target_store.hpp"
#include "tests/fakes/run.hpp"
#include "tests/fakes/small_disk.hpp"

using namespace deploy;
using deploy::tests::error_of;
using deploy::tests::on_small_disk;

namespace {

/// A state folder that lives as long as the test.
struct StateFolder {
  StateFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "deployctl-store-XXXXXX").string();
    path = ::mkdtemp(pattern.data());
  }
  ~StateFolder() { std::filesystem::remove_all(path); }
  std::filesystem::path file() const { return path / "state.db"; }
  std::filesystem::path path;
};

const domain::Time noon = store::from_millis(1'790'000'000'123);

domain::Rollout rollout_of(domain::ReleaseId release, const std::string& service) {
  domain::Rollout rollout;
  rollout.release = release;
  rollout.service = service;
  rollout.cause = "a test";
  rollout.created = noon;
  return rollout;
}

}  // namespace

TEST_CASE("what was committed is there when the database is opened again") {
  const StateFolder folder;
  domain::RolloutId id;
  {
    store::Database database(folder.file());
    store::RolloutStore rollouts(database);
    id = rollouts.add(rollout_of(rollouts.add_release(noon), "backend"));
    auto rollout = rollouts.get(id);
    rollout.phase = domain::Phase::rolled_back;
    rollout.reason = "backend is not healthy";
    rollout.log = {"db down", "bytes that are no UTF-8: \xff"};
    rollout.finished = noon;
    rollouts.update(rollout);
  }
  store::Database database(folder.file());
  const auto rollout = store::RolloutStore(database).get(id);
  CHECK(rollout.phase == domain::Phase::rolled_back);
  CHECK(rollout.reason == "backend is not healthy");
  CHECK(rollout.log == std::vector<std::string>{"db down", "bytes that are no UTF-8: \xEF\xBF\xBD"});
  CHECK(domain::iso_time(*rollout.finished) == "2026-09-21T14:13:20.123Z");
}

TEST_CASE("a file that is no database is named, with what to do, and left alone") {
  const StateFolder folder;
  const std::string notes(4096, 'x');
  std::ofstream(folder.file()) << notes;
  const auto error = error_of([&] { store::Database database(folder.file()); });
  CHECK(
      error.message() ==
      "the state database " + folder.file().string() +
          ": file is not a database; stop deployd, move the file away, with those beside it that end in -wal and -shm, "
          "and start it again: it goes on with the containers that run, and the history begins anew");
  CHECK(std::filesystem::file_size(folder.file()) == notes.size());
}

TEST_CASE("a database that is damaged says so outside of transactions, too") {
  const StateFolder folder;
  {
    store::Database database(folder.file());
    database.set_meta("subnet", "10.0.0.0/22");
  }
  // Only the page that holds the value, so that the database opens.
  std::fstream file(folder.file(), std::ios::in | std::ios::out | std::ios::binary);
  const std::string content{std::istreambuf_iterator<char>(file), {}};
  const auto at = content.find("10.0.0.0/22");
  REQUIRE(at != std::string::npos);
  constexpr std::size_t page = 4096;
  file.clear();
  file.seekp(static_cast<std::streamoff>(at / page * page));
  file << std::string(page, '\xff');
  file.close();
  store::Database database(folder.file());
  CHECK(
      error_of([&] { database.meta("subnet"); }).message() ==
      "the state database " + folder.file().string() +
          ": database disk image is malformed; stop deployd, move the file away, with those beside it that end in -wal "
          "and -shm, and start it again: it goes on with the containers that run, and the history begins anew");
}

TEST_CASE("a database that cannot be opened says what it must be") {
  const StateFolder folder;
  std::filesystem::create_directory(folder.file());
  CHECK(
      error_of([&] { store::Database database(folder.file()); }).message() ==
      "the state database " + folder.file().string() +
          ": unable to open database file; it must be a file that deployd may read and write, in a folder where it may "
          "make others");
}

TEST_CASE("a transaction that throws leaves nothing, and the next one works") {
  const StateFolder folder;
  store::Database database(folder.file());
  CHECK_THROWS_AS(database.transaction([&] {
    database.set_meta("subnet", "10.0.0.0/22");
    throw std::runtime_error("half-way");
  }),
                  std::runtime_error);
  CHECK_FALSE(database.meta("subnet"));
  database.transaction([&] { database.set_meta("subnet", "10.1.0.0/22"); });
  CHECK(database.meta("subnet") == "10.1.0.0/22");
}

TEST_CASE("a hook hears of each outermost transaction, and can refuse it before it is committed") {
  const StateFolder folder;
  store::Database database(folder.file());
  std::string heard;
  database.on_commit([&](bool committed) { heard += committed ? "after " : "before "; });
  database.transaction([&] { database.transaction([&] { database.set_meta("subnet", "10.0.0.0/22"); }); });
  CHECK(heard == "before after ");
  database.on_commit([](bool committed) {
    if (!committed) throw Error(ErrorKind::disk_full, "no space");
  });
  const auto refused = [&] { database.transaction([&] { database.set_meta("subnet", "10.1.0.0/22"); }); };
  CHECK(error_of(refused).message() == "no space");
  CHECK(database.meta("subnet") == "10.0.0.0/22");
  database.on_commit([](bool committed) {
    if (committed) throw std::runtime_error("killed");
  });
  CHECK_THROWS_AS(refused(), std::runtime_error);
  CHECK(database.meta("subnet") == "10.1.0.0/22");
}

TEST_CASE("a write outside of a transaction is one of its own") {
  const StateFolder folder;
  store::Database database(folder.file());
  std::string heard;
  database.on_commit([&](bool committed) { heard += committed ? "after " : "before "; });
  database.set_meta("subnet", "10.0.0.0/22");
  CHECK(heard == "before after ");
}

TEST_CASE("a full disk is an error of its own, in a transaction and outside of one") {
  const StateFolder folder;
  const bool together = GENERATE(true, false);
  on_small_disk(folder.path, 2048, [&] {
    store::Database database(folder.file());
    const auto fill = [&] {
      for (int i = 0; i < 400; ++i) database.set_meta("filler " + std::to_string(i), std::string(10000, 'x'));
    };
    const auto error = error_of([&] { together ? database.transaction(fill) : fill(); });
    CHECK(error.kind() == ErrorKind::disk_full);
    CHECK(error.message() ==
          "cannot write " + folder.file().string() + ": the disk is full; free some space and try again");
  });
}

TEST_CASE("a state folder that is in use is refused") {
  const StateFolder folder;
  const store::Database first(folder.file());
  const auto error = error_of([&] { store::Database second(folder.file()); });
  CHECK(error.message() == "another deployd is using the state folder " + folder.path.string() +
                               "; stop it first, or give this one another `state` folder");
}

TEST_CASE("a state folder that is not there is refused with what to do") {
  const auto error = error_of([] { store::Database database("/nonexistent/state.db"); });
  CHECK(error.message() ==
        "cannot open /nonexistent/state.db.lock: No such file or directory; is `state` in agent.yaml a folder that "
        "deployd may write?");
}

TEST_CASE("a database of a newer deployd is refused") {
  const StateFolder folder;
  { const store::Database database(folder.file()); }
  { SQLite::Database(folder.file().string(), SQLite::OPEN_READWRITE).exec("PRAGMA user_version = 999"); }
  const auto error = error_of([&] { store::Database database(folder.file()); });
  CHECK(error.message() == "the state database " + folder.file().string() +
                               " was written by a newer deployd; install that version or a later one");
}

TEST_CASE("a delivery and its jobs are stored once, whatever its delivery id says") {
  const StateFolder folder;
  store::Database database(folder.file());
  store::JobQueue jobs(database);
  store::DeliveryInbox inbox(database, jobs);
  domain::Delivery delivery;
  delivery.guid = "1";
  delivery.event = "push";
  delivery.body_sha256 = "abc";
  delivery.repo = "o/backend";
  delivery.outcome = "accepted";
  delivery.changes = {{"backend", std::string(40, 'a'), "main", ""}, {"worker", std::string(40, 'a'), "main", ""}};
  const auto first = inbox.store(delivery, noon);
  CHECK_FALSE(first.duplicate);
  delivery.guid = "2";
  const auto second = inbox.store(delivery, noon);
  CHECK(second.duplicate);
  CHECK(second.id == first.id);
  const auto waiting = jobs.waiting();
  REQUIRE(waiting.size() == 2);
  CHECK(waiting[0].service == "backend");
  CHECK(waiting[0].cause == "push of o/backend, commit aaaaaaa");
  store::RolloutStore rollouts(database);
  jobs.set_release(waiting[0].id, rollouts.add_release(noon));
  jobs.set_outcome(waiting[1].id, "no such service");
  CHECK(jobs.waiting().empty());
}

TEST_CASE("a delivery that was ignored is queued when it comes again after the configuration was mended") {
  const StateFolder folder;
  store::Database database(folder.file());
  store::JobQueue jobs(database);
  store::DeliveryInbox inbox(database, jobs);
  domain::Delivery delivery;
  delivery.body_sha256 = "abc";
  delivery.outcome = "branch \"main\" is not deployed";
  const auto first = inbox.store(delivery, noon);
  CHECK(inbox.store(delivery, noon).duplicate);
  delivery.outcome = "accepted";
  delivery.changes = {{"backend", std::string(40, 'a'), "main", ""}};
  const auto again = inbox.store(delivery, noon);
  CHECK_FALSE(again.duplicate);
  CHECK(again.id == first.id);
  CHECK(jobs.waiting().size() == 1);
  CHECK(inbox.store(delivery, noon).duplicate);
  CHECK(jobs.waiting().size() == 1);
}

TEST_CASE("steps keep their targets, order and state") {
  const StateFolder folder;
  store::Database database(folder.file());
  store::RolloutStore rollouts(database);
  const auto id = rollouts.add(rollout_of(rollouts.add_release(noon), "backend"));
  domain::Step create;
  create.rollout = id;
  create.position = 1;
  create.kind = domain::StepKind::create;
  create.targets = {domain::TargetId{7}};
  domain::Step change = create;
  change.position = 2;
  change.kind = domain::StepKind::switch_traffic;
  change.before = {domain::TargetId{3}, domain::TargetId{4}};
  rollouts.add_steps({change, create});
  auto steps = rollouts.steps(id);
  REQUIRE(steps.size() == 2);
  CHECK(steps[0].kind == domain::StepKind::create);
  CHECK(steps[1].before == std::vector{domain::TargetId{3}, domain::TargetId{4}});
  steps[0].state = domain::StepState::succeeded;
  steps[0].attempts = 2;
  steps[0].detail = "done";
  rollouts.update(steps[0]);
  CHECK(rollouts.steps(id)[0].state == domain::StepState::succeeded);
  CHECK(rollouts.steps(id)[0].attempts == 2);
}

TEST_CASE("a step kind that a later deployd stored is refused and not guessed") {
  const StateFolder folder;
  store::Database database(folder.file());
  store::RolloutStore rollouts(database);
  const auto id = rollouts.add(rollout_of(rollouts.add_release(noon), "backend"));
  domain::Step step;
  step.rollout = id;
  rollouts.add_steps({step});
  database.execute("UPDATE steps SET kind = 'teleport'");
  const auto error = error_of([&] { rollouts.steps(id); });
  CHECK(error.message() ==
        "the state database holds the name \"teleport\", which this deployd does not know; install a later one");
}

TEST_CASE("routes name targets, and replace each other whole") {
  const StateFolder folder;
  store::Database database(folder.file());
  store::RolloutStore rollouts(database);
  store::TargetStore targets(database);
  const auto rollout = rollouts.add(rollout_of(rollouts.add_release(noon), "llm"));
  domain::Target target;
  target.service = "llm";
  target.rollout = rollout;
  target.port = 8000;
  target.address = "10.9.0.10";
  const auto first = targets.add(target);
  target.address = "10.9.0.11";
  const auto second = targets.add(target);
  targets.set_routed("llm", {first});
  targets.set_routed("llm", {second});
  const auto routed = targets.routed("llm");
  REQUIRE(routed.size() == 1);
  CHECK(routed[0].address == "10.9.0.11");
  CHECK(targets.present().size() == 2);
  auto gone = targets.get(first);
  gone.state = domain::TargetState::gone;
  targets.update(gone);
  CHECK(targets.present().size() == 1);
}

TEST_CASE("only revisions that were live and still have an image can be rolled back to, newest first") {
  const StateFolder folder;
  store::Database database(folder.file());
  store::RevisionStore revisions(database);
  domain::Revision revision;
  revision.service = "backend";
  std::vector<domain::RevisionId> ids;
  for (const auto* name : {"backend-1", "backend-2", "backend-3", "backend-4"}) {
    revision.name = name;
    ids.push_back(revisions.add(revision));
  }
  revisions.set_promoted(ids[0], noon);
  revisions.set_promoted(ids[1], noon + std::chrono::seconds(1));
  revisions.set_promoted(ids[2], noon + std::chrono::seconds(2));
  revisions.set_pruned(ids[1]);
  const auto left = revisions.promoted("backend");
  REQUIRE(left.size() == 2);
  CHECK(left[0].name == "backend-3");
  CHECK(left[1].name == "backend-1");
}

TEST_CASE("events come in order, from where the reader stopped, and wake readers") {
  const StateFolder folder;
  store::Database database(folder.file());
  int woken = 0;
  store::EventLog log(database, [&](const domain::Event&) { ++woken; });
  for (int i = 1; i <= 3; ++i) {
    log.append({0, noon, domain::ReleaseId{i % 2 + 1}, domain::RolloutId{i}, "backend", "note", std::to_string(i)});
  }
  CHECK(woken == 3);
  const auto all = log.after(1, domain::ReleaseId{}, 10);
  REQUIRE(all.size() == 2);
  CHECK(all[0].text == "2");
  const auto of_second = log.after(0, domain::ReleaseId{2}, 10);
  REQUIRE(of_second.size() == 2);
  CHECK(of_second[1].text == "3");
}

TEST_CASE("what was tried of a service is known by its commit, and by its image's digest") {
  const StateFolder folder;
  store::Database database(folder.file());
  store::RolloutStore rollouts(database);
  store::RevisionStore revisions(database);
  const auto release = rollouts.add_release(noon);
  const std::string digest = "sha256:" + std::string(64, '1');
  auto failed = rollout_of(release, "backend");
  failed.commit = std::string(40, 'a');
  failed.phase = domain::Phase::rolled_back;
  rollouts.add(failed);
  auto named = rollout_of(release, "llm");
  named.image = "team/llm@" + digest;
  rollouts.add(named);
  domain::Revision revision;
  revision.service = "worker";
  revision.name = "worker-1111111-c0de42";
  revision.image = "registry:5000/team/worker@" + digest;
  auto pulled = rollout_of(release, "worker");
  pulled.revision = revisions.add(revision);
  rollouts.add(pulled);

  CHECK(rollouts.was_tried("backend", failed.commit));
  CHECK_FALSE(rollouts.was_tried("backend", std::string(40, 'b')));
  CHECK_FALSE(rollouts.was_tried("llm", failed.commit));
  CHECK(rollouts.was_tried_digest("llm", digest));
  CHECK(rollouts.was_tried_digest("worker", digest));
  CHECK_FALSE(rollouts.was_tried_digest("backend", digest));
  CHECK_FALSE(rollouts.was_tried_digest("worker", "sha256:" + std::string(64, '2')));
  // A name that ends like a digest is none.
  CHECK_FALSE(rollouts.was_tried_digest("worker", std::string(64, '1')));
}

TEST_CASE("jobs that came after another are found, whatever became of them") {
  const StateFolder folder;
  store::Database database(folder.file());
  store::JobQueue jobs(database);
  CHECK(jobs.last_id() == 0);
  store::Job job;
  job.service = "backend";
  const auto first = jobs.add(job, noon);
  CHECK(jobs.last_id() == first);
  CHECK_FALSE(jobs.came_after(first, "backend"));
  jobs.set_outcome(jobs.add(job, noon), "overtaken");
  CHECK(jobs.came_after(first, "backend"));
  CHECK_FALSE(jobs.came_after(first, "llm"));
}
