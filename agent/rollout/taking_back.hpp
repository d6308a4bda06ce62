// What speaks against going back, and how a whole release is taken back.
#pragma once

#include <string>
#include <vector>

#include "agent/rollout/journal.hpp"
#include "agent/store/job_queue.hpp"

namespace deploy::rollout {

/// What changed data for good since this revision of the service went live last, also where it was a rollout that
/// failed afterwards, with the command that reads a saved dump back; empty: nothing did.
std::string irreversible_since(Journal& journal, const std::string& service, const std::string& revision);

/// The service's revision that is live; empty: none is.
std::string live_revision(Journal& journal, const std::string& service);

struct TakingBack {
  std::vector<store::Job> jobs;           // rollbacks to what was live before
  std::vector<std::string> irreversible;  // what would have to be confirmed, a sentence each; not among the jobs
  std::vector<std::string> left;          // why a service stays as it is, a sentence each
};

/// The rollbacks that undo what a release brought. `confirmed`: over what is irreversible, too. What a service that
/// stays depends on stays with it.
TakingBack take_back(Journal& journal, const std::vector<domain::Service>& services, domain::ReleaseId release,
                     const std::string& cause, bool confirmed);

}  // namespace deploy::rollout
