// Config changes: what pushes of the users' own configuration led to. Stored with their delivery, and kept.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/domain/config_change.hpp"
#include "agent/domain/rollout.hpp"
#include "agent/store/database.hpp"

namespace deploy::store {

class ConfigStore {
 public:
  explicit ConfigStore(Database& database) : database_(database) {}

  /// A queued one. Returns its id.
  std::int64_t add(const std::string& commit, const std::string& cause, std::optional<domain::DeliveryId> delivery,
                   domain::Time now);
  /// Writes everything that can change after add().
  void update(const domain::ConfigChange& change);
  /// Queued, or begun and not at its end, oldest first.
  std::vector<domain::ConfigChange> unfinished();
  /// The newest that has ended and was not superseded: it says how things are.
  std::optional<domain::ConfigChange> last_ended();
  /// Newest first.
  std::vector<domain::ConfigChange> history(int limit);
  /// Whether one of the newest 1,000 was for this commit, whatever became of it.
  bool was_tried(const std::string& commit);
  /// The newest one's id, whatever became of it; 0: there was none.
  std::int64_t last_id();

 private:
  Database& database_;
};

}  // namespace deploy::store
