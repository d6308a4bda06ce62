// What people ask for, checked and put into the queue. `who`: the user who asks, for the record.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "agent/api/views.hpp"
#include "agent/domain/service.hpp"
#include "agent/rollout/journal.hpp"
#include "agent/rollout/preview.hpp"
#include "agent/rollout/release_planner.hpp"

namespace deploy::api {

class Commands {
 public:
  /// `on_queued` is called after something new was queued, or may begin or end now.
  Commands(rollout::Journal& journal, rollout::ReleasePlanner& releases, const std::vector<domain::Service>& services,
           std::function<void()> on_queued)
      : journal_(journal), releases_(releases), services_(services), on_queued_(std::move(on_queued)) {}

  /// Throw Error: not_found for a service or revision that does not exist, invalid for a request that makes no sense.
  AcceptedView rollout(const RolloutRequest& request, const std::string& who);
  /// A rollout that bakes is turned round for it. Throws Error(conflict), too, where data was changed in between in a
  /// way that the earlier version may not understand, unless that was confirmed.
  AcceptedView rollback(const RollbackRequest& request, const std::string& who);
  /// What rollback() would do, and nothing is done. Throws as it does, but not for what would have to be confirmed.
  PlanView plan_rollback(const RollbackRequest& request, rollout::Previews& previews);
  /// Ends what is queued and turns round what is under way before its switch, or while it bakes. Throws Error(conflict)
  /// where one of them has switched, or is being undone, already; then nothing was done.
  AcceptedView cancel(const CancelRequest& request, const std::string& who);
  PauseView pause(const PauseRequest& request, const std::string& who);
  /// Throws Error(conflict) where it is not paused.
  PauseView resume(const PauseRequest& request, const std::string& who);

 private:
  domain::Revision revision_to_return_to(const std::string& service, const std::string& wanted);
  /// What a rollback takes.
  struct WayBack {
    std::vector<store::Job> jobs;
    std::optional<domain::Rollout> watched;  // has switched and is not promoted; it is turned round first
    std::vector<std::string> left;           // why a service stays as it is, a sentence each
  };
  WayBack way_back(const RollbackRequest& request);
  WayBack way_back_of_release(const RollbackRequest& request);
  std::optional<domain::Rollout> baked_one(const std::string& service);
  AcceptedView queue(const std::vector<store::Job>& jobs);
  std::vector<domain::Rollout> to_cancel(const CancelRequest& request);

  rollout::Journal& journal_;
  rollout::ReleasePlanner& releases_;
  const std::vector<domain::Service>& services_;
  std::function<void()> on_queued_;
};

}  // namespace deploy::api
