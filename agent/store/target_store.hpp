// Targets, who of them is routed to, and the revisions they run.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/domain/rollout.hpp"
#include "agent/store/database.hpp"

namespace deploy::store {

class TargetStore {
 public:
  explicit TargetStore(Database& database) : database_(database) {}

  domain::TargetId add(const domain::Target& target);
  /// All but its address.
  void update(const domain::Target& target);
  /// Of one that was taken up, and joins the routing network later; every other one keeps what it has.
  void set_address(domain::TargetId id, const std::string& address);
  /// Throws Error(not_found).
  domain::Target get(domain::TargetId id);
  std::optional<domain::Target> find(domain::TargetId id);
  std::optional<domain::Target> of_container(const std::string& container_id);
  /// Every target that may have a container, of all services.
  std::vector<domain::Target> present();
  std::vector<domain::Target> of_rollout(domain::RolloutId rollout);
  /// Those whose revision was promoted and not replaced yet.
  std::vector<domain::Target> live(const std::string& service);

  /// Who gets the service's requests, as last proved, in order of id.
  std::vector<domain::Target> routed(const std::string& service);
  void set_routed(const std::string& service, const std::vector<domain::TargetId>& targets);

 private:
  Database& database_;
};

class RevisionStore {
 public:
  explicit RevisionStore(Database& database) : database_(database) {}

  domain::RevisionId add(const domain::Revision& revision);
  void set_promoted(domain::RevisionId id, domain::Time when);
  /// Its image was made or found again: image, image_asked and image_is_ours are as given.
  void set_image(const domain::Revision& revision);
  /// Its image was removed: it can no longer be rolled back to.
  void set_pruned(domain::RevisionId id);
  /// Throws Error(not_found).
  domain::Revision get(domain::RevisionId id);
  std::optional<domain::Revision> find(const std::string& service, const std::string& name);
  /// Those that were live once and whose image was not pruned, newest promotion first: what can be rolled back to.
  std::vector<domain::Revision> promoted(const std::string& service);
  /// The reference was not on the engine before we pulled it, so that the image is ours to remove.
  void set_pulled(const std::string& reference);
  bool was_pulled(const std::string& reference);
  std::vector<std::string> pulled();
  void forget_pulled(const std::string& reference);
  /// Every revision with an image that was not pruned, newest first; of one service where it is not empty.
  std::vector<domain::Revision> with_image(const std::string& service);

 private:
  Database& database_;
};

}  // namespace deploy::store
