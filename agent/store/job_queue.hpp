// What is wanted, by deliveries and by people: the one way into a release.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/domain/ids.hpp"
#include "agent/domain/rollout.hpp"
#include "agent/store/database.hpp"

namespace deploy::store {

/// One service that somebody wants at a commit, an image or a revision.
struct Job {
  std::int64_t id = 0;
  domain::Time created{};
  std::optional<domain::DeliveryId> delivery;  // none: a person asked
  domain::RolloutKind kind = domain::RolloutKind::deploy;
  std::string service;
  std::string commit;
  std::string ref;
  std::string image;
  std::string revision;    // of a rollback, by name; empty: the one before
  domain::Commits others;  // of repositories that the service is rebuilt by
  std::string cause;
};

class JobQueue {
 public:
  explicit JobQueue(Database& database) : database_(database) {}

  /// Returns the job's id.
  std::int64_t add(const Job& job, domain::Time now);
  /// Jobs without a release, oldest first.
  std::vector<Job> waiting();
  /// The newest job's id, whatever became of it; 0: there was none.
  std::int64_t last_id();
  /// Whether a job of the service came after that one.
  bool came_after(std::int64_t id, const std::string& service);
  void set_release(std::int64_t job, domain::ReleaseId release);
  /// The job becomes no rollout; `outcome` says why.
  void set_outcome(std::int64_t job, const std::string& outcome);

 private:
  Database& database_;
};

}  // namespace deploy::store
