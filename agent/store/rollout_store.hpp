// Releases, their rollouts and their steps.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/domain/rollout.hpp"
#include "agent/store/database.hpp"

namespace deploy::store {

class RolloutStore {
 public:
  explicit RolloutStore(Database& database) : database_(database) {}

  domain::ReleaseId add_release(domain::Time now);
  /// The release is one whole, and its end is still to be looked at; or not.
  void set_atomic(domain::ReleaseId id, bool atomic);
  std::vector<domain::ReleaseId> atomic_releases();
  /// Stores it as given and returns its id.
  domain::RolloutId add(const domain::Rollout& rollout);
  /// Later rollouts get numbers above this one. Not before the first rollout was added.
  void number_after(domain::RolloutId id);
  /// Writes everything that can change after `add`, but for `stop`.
  void update(const domain::Rollout& rollout);
  void set_stop(domain::RolloutId id, const domain::StopWish& wish);

  /// Throws Error(not_found).
  domain::Rollout get(domain::RolloutId id);
  std::optional<domain::Rollout> find(domain::RolloutId id);
  /// Queued, running or undoing, oldest first.
  std::vector<domain::Rollout> unfinished();
  std::vector<domain::Rollout> of_release(domain::ReleaseId release);
  /// Newest first; of one service where it is not empty.
  std::vector<domain::Rollout> history(const std::string& service, int limit);
  std::optional<domain::Rollout> newest_of_cause(const std::string& service, const std::string& cause);

  /// Whether one of the service's newest 1,000 rollouts, whatever became of it, was of this commit.
  bool was_tried(const std::string& service, const std::string& commit);
  /// The same of a commit of a repository that the service is rebuilt by.
  bool was_tried_with(const std::string& service, const std::string& repo, const std::string& commit);
  /// The same of an image with this digest ("sha256:…"), by whatever name.
  bool was_tried_digest(const std::string& service, const std::string& digest);

  /// The newest of the service that is neither queued nor under way.
  std::optional<domain::Rollout> last_ended(const std::string& service);

  void add_steps(const std::vector<domain::Step>& steps);
  void update(const domain::Step& step);
  /// In order of position.
  std::vector<domain::Step> steps(domain::RolloutId rollout);
  bool has_step(domain::RolloutId rollout, domain::StepKind kind, domain::StepState state);

 private:
  Database& database_;
};

/// Ids as a JSON list, the form in which steps keep them.
std::string encode_ids(const std::vector<domain::TargetId>& ids);

}  // namespace deploy::store
