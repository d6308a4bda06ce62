#include "agent/store/event_log.hpp"

namespace deploy::store {

namespace {

constexpr auto columns = "SELECT seq, time, release_id, rollout, service, kind, text FROM events ";

domain::Event read_event(SQLite::Statement& row) {
  domain::Event event;
  event.seq = row.getColumn(0).getInt64();
  event.time = from_millis(row.getColumn(1).getInt64());
  event.release = domain::ReleaseId{row.getColumn(2).getInt64()};
  event.rollout = domain::RolloutId{row.getColumn(3).getInt64()};
  event.service = row.getColumn(4).getString();
  event.kind = row.getColumn(5).getString();
  event.text = row.getColumn(6).getString();
  return event;
}

}  // namespace

void EventLog::append(const domain::Event& event) {
  database_.execute(
      "INSERT INTO events (time, release_id, rollout, service, kind, text) VALUES (?1, ?2, ?3, ?4, ?5, ?6)", event.time,
      event.release, event.rollout, event.service, event.kind, event.text);
  on_append_(event);
}

std::vector<domain::Event> EventLog::after(std::int64_t seq, domain::ReleaseId release, int limit) {
  if (release.value != 0) {
    return database_.query(std::string(columns) + "WHERE release_id = ?2 AND seq > ?1 ORDER BY seq LIMIT ?3",
                           read_event, seq, release, limit);
  }
  return database_.query(std::string(columns) + "WHERE seq > ?1 ORDER BY seq LIMIT ?2", read_event, seq, limit);
}

std::int64_t EventLog::last_seq() {
  const auto found = database_.query("SELECT seq FROM events ORDER BY seq DESC LIMIT 1",
                                     [](SQLite::Statement& row) { return row.getColumn(0).getInt64(); });
  return found.empty() ? 0 : found.front();
}

std::vector<domain::Event> EventLog::of_rollout(domain::RolloutId rollout) {
  return database_.query(
      std::string(columns) +
          "WHERE release_id = (SELECT release_id FROM rollouts WHERE id = ?1) AND rollout = ?1 ORDER BY seq",
      read_event, rollout);
}

}  // namespace deploy::store
