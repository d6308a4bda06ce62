// What happened, in order. Written in the transaction of what it tells about; read by deployctl while it waits.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "agent/domain/rollout.hpp"
#include "agent/store/database.hpp"

namespace deploy::store {

class EventLog {
 public:
  /// `on_append` is called after each append, still inside the caller's transaction: it may only wake somebody up, or
  /// write a log.
  EventLog(Database& database, std::function<void(const domain::Event& event)> on_append)
      : database_(database), on_append_(std::move(on_append)) {}

  void append(const domain::Event& event);
  /// Events after `seq`, oldest first, at most `limit`; of one release where it is not 0.
  std::vector<domain::Event> after(std::int64_t seq, domain::ReleaseId release, int limit);
  std::vector<domain::Event> of_rollout(domain::RolloutId rollout);
  /// Of the newest event; 0: there is none.
  std::int64_t last_seq();

 private:
  Database& database_;
  std::function<void(const domain::Event& event)> on_append_;
};

}  // namespace deploy::store
