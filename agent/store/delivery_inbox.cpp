#include "agent/store/delivery_inbox.hpp"

namespace deploy::store {

namespace {

std::string cause_of(const domain::Delivery& delivery, const std::string& commit) {
  const auto cause = delivery.event + " of " + delivery.repo;
  return commit.empty() ? cause : cause + ", commit " + commit.substr(0, 7);
}

std::string cause_of(const domain::Delivery& delivery, const domain::Change& change) {
  auto cause = cause_of(delivery, change.commit);
  for (const auto& [repo, commit] : change.others) {
    cause += ", commit " + commit.substr(0, 7) + ", which rebuilds " + change.service;
  }
  return cause;
}

}  // namespace

std::optional<LastDelivery> last_delivery(Database& database) {
  const auto found = database.query("SELECT received, event, repo, outcome FROM deliveries ORDER BY id DESC LIMIT 1",
                                    [](SQLite::Statement& row) {
                                      LastDelivery last;
                                      last.received = from_millis(row.getColumn(0).getInt64());
                                      last.event = row.getColumn(1).getString();
                                      last.repo = row.getColumn(2).getString();
                                      last.outcome = row.getColumn(3).getString();
                                      return last;
                                    });
  return found.empty() ? std::nullopt : std::optional(found.front());
}

DeliveryInbox::Stored DeliveryInbox::store(const domain::Delivery& delivery, domain::Time now) {
  Stored stored;
  database_.transaction([&] {
    const auto known = database_.query(
        "SELECT id, EXISTS (SELECT 1 FROM jobs WHERE delivery = deliveries.id) OR EXISTS (SELECT 1 FROM config_changes "
        "WHERE delivery = deliveries.id) FROM deliveries WHERE body_sha256 = ?1",
        [](SQLite::Statement& row) { return std::pair(row.getColumn(0).getInt64(), row.getColumn(1).getInt() != 0); },
        delivery.body_sha256);
    if (!known.empty()) {
      stored.id = domain::DeliveryId{known.front().first};
      // What was ignored may be wanted now that the configuration was mended; what was queued is never queued twice.
      const bool nothing_wanted = delivery.changes.empty() && delivery.config_commit.empty();
      stored.duplicate = known.front().second || nothing_wanted;
      if (stored.duplicate) return;
      database_.execute("UPDATE deliveries SET outcome = ?2 WHERE id = ?1", stored.id, delivery.outcome);
    } else {
      database_.execute(
          "INSERT INTO deliveries (received, guid, event, body_sha256, repo, outcome) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
          now, delivery.guid, delivery.event, delivery.body_sha256, delivery.repo, delivery.outcome);
      stored.id = domain::DeliveryId{database_.last_id()};
    }
    for (const auto& change : delivery.changes) {
      Job job;
      job.delivery = stored.id;
      job.service = change.service;
      job.commit = change.commit;
      job.ref = change.ref;
      job.image = change.image;
      job.others = change.others;
      job.cause = cause_of(delivery, change);
      jobs_.add(job, now);
    }
    if (!delivery.config_commit.empty()) {
      configs_.add(delivery.config_commit, cause_of(delivery, delivery.config_commit), stored.id, now);
    }
  });
  return stored;
}

}  // namespace deploy::store
