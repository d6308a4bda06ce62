// Deliveries as they came in. What is in here was verified, and was stored before GitHub got its answer.
#pragma once

#include <optional>
#include <string>

#include "agent/domain/delivery.hpp"
#include "agent/store/config_store.hpp"
#include "agent/store/database.hpp"
#include "agent/store/job_queue.hpp"

namespace deploy::store {

struct LastDelivery {
  domain::Time received{};
  std::string event;
  std::string repo;
  std::string outcome;
};

/// nullopt: none ever came.
std::optional<LastDelivery> last_delivery(Database& database);

class DeliveryInbox {
 public:
  struct Stored {
    domain::DeliveryId id;
    bool duplicate = false;  // the same body was stored before; nothing was queued
  };

  DeliveryInbox(Database& database, JobQueue& jobs) : database_(database), jobs_(jobs), configs_(database) {}

  /// Stores the delivery and a job for each of its changes, and the config change that it is, in one transaction. A
  /// body that was stored before is a duplicate, whatever its delivery id says: the signature covers the body alone.
  Stored store(const domain::Delivery& delivery, domain::Time now);

 private:
  Database& database_;
  JobQueue& jobs_;
  ConfigStore configs_;
};

}  // namespace deploy::store
