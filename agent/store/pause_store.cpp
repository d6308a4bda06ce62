#include "agent/store/pause_store.hpp"

namespace deploy::store {

void PauseStore::add(const Pause& pause) {
  database_.execute(
      "INSERT INTO pauses (service, reason, who, since) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (service) DO UPDATE SET "
      "reason = excluded.reason, who = excluded.who, since = excluded.since",
      pause.service, pause.reason, pause.who, pause.since);
}

bool PauseStore::remove(const std::string& service) {
  return database_.execute("DELETE FROM pauses WHERE service = ?1", service) > 0;
}

std::vector<Pause> PauseStore::all() {
  return database_.query("SELECT service, reason, who, since FROM pauses ORDER BY service", [](SQLite::Statement& row) {
    return Pause{row.getColumn(0).getString(), row.getColumn(1).getString(), row.getColumn(2).getString(),
                 from_millis(row.getColumn(3).getInt64())};
  });
}

}  // namespace deploy::store
