#include "agent/store/config_store.hpp"

#include "agent/base/error.hpp"

namespace deploy::store {

namespace {

constexpr auto config_columns =
    "SELECT id, created, delivery, cause, commit_id, from_id, to_id, phase, reason, attempts, finished "
    "FROM config_changes ";

domain::ConfigChange read_config_change(SQLite::Statement& row) {
  domain::ConfigChange change;
  change.id = row.getColumn(0).getInt64();
  change.created = from_millis(row.getColumn(1).getInt64());
  if (!row.getColumn(2).isNull()) change.delivery = domain::DeliveryId{row.getColumn(2).getInt64()};
  change.cause = row.getColumn(3).getString();
  change.commit = row.getColumn(4).getString();
  change.from = row.getColumn(5).getString();
  change.to = row.getColumn(6).getString();
  const auto name = row.getColumn(7).getString();
  const auto phase = domain::config_phase_from(name);
  if (!phase) {
    throw Error(ErrorKind::invalid, "the state database holds the name \"" + name +
                                        "\", which this deployd does not know; install a later one");
  }
  change.phase = *phase;
  change.reason = row.getColumn(8).getString();
  change.attempts = row.getColumn(9).getInt();
  change.finished = time_column(row.getColumn(10));
  return change;
}

}  // namespace

std::int64_t ConfigStore::add(const std::string& commit, const std::string& cause,
                              std::optional<domain::DeliveryId> delivery, domain::Time now) {
  database_.execute("INSERT INTO config_changes (created, delivery, cause, commit_id) VALUES (?1, ?2, ?3, ?4)", now,
                    delivery, cause, commit);
  return database_.last_id();
}

void ConfigStore::update(const domain::ConfigChange& change) {
  database_.execute(
      "UPDATE config_changes SET from_id = ?2, to_id = ?3, phase = ?4, reason = ?5, attempts = ?6, finished = ?7 "
      "WHERE id = ?1",
      change.id, change.from, change.to, domain::to_string(change.phase), change.reason, change.attempts,
      change.finished);
}

std::vector<domain::ConfigChange> ConfigStore::unfinished() {
  return database_.query(std::string(config_columns) + "WHERE phase IN ('queued', 'running', 'keeping') ORDER BY id",
                         read_config_change);
}

std::optional<domain::ConfigChange> ConfigStore::last_ended() {
  const auto found =
      database_.query(std::string(config_columns) +
                          "WHERE phase NOT IN ('queued', 'running', 'keeping', 'superseded') ORDER BY id DESC LIMIT 1",
                      read_config_change);
  return found.empty() ? std::nullopt : std::optional(found.front());
}

std::vector<domain::ConfigChange> ConfigStore::history(int limit) {
  return database_.query(std::string(config_columns) + "ORDER BY id DESC LIMIT ?1", read_config_change, limit);
}

bool ConfigStore::was_tried(const std::string& commit) {
  const auto found = database_.query(
      "SELECT 1 FROM (SELECT commit_id, to_id FROM config_changes ORDER BY id DESC LIMIT 1000) "
      "WHERE commit_id = ?1 OR to_id = ?1 LIMIT 1",
      [](SQLite::Statement&) { return true; }, commit);
  return !found.empty();
}

std::int64_t ConfigStore::last_id() {
  return database_
      .query("SELECT COALESCE(max(id), 0) FROM config_changes",
             [](SQLite::Statement& row) { return row.getColumn(0).getInt64(); })
      .front();
}

}  // namespace deploy::store
