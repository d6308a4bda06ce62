// Turns waiting jobs into releases: what arrives close together goes out together, in the order of depends_on. What is
// older gives way: a queued rollout of the same service, and one under way that has not switched yet.
#pragma once

#include <chrono>
#include <optional>
#include <vector>

#include "agent/domain/service.hpp"
#include "agent/rollout/journal.hpp"
#include "agent/store/job_queue.hpp"

namespace deploy::rollout {

struct Settle {
  std::chrono::milliseconds quiet{5000};  // a release waits until no change has come for this long
  std::chrono::milliseconds most{60000};  // but never longer than this after its first change
  bool atomic = false;                    // a release whose rollouts do not all go live is taken back
};

class ReleasePlanner {
 public:
  ReleasePlanner(Journal& journal, store::Database& database, const std::vector<domain::Service>& services,
                 Settle settle)
      : journal_(journal), jobs_(database), services_(services), settle_(settle) {}

  /// Takes back what an atomic release that failed brought, and makes one release of all waiting jobs if they have
  /// settled. Returns the time until they will have; nullopt: none
  /// waits.
  std::optional<std::chrono::milliseconds> plan_due();

  /// Stores a person's wishes and makes a release of them at once. The jobs name different services that exist.
  domain::ReleaseId plan_now(const std::vector<store::Job>& wishes);

 private:
  domain::ReleaseId plan(const std::vector<store::Job>& jobs);
  void take_back_failed();
  void supersede(const store::Job& by, domain::ReleaseId release);
  std::string commit_to_rebuild(const std::string& name);
  domain::Rollout rollout_for(const store::Job& job, domain::ReleaseId release);

  Journal& journal_;
  store::JobQueue jobs_;
  const std::vector<domain::Service>& services_;
  Settle settle_;
};

}  // namespace deploy::rollout
