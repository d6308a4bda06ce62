// Real payloads from GitHub's own example set, and variations of them.
#pragma once

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>
#include <string>

namespace deploy::tests {

inline std::string payload_text(const std::string& name) {
  std::ifstream file(std::string(DEPLOY_SOURCE_DIR) + "/tests/webhook/data/" + name);
  if (!file) throw std::runtime_error("there is no payload " + name);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

inline nlohmann::json payload(const std::string& name) { return nlohmann::json::parse(payload_text(name)); }

inline constexpr const char* push_file = "push-with-new-branch.payload.json";
inline constexpr const char* push_deleted_tag_file = "push-payload.json";
inline constexpr const char* ping_file = "ping-payload.json";
inline constexpr const char* run_completed_file = "workflow_run-completed.payload.json";
inline constexpr const char* run_requested_file = "workflow_run-requested.payload.json";
inline constexpr const char* deployment_file = "deployment-payload.json";

}  // namespace deploy::tests
