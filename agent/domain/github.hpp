// What GitHub says about repositories and workflow runs, and which of it may deploy: one judgement for what a webhook
// tells and for what polling asks. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/domain/service.hpp"

namespace deploy::domain {

struct Repository {
  std::int64_t id = 0;
  std::string full_name;  // owner/name
  bool operator==(const Repository&) const = default;
};

/// One run of a workflow. Source: GitHub "Webhook events and payloads" and REST API "List workflow runs".
struct WorkflowRun {
  Repository repository;
  std::string conclusion;                     // empty: none yet
  std::string event;                          // what started the run
  std::string head_branch;                    // empty: none, e.g. started by a tag's deletion
  std::string head_sha;                       // 40 lower-case hexadecimal digits
  std::string path;                           // of the workflow's file, without GitHub's "@ref" suffix
  std::optional<Repository> head_repository;  // none: the fork was deleted
  std::string message;                        // of the head commit; empty: not said
};

/// Why the run does not prove a commit of the repository's own branch green; empty where it does: it ended with
/// success, for a push, and not for a fork, whose branches can have any name.
std::string why_not_green(const WorkflowRun& run);

/// Whether a run of the workflow with this path may deploy what these workflows deploy; none means any.
bool allows_workflow(const std::vector<std::string>& workflows, const std::string& path);

/// The path of a workflow's file without the "@ref" that GitHub adds.
std::string workflow_file(std::string path);

inline constexpr std::string_view skip_mark = "[skip deploy]";

/// Whether the message of a head commit asks for it not to be deployed.
bool asks_to_skip(std::string_view message);

/// 40 lower-case hexadecimal digits.
bool is_commit_id(std::string_view text);

}  // namespace deploy::domain
