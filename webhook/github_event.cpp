#include "webhook/github_event.hpp"

#include <algorithm>
#include <cctype>
#include <set>
#include <utility>

#include "agent/base/error.hpp"
#include "agent/http/message.hpp"
#include "webhook/json_fields.hpp"

namespace deploy::webhook {

namespace {

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(),
                 [](char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); });
  return result;
}

/// "application/json; charset=utf-8" -> "application/json"
std::string media_type(std::string_view content_type) {
  auto type = content_type.substr(0, content_type.find(';'));
  while (!type.empty() && type.back() == ' ') type.remove_suffix(1);
  return lower(type);
}

std::string payload_of_form(std::string_view form) {
  constexpr std::string_view name = "payload=";
  while (!form.empty()) {
    const auto pair = form.substr(0, form.find('&'));
    form.remove_prefix(std::min(form.size(), pair.size() + 1));
    if (!pair.starts_with(name)) continue;
    auto payload = http::url_decode(pair.substr(name.size()));
    if (!payload) throw Error(ErrorKind::invalid, "the form's field \"payload\" holds a malformed percent escape");
    return std::move(*payload);
  }
  throw Error(ErrorKind::invalid, "the form has no field \"payload\"");
}

Repository repository_at(const JsonFields& fields, const std::string& path) {
  Repository repository;
  repository.id = fields.integer(path + ".id");
  repository.full_name = fields.text(path + ".full_name");
  return repository;
}

PushEvent read_push(std::string_view json) {
  const JsonFields fields(json,
                          {"repository.id", "repository.full_name", "ref", "after", "deleted", "head_commit.message"},
                          json_depth_max);
  PushEvent push;
  push.repository = repository_at(fields, "repository");
  push.ref = fields.text("ref");
  push.after = fields.commit("after");
  push.deleted = fields.boolean("deleted");
  push.message = fields.prose_or_empty("head_commit.message");
  return push;
}

WorkflowRunEvent read_workflow_run(std::string_view json) {
  const JsonFields fields(
      json,
      {"repository.id", "repository.full_name", "action", "workflow_run.conclusion", "workflow_run.event",
       "workflow_run.head_branch", "workflow_run.head_sha", "workflow_run.path", "workflow_run.head_repository",
       "workflow_run.head_repository.id", "workflow_run.head_repository.full_name", "workflow_run.head_commit.message"},
      json_depth_max);
  WorkflowRunEvent run;
  run.repository = repository_at(fields, "repository");
  run.action = fields.text("action");
  run.conclusion = fields.text_or_empty("workflow_run.conclusion");
  run.event = fields.text("workflow_run.event");
  run.head_branch = fields.text_or_empty("workflow_run.head_branch");
  run.head_sha = fields.commit("workflow_run.head_sha");
  run.path = domain::workflow_file(fields.text("workflow_run.path"));
  run.message = fields.prose_or_empty("workflow_run.head_commit.message");
  if (!fields.absent("workflow_run.head_repository")) {
    run.head_repository = repository_at(fields, "workflow_run.head_repository");
  }
  return run;
}

std::string read_repository_name(std::string_view json) {
  const JsonFields fields(json, {"repository.full_name"}, json_depth_max);
  return fields.text_or_empty("repository.full_name");
}

GithubEvent read_event(std::string_view name, std::string_view json) {
  if (name == "push") return read_push(json);
  if (name == "workflow_run") return read_workflow_run(json);
  if (name == "ping") return PingEvent{read_repository_name(json)};
  return OtherEvent{std::string(name), read_repository_name(json)};
}

}  // namespace

GithubEvent parse_github_event(std::string_view name, std::string_view content_type, std::string_view body) {
  try {
    const auto type = media_type(content_type);
    if (type == "application/json") return read_event(name, body);
    if (type == "application/x-www-form-urlencoded") return read_event(name, payload_of_form(body));
    throw Error(
        ErrorKind::invalid,
        "its content type is neither application/json nor application/x-www-form-urlencoded; choose one of them in the "
        "webhook's settings");
  } catch (const Error& error) {
    throw error.with_context("cannot read the " + std::string(name) + " event");
  }
}

const std::string& repository_of(const GithubEvent& event) {
  struct Name {
    const std::string& operator()(const PushEvent& push) const { return push.repository.full_name; }
    const std::string& operator()(const WorkflowRunEvent& run) const { return run.repository.full_name; }
    const std::string& operator()(const PingEvent& ping) const { return ping.repository; }
    const std::string& operator()(const OtherEvent& other) const { return other.repository; }
  };
  return std::visit(Name{}, event);
}

}  // namespace deploy::webhook
