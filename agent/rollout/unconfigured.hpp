// Services that are live and that nobody configures any more: their file was removed or renamed.
#pragma once

#include <string>
#include <vector>

#include "agent/domain/service.hpp"
#include "agent/rollout/journal.hpp"

namespace deploy::rollout {

/// A sentence for each, with what to do. `folder`: where their files would be.
std::vector<std::string> unconfigured(Journal& journal, const std::vector<domain::Service>& services,
                                      const std::string& folder);

}  // namespace deploy::rollout
