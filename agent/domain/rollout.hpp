// A release, its rollouts and their steps, and the names under which they are stored and shown.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agent/domain/ids.hpp"

namespace deploy::domain {

using Time = std::chrono::system_clock::time_point;

/// Where a rollout is. Stored names: see to_string; docs/architecture.md draws the transitions.
enum class Phase {
  queued,
  running,         // its steps are being done
  undoing,         // its steps are being undone; cannot be cancelled
  succeeded,       // the wanted revision is live
  unchanged,       // the wanted revision was live already
  rolled_back,     // it failed, and everything is as it was before
  cancelled,       // it was ended before its switch by somebody, or before it began by what it depends on
  superseded,      // a newer change took its place before its switch
  needs_operator,  // it failed and could not be undone, or could not be finished: a person must look
};

enum class RolloutKind { deploy, rollback };

/// One kind of effect. What each does, how it is observed and how it is undone: agent/rollout/step_effects.hpp.
enum class StepKind {
  fetch,
  build,
  pull,
  image,
  before,
  create,
  start,
  probe,
  verify,
  switch_traffic,
  after,
  bake,
  promote,
  drain,
  stop,
  remove,
  prune
};

enum class StepState { pending, running, succeeded, failed, undone, skipped };

/// A container that can take traffic.
enum class TargetState {
  planned,  // has an address, may have a container
  live,     // its revision was promoted
  retired,  // replaced; its container is being stopped and removed
  gone,     // its container was removed
  stray,    // carries our label but comes from another state folder: reported, never removed
};

struct Target {
  TargetId id;
  std::string service;
  RolloutId rollout;
  std::optional<RevisionId> revision;
  int slot = 0;                // 1, 2, … of its rollout
  std::string container_name;  // empty until it is created
  std::string container_id;
  std::string address;     // on the routing network
  std::uint16_t port = 0;  // for traffic; 0: none
  TargetState state = TargetState::planned;
};

std::vector<TargetId> ids_of(const std::vector<Target>& targets);

/// What a service can be rolled to: image and configuration together.
struct Revision {
  RevisionId id;
  std::string service;
  std::string name;              // e.g. backend-3f2a1c9-c0de; unique
  std::string commit;            // empty: not known
  Commits others;                // of the repositories that it is rebuilt by, as far as they were known
  std::string image;             // what a container is created from: an image id, or repository@sha256:…
  std::string image_asked;       // the reference as it was asked for; empty: built here
  bool image_is_ours = false;    // we built or first pulled it, so prune may remove it
  std::string config;            // the service, as JSON (domain/service.hpp), ${…} unresolved
  std::string config_hash;       // keyed hash of the configuration with ${…} resolved
  std::optional<Time> promoted;  // when it last became live; empty: never
  bool pruned = false;           // it has no image (any more, or yet)
};

struct Step {
  StepId id;
  RolloutId rollout;
  int position = 0;
  StepKind kind = StepKind::fetch;
  std::vector<TargetId> targets;  // switch: who gets the traffic afterwards; others: whom it is about
  std::vector<TargetId> before;   // switch: who had the traffic before
  StepState state = StepState::pending;
  int attempts = 0;
  std::optional<Time> started;
  std::optional<Time> finished;
  std::string detail;  // one line: what came of it
};

/// Somebody or something wants a rollout to end before its switch.
struct StopWish {
  Phase phase = Phase::cancelled;  // or superseded: what it ends as once it is undone
  std::string reason;              // who or what, in a sentence
};

/// One service to one revision.
struct Rollout {
  RolloutId id;
  ReleaseId release;
  std::string service;
  RolloutKind kind = RolloutKind::deploy;
  std::string cause;                   // who or what asked for it, in words
  std::string commit;                  // wanted; filled in by fetch where a ref was wanted
  std::string ref;                     // wanted branch, tag or commit; empty: the configured branch
  std::string image;                   // wanted reference; empty: as configured
  Commits others;                      // of the repositories that it is rebuilt by; filled in by fetch or pull
  std::optional<RevisionId> revision;  // wanted by a rollback; else filled in by build or pull
  std::optional<RevisionId> previous;  // live when it began
  std::string config;                  // the service's configuration it runs with, as JSON; filled in when it starts
  Phase phase = Phase::queued;
  std::optional<StopWish> stop;
  std::string reason;            // why it ended as it did, in a sentence
  std::vector<std::string> log;  // the lines that show it: of the container, or of the build
  Time created{};
  std::optional<Time> started;
  std::optional<Time> finished;
};

/// What happened, for people and for deployctl's progress.
struct Event {
  std::int64_t seq = 0;
  Time time{};
  ReleaseId release;
  RolloutId rollout;  // 0: of the release; both 0: of this host's configuration
  std::string service;
  std::string kind;  // rollout.queued, rollout.started, step.started, step.succeeded, step.failed, step.retrying,
                     // step.undoing, step.undone, note, rollout.stopping, rollout.ended, release.ended,
                     // config.started, config.ended
  std::string text;
};

/// Does it get the image, and touch no container?
bool is_source(StepKind kind);
bool is_final(Phase phase);
/// Is the wanted revision live after this?
bool is_success(Phase phase);

std::string to_string(Phase phase);
std::string to_string(RolloutKind kind);
std::string to_string(StepKind kind);
std::string to_string(StepState state);
std::string to_string(TargetState state);
std::optional<Phase> phase_from(const std::string& name);
std::optional<RolloutKind> rollout_kind_from(const std::string& name);
std::optional<StepKind> step_kind_from(const std::string& name);
std::optional<StepState> step_state_from(const std::string& name);
std::optional<TargetState> target_state_from(const std::string& name);

/// ISO 8601 in UTC with milliseconds, e.g. 2026-01-31T08:15:30.250Z.
std::string iso_time(Time time);

}  // namespace deploy::domain
