// The JSON forms of the agent's API, shared by the agent, which writes them, and the command line, which reads them.
// Pure data: no clock, no I/O. Reading is lenient towards other versions: an absent or null key leaves the member's
// default and an unknown key is ignored; a wrong type throws nlohmann::json::exception. docs/cli.md describes every
// form.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/error.hpp"

namespace deploy::api {

/// The version of these forms; it changes when an older reader would misunderstand a newer writer.
inline constexpr int api_version = 1;

/// Times are ISO 8601 in UTC with milliseconds, "2026-07-01T09:30:00.000Z", or "" for what has not happened yet.
using Time = std::string;

struct VersionView {
  std::string version;  // of deployd
  int api = api_version;
  std::string engine;      // of the container engine; empty where it could not be reached
  std::string engine_api;  // the version spoken with it
  bool operator==(const VersionView&) const = default;
};

struct LiveView {
  std::string revision;
  std::string commit;  // 40 hexadecimal digits; empty: deployed by image alone
  std::string image;
  Time since;
  bool operator==(const LiveView&) const = default;
};

struct TargetView {
  std::string name;     // of the container
  std::string address;  // on the routing network
  int port = 0;
  std::string state;  // planned | live | retired
  bool operator==(const TargetView&) const = default;
};

/// The rollout of a service that is queued or under way.
struct ActiveView {
  std::int64_t id = 0;
  std::string phase;
  std::string step;  // label of the step under way; empty: none
  bool operator==(const ActiveView&) const = default;
};

/// The latest rollout of a service that has ended.
struct LastView {
  std::int64_t id = 0;
  std::string phase;
  std::string reason;
  Time finished;
  bool operator==(const LastView&) const = default;
};

/// No rollout of the service begins.
struct PauseView {
  std::string service;  // empty: every service
  std::string reason;
  std::string who;
  Time since;
  bool operator==(const PauseView&) const = default;
};

struct ServiceView {
  std::string service;
  std::optional<LiveView> live;  // none: never deployed
  std::vector<TargetView> targets;
  std::optional<ActiveView> rollout;
  std::optional<LastView> last;
  std::optional<PauseView> paused;
  bool operator==(const ServiceView&) const = default;
};

/// A webhook whose signature was right.
struct DeliveryView {
  std::string received;
  std::string event;
  std::string repo;
  std::string outcome;  // "accepted", or why nothing was deployed
  bool operator==(const DeliveryView&) const = default;
};

/// A config change.
struct ConfigChangeView {
  std::int64_t id = 0;
  std::string commit;  // that the work tree was, or is to be, brought to
  std::string cause;
  std::string phase;  // queued | running | keeping | applied | refused | rolled_back | superseded | needs_operator
  std::string reason;
  Time finished;
  bool operator==(const ConfigChangeView&) const = default;
};

/// The repository of this host's own configuration.
struct ConfigRepoView {
  std::string repo;
  std::string branch;
  std::string folder;
  std::optional<ConfigChangeView> now;   // that waits or is under way
  std::optional<ConfigChangeView> last;  // that has ended
  bool operator==(const ConfigRepoView&) const = default;
};

struct StatusView {
  std::vector<ServiceView> services;
  std::vector<std::string> notes;                  // what a person should know
  std::vector<std::string> drift;                  // what somebody changed by hand in containers and upstream files
  std::optional<DeliveryView> last_delivery = {};  // empty: none ever came
  std::optional<ConfigRepoView> config_repo = {};  // empty: there is none
  bool operator==(const StatusView&) const = default;
};

/// What of a service is live, with its settings.
struct LiveServiceView {
  std::string service;
  std::string revision;
  std::string image;   // what its containers were made from
  std::string config;  // the service as the revision keeps it, as JSON: the values of variables are not in it
  std::vector<std::string> containers;
  bool operator==(const LiveServiceView&) const = default;
};

struct LiveServicesView {
  std::vector<LiveServiceView> services;
  std::vector<std::string> under_way;  // services that are being rolled out
  bool operator==(const LiveServicesView&) const = default;
};

/// What a rollout or a rollback of a service would do now.
struct PlannedView {
  std::string service;
  std::string live;      // revision; empty: none
  std::string revision;  // that a rollback goes to; empty: a rollout, whose commit or image is not known yet
  std::string strategy;
  std::vector<std::string> steps;
  std::vector<std::string> differences;  // between what runs and the configuration, or the revision to go back to
  std::vector<std::string> notes;
  bool operator==(const PlannedView&) const = default;
};

struct PlanView {
  std::vector<PlannedView> services;  // in the order in which they would go out
  std::vector<std::string> notes;     // about the whole
  bool operator==(const PlanView&) const = default;
};

struct StepView {
  std::string kind;
  std::string label;
  std::string state;  // pending | running | succeeded | failed | undone | skipped
  int attempts = 0;
  Time started;
  Time finished;
  std::string detail;
  bool operator==(const StepView&) const = default;
};

struct RolloutView {
  std::int64_t id = 0;
  std::int64_t release = 0;
  std::string service;
  std::string kind;  // deploy | rollback
  std::string revision;
  std::string previous;  // the revision that was live before; empty: none
  std::string cause;     // who or what asked for it, in words
  std::string commit;
  std::string image;
  std::string phase;  // queued | running | undoing | succeeded | unchanged | rolled_back | needs_operator | cancelled |
                      // superseded
  std::string reason;            // why it ended as it did; empty for a plain success
  std::vector<std::string> log;  // last lines of the container or of the build, where it failed
  Time created;
  Time started;
  Time finished;
  std::vector<StepView> steps;  // empty in a HistoryView
  bool operator==(const RolloutView&) const = default;
};

struct HistoryView {
  std::vector<RolloutView> rollouts;  // newest first
  bool operator==(const HistoryView&) const = default;
};

struct AcceptedRolloutView {
  std::int64_t id = 0;
  std::string service;
  bool operator==(const AcceptedRolloutView&) const = default;
};

/// The answer to a request that became a release.
struct AcceptedView {
  std::int64_t release = 0;
  std::vector<AcceptedRolloutView> rollouts;
  bool operator==(const AcceptedView&) const = default;
};

/// One line of the event stream.
struct EventView {
  std::int64_t seq = 0;  // grows; what `after` continues from
  Time time;
  std::int64_t release = 0;  // 0: none
  std::int64_t rollout = 0;  // 0: none
  std::string service;
  std::string kind;  // rollout.queued, rollout.started, step.started, …; see domain::Event
  std::string text;  // for people
  bool operator==(const EventView&) const = default;
};

/// The body of every answer of 400 or more: {"error": {"kind", "message"}}, as http::error_response writes it.
struct ErrorView {
  std::string kind;  // a name of error_kind_name
  std::string message;
  bool operator==(const ErrorView&) const = default;
};

/// Body of POST /v1/rollouts. At most one of `ref` and `image`; both empty: as configured.
struct RolloutRequest {
  std::vector<std::string> services;
  std::string ref;
  std::string image;
  bool operator==(const RolloutRequest&) const = default;
};

/// Body of POST /v1/rollbacks. An empty `to` is the revision that was live before.
struct RollbackRequest {
  std::string service;
  std::string to;
  std::int64_t release = 0;  // all that it brought, in place of one service
  bool confirmed = false;    // although data was changed in a way that an earlier version may not understand
  bool operator==(const RollbackRequest&) const = default;
};

/// Body of POST /v1/cancellations: one rollout by its number, or what is queued and under way of a service.
struct CancelRequest {
  std::string service;
  std::int64_t rollout = 0;
  bool operator==(const CancelRequest&) const = default;
};

/// Body of POST /v1/pauses and POST /v1/resumptions. An empty service is every service.
struct PauseRequest {
  std::string service;
  std::string reason;  // of a pause
  bool operator==(const PauseRequest&) const = default;
};

/// Has a rollout with this phase ended? Unknown phases have not.
bool is_final_phase(std::string_view phase);

void to_json(nlohmann::json& json, const VersionView& view);
void to_json(nlohmann::json& json, const LiveView& view);
void to_json(nlohmann::json& json, const TargetView& view);
void to_json(nlohmann::json& json, const ActiveView& view);
void to_json(nlohmann::json& json, const LastView& view);
void to_json(nlohmann::json& json, const ServiceView& view);
void to_json(nlohmann::json& json, const ConfigChangeView& view);
void to_json(nlohmann::json& json, const ConfigRepoView& view);
void to_json(nlohmann::json& json, const StatusView& view);
void to_json(nlohmann::json& json, const LiveServiceView& view);
void to_json(nlohmann::json& json, const LiveServicesView& view);
void to_json(nlohmann::json& json, const StepView& view);
void to_json(nlohmann::json& json, const RolloutView& view);
void to_json(nlohmann::json& json, const HistoryView& view);
void to_json(nlohmann::json& json, const AcceptedRolloutView& view);
void to_json(nlohmann::json& json, const AcceptedView& view);
void to_json(nlohmann::json& json, const EventView& view);
void to_json(nlohmann::json& json, const ErrorView& view);
void to_json(nlohmann::json& json, const RolloutRequest& request);
void to_json(nlohmann::json& json, const RollbackRequest& request);
void to_json(nlohmann::json& json, const PlannedView& view);
void to_json(nlohmann::json& json, const PlanView& view);
void to_json(nlohmann::json& json, const CancelRequest& request);
void to_json(nlohmann::json& json, const PauseRequest& request);
void to_json(nlohmann::json& json, const PauseView& view);
void to_json(nlohmann::json& json, const DeliveryView& view);

void from_json(const nlohmann::json& json, VersionView& view);
void from_json(const nlohmann::json& json, LiveView& view);
void from_json(const nlohmann::json& json, TargetView& view);
void from_json(const nlohmann::json& json, ActiveView& view);
void from_json(const nlohmann::json& json, LastView& view);
void from_json(const nlohmann::json& json, ServiceView& view);
void from_json(const nlohmann::json& json, ConfigChangeView& view);
void from_json(const nlohmann::json& json, ConfigRepoView& view);
void from_json(const nlohmann::json& json, StatusView& view);
void from_json(const nlohmann::json& json, LiveServiceView& view);
void from_json(const nlohmann::json& json, LiveServicesView& view);
void from_json(const nlohmann::json& json, StepView& view);
void from_json(const nlohmann::json& json, RolloutView& view);
void from_json(const nlohmann::json& json, HistoryView& view);
void from_json(const nlohmann::json& json, AcceptedRolloutView& view);
void from_json(const nlohmann::json& json, AcceptedView& view);
void from_json(const nlohmann::json& json, EventView& view);
void from_json(const nlohmann::json& json, ErrorView& view);
void from_json(const nlohmann::json& json, RolloutRequest& request);
void from_json(const nlohmann::json& json, RollbackRequest& request);
void from_json(const nlohmann::json& json, PlannedView& view);
void from_json(const nlohmann::json& json, PlanView& view);
void from_json(const nlohmann::json& json, CancelRequest& request);
void from_json(const nlohmann::json& json, PauseRequest& request);
void from_json(const nlohmann::json& json, PauseView& view);
void from_json(const nlohmann::json& json, DeliveryView& view);

}  // namespace deploy::api
