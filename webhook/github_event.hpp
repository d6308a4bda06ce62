// GitHub's events, reduced to the fields that decide about a deployment. Pure: text in, data out.
// Source: GitHub "Webhook events and payloads". Call it for verified bodies only.
#pragma once

#include <string>
#include <string_view>
#include <variant>

#include "agent/domain/github.hpp"

namespace deploy::webhook {

using domain::Repository;

struct PushEvent {
  Repository repository;
  std::string ref;    // refs/heads/…, refs/tags/…
  std::string after;  // 40 lower-case hexadecimal digits; 40 zeros: the ref was deleted
  bool deleted = false;
  std::string message;  // of the head commit; empty: none, e.g. of a deleted ref
};

struct WorkflowRunEvent : domain::WorkflowRun {
  std::string action;  // requested, in_progress, completed
};

struct PingEvent {
  std::string repository;  // full name; empty for the hook of an organisation
};

struct OtherEvent {
  std::string name;
  std::string repository;  // full name; empty where the payload names none
};

using GithubEvent = std::variant<PushEvent, WorkflowRunEvent, PingEvent, OtherEvent>;

/// JSON is read no deeper than this.
constexpr std::size_t json_depth_max = 64;

/// Reads the body of an event from JSON or from GitHub's form encoding (payload=<json>), as `content_type` says. Takes
/// memory for the fields above only, however large the body is. Throws Error(invalid) that names the field at fault.
GithubEvent parse_github_event(std::string_view name, std::string_view content_type, std::string_view body);

/// The full name of the event's repository, for the record; may be empty.
const std::string& repository_of(const GithubEvent& event);

}  // namespace deploy::webhook
