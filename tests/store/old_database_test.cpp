// Databases of every schema that was released, as deployd left them: each opens, and everything in it can be read.
#include <catch2/catch_all.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "agent/domain/service.hpp"
#include "agent/store/config_store.hpp"
#include "agent/store/event_log.hpp"
#include "agent/store/job_queue.hpp"
#include "agent/store/pause_store.hpp"
#include "agent/store/rollout_store.hpp"
#include "agent/store/target_store.hpp"
#include "tests/fakes/temp_dir.hpp"

using namespace deploy;

namespace {

const std::filesystem::path data = DEPLOY_SOURCE_DIR "/tests/store/data";

std::string phases(store::RolloutStore& rollouts) {
  std::string text;
  for (const auto& rollout : rollouts.history("frontend", 100)) {
    text = domain::to_string(rollout.kind) + " " + domain::to_string(rollout.phase) + (text.empty() ? "" : ", ") + text;
  }
  return text;
}

}  // namespace

TEST_CASE("a database of each earlier release opens, and nothing in it is lost") {
  const auto [file, expected, pauses] = GENERATE(table<std::string, std::string, std::size_t>(
      {{"schema-1.db", "deploy succeeded, deploy succeeded, deploy rolled_back, rollback succeeded", 0},
       {"schema-2.db", "deploy succeeded, deploy succeeded, deploy rolled_back, rollback succeeded, deploy queued",
        1}}));
  const tests::TempDir folder;
  std::filesystem::copy_file(data / file, folder / "state.db");
  store::Database database(folder / "state.db");
  store::RolloutStore rollouts(database);
  CHECK(phases(rollouts) == expected);
  CHECK(database.meta("instance").value_or("").size() == 16);

  store::TargetStore targets(database);
  const auto live = targets.live("frontend");
  REQUIRE(live.size() == 1);
  CHECK(targets.routed("frontend").size() == 1);
  store::RevisionStore revisions(database);
  const auto revision = revisions.get(*live[0].revision);
  CHECK(revision.name.starts_with("frontend-"));
  CHECK_FALSE(revision.pruned);
  CHECK(domain::service_from_json(nlohmann::json::parse(revision.config)).name == "frontend");
  CHECK(revisions.promoted("frontend").size() == 2);

  const auto failed = rollouts.get({3});
  CHECK_FALSE(failed.stop);
  CHECK_FALSE(failed.reason.empty());
  CHECK(rollouts.steps(failed.id).size() == 11);
  store::EventLog events(database, [](const domain::Event&) {});
  CHECK(events.of_rollout(failed.id).size() > 10);
  CHECK(store::JobQueue(database).waiting().empty());
  CHECK(store::PauseStore(database).all().size() == pauses);
  CHECK(store::ConfigStore(database).history(1).empty());
}
