#include "agent/config/repository_schema.hpp"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "agent/config/checks.hpp"
#include "agent/config/source_schema.hpp"

namespace deploy::config {

using domain::Trigger;

void read_branch(Fields& fields, std::string& out) {
  auto value = fields.find("branch");
  if (!value) return;
  auto branch = value->filled_text();
  if (branch && branch->find_first_of(" ~^:?*[\\") != std::string::npos) {
    value->error("must be the name of a branch, without patterns");
  } else if (branch && check_printable(*value, *branch)) {
    out = std::move(*branch);
  }
}

void read_workflows(Fields& fields, std::optional<Trigger> trigger, std::vector<std::string>& out) {
  auto value = fields.find("workflows");
  if (!value) return;
  out = value->texts();
  for (const auto& item : value->is_list() ? value->items() : std::vector<Value>()) {
    if (item.is_scalar() && !item.node().text.starts_with(".github/workflows/")) {
      item.error("must be a workflow's path", "did you mean `.github/workflows/" + item.node().text + "`?");
    }
  }
  if (trigger && trigger != Trigger::workflow_run) value->error("needs `on: workflow_run`");
}

std::vector<std::string> repository_paths(const Value& value) {
  std::vector<std::string> paths;
  for (const auto& item : value.items()) {
    auto text = item.filled_text();
    if (!text) continue;
    while (text->ends_with('/')) text->pop_back();
    const std::filesystem::path path(*text);
    const bool leaves = path.is_absolute() || std::ranges::find(path, "..") != path.end();
    if (text->empty() || leaves || path.lexically_normal() != path || text->find_first_of("*?[") != std::string::npos) {
      item.error("must be a folder or file of the repository, without wildcards", "e.g. backend, or shared/api.proto");
    } else {
      paths.push_back(std::move(*text));
    }
  }
  return paths;
}

namespace {

void read_repo(const Value& value, const domain::Service& service, domain::OtherRepository& other) {
  auto repo = value.filled_text();
  if (!repo || !check_repository(value, *repo)) return;
  const bool named = std::ranges::any_of(service.rebuilt_by, [&](const auto& known) { return known.repo == *repo; });
  if (*repo == service.repo) {
    value.error("is the service's own repository", "name the others here; `branch` and `on` say what its own does");
  } else if (named) {
    value.error("names `" + *repo + "` a second time", "remove one");
  } else {
    other.repo = std::move(*repo);
  }
}

domain::OtherRepository read_other(const Value& value, const domain::Service& service) {
  Fields fields(value);
  domain::OtherRepository other;
  if (auto repo = fields.require("repo", "owner/name as GitHub names it")) read_repo(*repo, service, other);
  read_branch(fields, other.branch);
  std::optional<Trigger> trigger = other.trigger;
  if (auto on = fields.find("on")) {
    const auto index = on->one_of({"push", "workflow_run"});
    trigger = !index ? std::nullopt : std::optional(*index == 0 ? Trigger::push : Trigger::workflow_run);
    other.trigger = trigger.value_or(Trigger::push);
  }
  read_workflows(fields, trigger, other.workflows);
  auto url = fields.find("url");
  if (url) other.git = read_remote(fields);
  if (auto paths = fields.find("paths")) {
    other.paths = repository_paths(*paths);
    if (!url) paths->error("needs `url`", "without it nobody can compare two of its commits");
  }
  for (const auto* key : {"ssh_key", "ssh_known_hosts", "token_env"}) {
    if (auto login = fields.find(key); login && !url) login->error("needs `url`");
  }
  fields.finish();
  return other;
}

}  // namespace

void read_rebuilt_by(Fields& fields, domain::Service& service) {
  auto value = fields.find("rebuilt_by");
  if (!value) return;
  for (const auto& item : value->items()) {
    auto other = read_other(item, service);
    if (!other.paths.empty() && (!service.source.git || !service.source.image.empty())) {
      item.error("has `paths`, which needs `source.git` alone",
                 "an image that is pulled is compared by its digest, whatever a commit changed");
    }
    if (!other.repo.empty()) service.rebuilt_by.push_back(std::move(other));
  }
}

}  // namespace deploy::config
