#include "agent/rollout/unconfigured.hpp"

#include <set>

namespace deploy::rollout {

std::vector<std::string> unconfigured(Journal& journal, const std::vector<domain::Service>& services,
                                      const std::string& folder) {
  std::set<std::string> names;
  for (const auto& target : journal.targets.present()) {
    if (target.state == domain::TargetState::live) names.insert(target.service);
  }
  for (const auto& service : services) names.erase(service.name);
  std::vector<std::string> lines;
  for (const auto& name : names) {
    lines.push_back(name + " is live and has no file in " + folder +
                    ": it keeps its requests, and no rollout reaches it; put the file back and restart deployd");
  }
  return lines;
}

}  // namespace deploy::rollout
