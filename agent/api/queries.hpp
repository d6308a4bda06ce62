// What the stores hold, as the API's views. Reads the database only, so that it answers while the engine does not.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/api/views.hpp"
#include "agent/base/error.hpp"
#include "agent/domain/config_change.hpp"
#include "agent/domain/service.hpp"
#include "agent/rollout/journal.hpp"
#include "agent/rollout/preview.hpp"

namespace deploy::api {

bool is_configured(const std::vector<domain::Service>& services, const std::string& name);
/// Says which there are.
Error no_such_service(const std::vector<domain::Service>& services, const std::string& name);

/// Throws Error(not_found) where it is not.
void check_configured(const std::vector<domain::Service>& services, const std::string& name);

class Queries {
 public:
  Queries(rollout::Journal& journal, const std::vector<domain::Service>& services,
          std::optional<domain::ConfigRepo> config_repo = std::nullopt)
      : journal_(journal), services_(services), config_repo_(std::move(config_repo)) {}

  void check_service(const std::string& name) const { check_configured(services_, name); }
  StatusView status(std::vector<std::string> notes, std::vector<std::string> drift);
  /// In the order in which they would go out; services that are not live are left out.
  LiveServicesView live_services();
  /// Throws Error(not_found) for a service that is not configured and that nothing is known of, either.
  HistoryView history(const std::string& service, int limit);
  /// Throws Error(not_found) where there is none, and says whether there is such a service at all.
  std::vector<domain::Target> live_targets(const std::string& service);
  /// With its steps. Throws Error(not_found).
  RolloutView rollout(domain::RolloutId id);

 private:
  ServiceView service(const std::string& name, const std::vector<domain::Rollout>& unfinished,
                      const std::vector<domain::Target>& present);
  std::optional<ConfigRepoView> config_repo();
  RolloutView view(const domain::Rollout& rollout);
  std::optional<PauseView> pause_of(const std::string& service);
  std::string revision_name(const std::optional<domain::RevisionId>& id);

  rollout::Journal& journal_;
  const std::vector<domain::Service>& services_;
  std::optional<domain::ConfigRepo> config_repo_;
};

EventView event_view(const domain::Event& event);
PlannedView planned_view(rollout::Preview preview);

}  // namespace deploy::api
