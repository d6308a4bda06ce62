#include "agent/domain/github.hpp"

#include <algorithm>

namespace deploy::domain {

std::string why_not_green(const WorkflowRun& run) {
  if (run.conclusion != "success") return "the workflow run ended with \"" + run.conclusion + "\"";
  if (!run.head_repository) return "the run belongs to a fork that was deleted";
  if (run.head_repository->id != run.repository.id) {
    return "the run belongs to a fork (" + run.head_repository->full_name + ")";
  }
  if (run.event != "push") return "the workflow run was started by \"" + run.event + "\" and not by a push";
  return "";
}

bool allows_workflow(const std::vector<std::string>& workflows, const std::string& path) {
  return workflows.empty() || std::find(workflows.begin(), workflows.end(), path) != workflows.end();
}

std::string workflow_file(std::string path) {
  path.resize(std::min(path.find('@'), path.size()));
  return path;
}

bool asks_to_skip(std::string_view message) { return message.find(skip_mark) != std::string_view::npos; }

bool is_commit_id(std::string_view text) {
  return text.size() == 40 &&
         std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

}  // namespace deploy::domain
