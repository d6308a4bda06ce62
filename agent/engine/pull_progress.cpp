#include "agent/engine/pull_progress.hpp"

#include <algorithm>

namespace deploy::engine {

void PullProgress::add(const Json& value) {
  const std::string status = value.value("status", "");
  const std::string id = value.value("id", "");
  if (status.empty()) return;
  if (id.empty() || status.starts_with("Pulling from")) {
    on_log_(status);
    return;
  }
  const bool complete = status == "Pull complete" || status == "Already exists";
  auto& known = layers_[id];
  if (!complete || known) return;
  known = true;
  const auto done = std::count_if(layers_.begin(), layers_.end(), [](const auto& layer) { return layer.second; });
  on_log_("layer " + std::to_string(done) + " of " + std::to_string(layers_.size()) + ": " + id);
}

}  // namespace deploy::engine
