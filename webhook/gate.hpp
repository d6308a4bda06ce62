// May this event deploy, and what? Pure.
#pragma once

#include <string>
#include <vector>

#include "agent/domain/config_change.hpp"
#include "agent/domain/delivery.hpp"
#include "agent/domain/service.hpp"
#include "webhook/github_event.hpp"

namespace deploy::webhook {

struct Decision {
  std::vector<domain::Change> changes;  // one for each service that the event deploys, in the services' order
  std::string config_commit;            // the config repo's branch was pushed to it; empty: it was not
  std::string reason;                   // why nothing is done; empty where something is
};

/// A push deploys the services of its repository and branch that are triggered by push. A workflow run deploys those
/// triggered by workflow_run when it ended with success for a push to their branch, in the repository itself and not in
/// a fork (whose branches can have any name), and its file is one of the service's workflows. The same of a repository
/// that services are rebuilt by makes them again, without a commit of their own. Nothing else deploys.
/// A push to the branch of the config repo, where there is one (else null), is a config change, too.
Decision decide(const GithubEvent& event, const std::vector<domain::Service>& services,
                const domain::ConfigRepo* config_repo = nullptr);

}  // namespace deploy::webhook
