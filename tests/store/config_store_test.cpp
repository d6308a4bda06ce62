// Config changes as they are stored, alone and with their delivery.
#include <catch2/catch_all.hpp>

#include "agent/store/delivery_inbox.hpp"
#include "tests/fakes/run.hpp"
#include "tests/fakes/temp_dir.hpp"

using namespace deploy;
using domain::ConfigPhase;

namespace {

const domain::Time then = store::from_millis(1'790'000'000'123);

struct Stored {
  tests::TempDir folder;
  store::Database database{folder / "state.db"};
  store::ConfigStore configs{database};
};

}  // namespace

TEST_CASE_METHOD(Stored, "a config change is read as it was written") {
  const auto id = configs.add(std::string(40, 'b'), "push of you/infra", std::nullopt, then);
  auto change = configs.unfinished().at(0);
  CHECK(change.id == id);
  CHECK(change.created == then);
  CHECK(change.phase == ConfigPhase::queued);
  CHECK(change.commit == std::string(40, 'b'));
  CHECK(change.cause == "push of you/infra");
  CHECK(change.from.empty());
  CHECK_FALSE(configs.last_ended());
  change.from = "a";
  change.to = "c";
  change.attempts = 2;
  for (const auto phase : {ConfigPhase::running, ConfigPhase::keeping}) {
    change.phase = phase;
    configs.update(change);
    CHECK(configs.unfinished().at(0).phase == phase);
  }
  change.phase = ConfigPhase::applied;
  change.reason = "well";
  change.finished = then;
  configs.update(change);
  CHECK(configs.unfinished().empty());
  const auto ended = configs.last_ended().value();
  CHECK(ended.from == "a");
  CHECK(ended.to == "c");
  CHECK(ended.attempts == 2);
  CHECK(ended.reason == "well");
  CHECK(ended.finished == then);
  CHECK(configs.was_tried("c"));
  CHECK(configs.was_tried(std::string(40, 'b')));
  CHECK_FALSE(configs.was_tried("a"));
}

TEST_CASE_METHOD(Stored, "what was superseded says nothing about how things are") {
  for (const auto phase : {ConfigPhase::rolled_back, ConfigPhase::superseded}) {
    configs.add("c", "push", std::nullopt, then);
    auto change = configs.unfinished().at(0);
    change.phase = phase;
    configs.update(change);
  }
  CHECK(configs.last_ended()->phase == ConfigPhase::rolled_back);
  CHECK(configs.history(10).size() == 2);
  CHECK(configs.history(10)[0].phase == ConfigPhase::superseded);
}

TEST_CASE_METHOD(Stored, "a name that a later deployd stored is not guessed at") {
  configs.add("c", "push", std::nullopt, then);
  database.execute("UPDATE config_changes SET phase = 'paused'");
  CHECK(tests::error_of([&] { configs.last_ended(); }).message() ==
        "the state database holds the name \"paused\", which this deployd does not know; install a later one");
}

TEST_CASE_METHOD(Stored, "a delivery and its config change are stored together, and once") {
  store::JobQueue jobs(database);
  store::DeliveryInbox inbox(database, jobs);
  domain::Delivery delivery;
  delivery.event = "push";
  delivery.repo = "you/infra";
  delivery.body_sha256 = "abc";
  delivery.config_commit = std::string(40, 'b');
  const auto first = inbox.store(delivery, then);
  CHECK_FALSE(first.duplicate);
  CHECK(inbox.store(delivery, then).duplicate);
  const auto waiting = configs.unfinished();
  REQUIRE(waiting.size() == 1);
  CHECK(waiting[0].delivery == first.id);
  CHECK(waiting[0].cause == "push of you/infra, commit bbbbbbb");
  CHECK(jobs.waiting().empty());
}
