#include "agent/store/rollout_store.hpp"

#include <nlohmann/json.hpp>

#include "agent/base/error.hpp"

namespace deploy::store {

namespace {

constexpr auto rollout_columns =
    "SELECT id, release_id, service, kind, cause, commit_id, ref, image, revision, previous, config, phase, reason, "
    "log, "
    "created, started, finished, stop_phase, stop_reason, others FROM rollouts ";

/// A name that a later deployd stored and this one does not know: nobody may guess what it meant.
template <class Value>
Value known(const std::optional<Value>& value, const std::string& name) {
  if (!value) {
    throw Error(ErrorKind::invalid, "the state database holds the name \"" + name +
                                        "\", which this deployd does not know; install a later one");
  }
  return *value;
}

std::optional<domain::RevisionId> revision_column(const SQLite::Column& column) {
  if (column.isNull()) return std::nullopt;
  return domain::RevisionId{column.getInt64()};
}

domain::Rollout read_rollout(SQLite::Statement& row) {
  domain::Rollout rollout;
  rollout.id = domain::RolloutId{row.getColumn(0).getInt64()};
  rollout.release = domain::ReleaseId{row.getColumn(1).getInt64()};
  rollout.service = row.getColumn(2).getString();
  const auto kind = row.getColumn(3).getString();
  rollout.kind = known(domain::rollout_kind_from(kind), kind);
  rollout.cause = row.getColumn(4).getString();
  rollout.commit = row.getColumn(5).getString();
  rollout.ref = row.getColumn(6).getString();
  rollout.image = row.getColumn(7).getString();
  rollout.revision = revision_column(row.getColumn(8));
  rollout.previous = revision_column(row.getColumn(9));
  rollout.config = row.getColumn(10).getString();
  const auto phase = row.getColumn(11).getString();
  rollout.phase = known(domain::phase_from(phase), phase);
  rollout.reason = row.getColumn(12).getString();
  rollout.log = nlohmann::json::parse(row.getColumn(13).getString()).get<std::vector<std::string>>();
  rollout.created = from_millis(row.getColumn(14).getInt64());
  rollout.started = time_column(row.getColumn(15));
  rollout.finished = time_column(row.getColumn(16));
  const auto stop = row.getColumn(17).getString();
  if (!stop.empty()) rollout.stop = {known(domain::phase_from(stop), stop), row.getColumn(18).getString()};
  rollout.others = decode_commits(row.getColumn(19).getString());
  return rollout;
}

/// Log lines come from containers and may hold any bytes.
std::string encode_log(const std::vector<std::string>& lines) {
  return nlohmann::json(lines).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::vector<domain::TargetId> decode_ids(const std::string& text) {
  std::vector<domain::TargetId> ids;
  for (const auto& value : nlohmann::json::parse(text)) ids.push_back(domain::TargetId{value.get<std::int64_t>()});
  return ids;
}

domain::Step read_step(SQLite::Statement& row) {
  domain::Step step;
  step.id = domain::StepId{row.getColumn(0).getInt64()};
  step.rollout = domain::RolloutId{row.getColumn(1).getInt64()};
  step.position = row.getColumn(2).getInt();
  const auto kind = row.getColumn(3).getString();
  step.kind = known(domain::step_kind_from(kind), kind);
  step.targets = decode_ids(row.getColumn(4).getString());
  step.before = decode_ids(row.getColumn(5).getString());
  const auto state = row.getColumn(6).getString();
  step.state = known(domain::step_state_from(state), state);
  step.attempts = row.getColumn(7).getInt();
  step.started = time_column(row.getColumn(8));
  step.finished = time_column(row.getColumn(9));
  step.detail = row.getColumn(10).getString();
  return step;
}

}  // namespace

std::string encode_ids(const std::vector<domain::TargetId>& ids) {
  auto list = nlohmann::json::array();
  for (const auto id : ids) list.push_back(id.value);
  return list.dump();
}

domain::ReleaseId RolloutStore::add_release(domain::Time now) {
  database_.execute("INSERT INTO releases (created) VALUES (?1)", now);
  return domain::ReleaseId{database_.last_id()};
}

void RolloutStore::set_atomic(domain::ReleaseId id, bool atomic) {
  database_.execute("UPDATE releases SET atomic = ?2 WHERE id = ?1", id, atomic ? 1 : 0);
}

std::vector<domain::ReleaseId> RolloutStore::atomic_releases() {
  return database_.query("SELECT id FROM releases WHERE atomic = 1 ORDER BY id",
                         [](SQLite::Statement& row) { return domain::ReleaseId{row.getColumn(0).getInt64()}; });
}

domain::RolloutId RolloutStore::add(const domain::Rollout& rollout) {
  database_.execute(
      "INSERT INTO rollouts (release_id, service, kind, cause, commit_id, ref, image, revision, previous, config, "
      "phase, "
      "reason, log, created, started, finished, others) "
      "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
      rollout.release, rollout.service, domain::to_string(rollout.kind), rollout.cause, rollout.commit, rollout.ref,
      rollout.image, rollout.revision, rollout.previous, rollout.config, domain::to_string(rollout.phase),
      rollout.reason, encode_log(rollout.log), rollout.created, rollout.started, rollout.finished,
      encode_commits(rollout.others));
  return domain::RolloutId{database_.last_id()};
}

// SQLite keeps the last number of an AUTOINCREMENT table in sqlite_sequence, from the table's first row on.
void RolloutStore::number_after(domain::RolloutId id) {
  database_.execute("UPDATE sqlite_sequence SET seq = max(seq, ?1) WHERE name = 'rollouts'", id);
}

void RolloutStore::update(const domain::Rollout& rollout) {
  database_.execute(
      "UPDATE rollouts SET commit_id = ?2, revision = ?3, previous = ?4, config = ?5, phase = ?6, reason = ?7, log = "
      "?8, "
      "started = ?9, finished = ?10, others = ?11 WHERE id = ?1",
      rollout.id, rollout.commit, rollout.revision, rollout.previous, rollout.config, domain::to_string(rollout.phase),
      rollout.reason, encode_log(rollout.log), rollout.started, rollout.finished, encode_commits(rollout.others));
}

void RolloutStore::set_stop(domain::RolloutId id, const domain::StopWish& wish) {
  database_.execute("UPDATE rollouts SET stop_phase = ?2, stop_reason = ?3 WHERE id = ?1", id,
                    domain::to_string(wish.phase), wish.reason);
}

domain::Rollout RolloutStore::get(domain::RolloutId id) {
  const auto found = find(id);
  if (!found) {
    throw Error(ErrorKind::not_found,
                "there is no rollout " + std::to_string(id.value) + "; `deployctl history` lists them");
  }
  return *found;
}

std::optional<domain::Rollout> RolloutStore::find(domain::RolloutId id) {
  const auto found = database_.query(std::string(rollout_columns) + "WHERE id = ?1", read_rollout, id);
  return found.empty() ? std::nullopt : std::optional(found.front());
}

std::vector<domain::Rollout> RolloutStore::unfinished() {
  return database_.query(std::string(rollout_columns) + "WHERE phase IN ('queued', 'running', 'undoing') ORDER BY id",
                         read_rollout);
}

std::vector<domain::Rollout> RolloutStore::of_release(domain::ReleaseId release) {
  return database_.query(std::string(rollout_columns) + "WHERE release_id = ?1 ORDER BY id", read_rollout, release);
}

std::vector<domain::Rollout> RolloutStore::history(const std::string& service, int limit) {
  if (service.empty()) {
    return database_.query(std::string(rollout_columns) + "ORDER BY id DESC LIMIT ?1", read_rollout, limit);
  }
  return database_.query(std::string(rollout_columns) + "WHERE service = ?1 ORDER BY id DESC LIMIT ?2", read_rollout,
                         service, limit);
}

std::optional<domain::Rollout> RolloutStore::newest_of_cause(const std::string& service, const std::string& cause) {
  const auto found =
      database_.query(std::string(rollout_columns) + "WHERE service = ?1 AND cause = ?2 ORDER BY id DESC LIMIT 1",
                      read_rollout, service, cause);
  return found.empty() ? std::nullopt : std::optional(found.front());
}

bool RolloutStore::was_tried(const std::string& service, const std::string& commit) {
  // A history of any length is looked at for a moment only, by rollouts_by_service.
  const auto found = database_.query(
      "SELECT 1 FROM (SELECT commit_id FROM rollouts WHERE service = ?1 ORDER BY id DESC LIMIT 1000) "
      "WHERE commit_id = ?2 LIMIT 1",
      [](SQLite::Statement&) { return true; }, service, commit);
  return !found.empty();
}

bool RolloutStore::was_tried_with(const std::string& service, const std::string& repo, const std::string& commit) {
  const auto found = database_.query(
      "SELECT 1 FROM (SELECT others FROM rollouts WHERE service = ?1 ORDER BY id DESC LIMIT 1000), json_each(others) "
      "WHERE json_each.key = ?2 AND json_each.value = ?3 LIMIT 1",
      [](SQLite::Statement&) { return true; }, service, repo, commit);
  return !found.empty();
}

bool RolloutStore::was_tried_digest(const std::string& service, const std::string& digest) {
  // Asked for by its digest, or pulled by its tag and pinned then.
  const auto found = database_.query(
      "SELECT 1 FROM (SELECT image, revision FROM rollouts WHERE service = ?1 ORDER BY id DESC LIMIT 1000) tried "
      "LEFT JOIN revisions ON revisions.id = tried.revision "
      "WHERE substr(tried.image, -length(?2) - 1) = '@' || ?2 OR substr(revisions.image, -length(?2) - 1) = '@' || ?2 "
      "LIMIT 1",
      [](SQLite::Statement&) { return true; }, service, digest);
  return !found.empty();
}

std::optional<domain::Rollout> RolloutStore::last_ended(const std::string& service) {
  const auto found =
      database_.query(std::string(rollout_columns) +
                          // One that needs a person may end after the next one has: it counts from then.
                          // Never after a hundred, and a long history need not be sorted.
                          "WHERE id IN (SELECT id FROM rollouts WHERE service = ?1 ORDER BY id DESC LIMIT 100) "
                          "AND phase NOT IN ('queued', 'running', 'undoing') "
                          "ORDER BY CASE phase WHEN 'needs_operator' THEN finished ELSE "
                          "COALESCE(started, finished) END DESC, id DESC LIMIT 1",
                      read_rollout, service);
  return found.empty() ? std::nullopt : std::optional(found.front());
}

void RolloutStore::add_steps(const std::vector<domain::Step>& steps) {
  database_.transaction([&] {
    for (const auto& step : steps) {
      database_.execute(
          "INSERT INTO steps (rollout, position, kind, targets, before, state) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
          step.rollout, step.position, domain::to_string(step.kind), encode_ids(step.targets), encode_ids(step.before),
          domain::to_string(step.state));
    }
  });
}

void RolloutStore::update(const domain::Step& step) {
  database_.execute(
      "UPDATE steps SET state = ?2, attempts = ?3, started = ?4, finished = ?5, detail = ?6 WHERE id = ?1", step.id,
      domain::to_string(step.state), step.attempts, step.started, step.finished, step.detail);
}

std::vector<domain::Step> RolloutStore::steps(domain::RolloutId rollout) {
  return database_.query(
      "SELECT id, rollout, position, kind, targets, before, state, attempts, started, finished, detail FROM steps "
      "WHERE rollout = ?1 ORDER BY position",
      read_step, rollout);
}

bool RolloutStore::has_step(domain::RolloutId rollout, domain::StepKind kind, domain::StepState state) {
  const auto found = database_.query(
      "SELECT 1 FROM steps WHERE rollout = ?1 AND kind = ?2 AND state = ?3 LIMIT 1",
      [](SQLite::Statement&) { return true; }, rollout, domain::to_string(kind), domain::to_string(state));
  return !found.empty();
}

}  // namespace deploy::store
