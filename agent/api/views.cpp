#include "agent/api/views.hpp"

#include <concepts>
#include <nlohmann/json.hpp>
#include <type_traits>

#include "agent/domain/names.hpp"
#include "agent/domain/rollout.hpp"

namespace deploy::api {

namespace {

using nlohmann::json;

// Each form's keys stand in one `fields` function, which the writer and the reader below both walk.
struct Writer {
  json& object;

  template <class T>
  void operator()(const char* key, const T& value) {
    object[key] = value;
  }
  template <class T>
  void operator()(const char* key, const std::optional<T>& value) {
    object[key] = value ? json(*value) : json(nullptr);
  }
};

struct Reader {
  const json& object;

  template <class T>
  void operator()(const char* key, T& value) {
    const auto found = object.find(key);
    if (found != object.end() && !found->is_null()) found->get_to(value);
  }
  template <class T>
  void operator()(const char* key, std::optional<T>& value) {
    const auto found = object.find(key);
    if (found != object.end() && !found->is_null()) value = found->template get<T>();
  }
};

// A const form is written, a mutable one is read into.
template <class View, class Form>
concept Of = std::same_as<std::remove_const_t<View>, Form>;

void fields(auto visit, Of<VersionView> auto& form) {
  visit("version", form.version);
  visit("api", form.api);
  visit("engine", form.engine);
  visit("engine_api", form.engine_api);
}

void fields(auto visit, Of<LiveView> auto& form) {
  visit("revision", form.revision);
  visit("commit", form.commit);
  visit("image", form.image);
  visit("since", form.since);
}

void fields(auto visit, Of<TargetView> auto& form) {
  visit("name", form.name);
  visit("address", form.address);
  visit("port", form.port);
  visit("state", form.state);
}

void fields(auto visit, Of<ActiveView> auto& form) {
  visit("id", form.id);
  visit("phase", form.phase);
  visit("step", form.step);
}

void fields(auto visit, Of<LastView> auto& form) {
  visit("id", form.id);
  visit("phase", form.phase);
  visit("reason", form.reason);
  visit("finished", form.finished);
}

void fields(auto visit, Of<PauseView> auto& form) {
  visit("service", form.service);
  visit("reason", form.reason);
  visit("who", form.who);
  visit("since", form.since);
}

void fields(auto visit, Of<ServiceView> auto& form) {
  visit("service", form.service);
  visit("live", form.live);
  visit("targets", form.targets);
  visit("rollout", form.rollout);
  visit("last", form.last);
  visit("paused", form.paused);
}

void fields(auto visit, Of<DeliveryView> auto& form) {
  visit("received", form.received);
  visit("event", form.event);
  visit("repo", form.repo);
  visit("outcome", form.outcome);
}

void fields(auto visit, Of<ConfigChangeView> auto& form) {
  visit("id", form.id);
  visit("commit", form.commit);
  visit("cause", form.cause);
  visit("phase", form.phase);
  visit("reason", form.reason);
  visit("finished", form.finished);
}

void fields(auto visit, Of<ConfigRepoView> auto& form) {
  visit("repo", form.repo);
  visit("branch", form.branch);
  visit("folder", form.folder);
  visit("now", form.now);
  visit("last", form.last);
}

void fields(auto visit, Of<StatusView> auto& form) {
  visit("services", form.services);
  visit("notes", form.notes);
  visit("drift", form.drift);
  visit("last_delivery", form.last_delivery);
  visit("config_repo", form.config_repo);
}

void fields(auto visit, Of<PlannedView> auto& form) {
  visit("service", form.service);
  visit("live", form.live);
  visit("revision", form.revision);
  visit("strategy", form.strategy);
  visit("steps", form.steps);
  visit("differences", form.differences);
  visit("notes", form.notes);
}

void fields(auto visit, Of<PlanView> auto& form) {
  visit("services", form.services);
  visit("notes", form.notes);
}

void fields(auto visit, Of<LiveServiceView> auto& form) {
  visit("service", form.service);
  visit("revision", form.revision);
  visit("image", form.image);
  visit("config", form.config);
  visit("containers", form.containers);
}

void fields(auto visit, Of<LiveServicesView> auto& form) {
  visit("services", form.services);
  visit("under_way", form.under_way);
}

void fields(auto visit, Of<StepView> auto& form) {
  visit("kind", form.kind);
  visit("label", form.label);
  visit("state", form.state);
  visit("attempts", form.attempts);
  visit("started", form.started);
  visit("finished", form.finished);
  visit("detail", form.detail);
}

void fields(auto visit, Of<RolloutView> auto& form) {
  visit("id", form.id);
  visit("release", form.release);
  visit("service", form.service);
  visit("kind", form.kind);
  visit("revision", form.revision);
  visit("previous", form.previous);
  visit("cause", form.cause);
  visit("commit", form.commit);
  visit("image", form.image);
  visit("phase", form.phase);
  visit("reason", form.reason);
  visit("log", form.log);
  visit("created", form.created);
  visit("started", form.started);
  visit("finished", form.finished);
  visit("steps", form.steps);
}

void fields(auto visit, Of<HistoryView> auto& form) { visit("rollouts", form.rollouts); }

void fields(auto visit, Of<AcceptedRolloutView> auto& form) {
  visit("id", form.id);
  visit("service", form.service);
}

void fields(auto visit, Of<AcceptedView> auto& form) {
  visit("release", form.release);
  visit("rollouts", form.rollouts);
}

void fields(auto visit, Of<EventView> auto& form) {
  visit("seq", form.seq);
  visit("time", form.time);
  visit("release", form.release);
  visit("rollout", form.rollout);
  visit("service", form.service);
  visit("kind", form.kind);
  visit("text", form.text);
}

void fields(auto visit, Of<ErrorView> auto& form) {
  visit("kind", form.kind);
  visit("message", form.message);
}

void fields(auto visit, Of<RolloutRequest> auto& form) {
  visit("services", form.services);
  visit("ref", form.ref);
  visit("image", form.image);
}

void fields(auto visit, Of<RollbackRequest> auto& form) {
  visit("service", form.service);
  visit("to", form.to);
  visit("release", form.release);
  visit("confirmed", form.confirmed);
}

void fields(auto visit, Of<CancelRequest> auto& form) {
  visit("service", form.service);
  visit("rollout", form.rollout);
}

void fields(auto visit, Of<PauseRequest> auto& form) {
  visit("service", form.service);
  visit("reason", form.reason);
}

void write(json& object, const auto& form) {
  object = json::object();
  fields(Writer{object}, form);
}

void read(const json& object, auto& form) {
  // find() on anything but an object finds nothing: say so instead of reading a form of defaults.
  if (!object.is_object()) object.get_ref<const json::object_t&>();
  fields(Reader{object}, form);
}

}  // namespace

bool is_final_phase(std::string_view phase) {
  const auto known = domain::phase_from(std::string(phase));
  return known && domain::is_final(*known);
}

void to_json(nlohmann::json& json, const VersionView& view) { write(json, view); }
void to_json(nlohmann::json& json, const LiveView& view) { write(json, view); }
void to_json(nlohmann::json& json, const TargetView& view) { write(json, view); }
void to_json(nlohmann::json& json, const ActiveView& view) { write(json, view); }
void to_json(nlohmann::json& json, const LastView& view) { write(json, view); }
void to_json(nlohmann::json& json, const ServiceView& view) { write(json, view); }
void to_json(nlohmann::json& json, const ConfigChangeView& view) { write(json, view); }
void to_json(nlohmann::json& json, const ConfigRepoView& view) { write(json, view); }
void to_json(nlohmann::json& json, const StatusView& view) { write(json, view); }
void to_json(nlohmann::json& json, const LiveServiceView& view) { write(json, view); }
void to_json(nlohmann::json& json, const LiveServicesView& view) { write(json, view); }
void to_json(nlohmann::json& json, const StepView& view) { write(json, view); }
void to_json(nlohmann::json& json, const RolloutView& view) { write(json, view); }
void to_json(nlohmann::json& json, const HistoryView& view) { write(json, view); }
void to_json(nlohmann::json& json, const AcceptedRolloutView& view) { write(json, view); }
void to_json(nlohmann::json& json, const AcceptedView& view) { write(json, view); }
void to_json(nlohmann::json& json, const EventView& view) { write(json, view); }
void to_json(nlohmann::json& json, const ErrorView& view) {
  json = nlohmann::json::object();
  write(json["error"], view);
}
void to_json(nlohmann::json& json, const RolloutRequest& request) { write(json, request); }
void to_json(nlohmann::json& json, const RollbackRequest& request) { write(json, request); }
void to_json(nlohmann::json& json, const PlannedView& view) { write(json, view); }
void to_json(nlohmann::json& json, const PlanView& view) { write(json, view); }
void to_json(nlohmann::json& json, const CancelRequest& request) { write(json, request); }
void to_json(nlohmann::json& json, const PauseRequest& request) { write(json, request); }
void to_json(nlohmann::json& json, const PauseView& view) { write(json, view); }
void to_json(nlohmann::json& json, const DeliveryView& view) { write(json, view); }

void from_json(const nlohmann::json& json, VersionView& view) { read(json, view); }
void from_json(const nlohmann::json& json, LiveView& view) { read(json, view); }
void from_json(const nlohmann::json& json, TargetView& view) { read(json, view); }
void from_json(const nlohmann::json& json, ActiveView& view) { read(json, view); }
void from_json(const nlohmann::json& json, LastView& view) { read(json, view); }
void from_json(const nlohmann::json& json, ServiceView& view) { read(json, view); }
void from_json(const nlohmann::json& json, ConfigChangeView& view) { read(json, view); }
void from_json(const nlohmann::json& json, ConfigRepoView& view) { read(json, view); }
void from_json(const nlohmann::json& json, StatusView& view) { read(json, view); }
void from_json(const nlohmann::json& json, LiveServiceView& view) { read(json, view); }
void from_json(const nlohmann::json& json, LiveServicesView& view) { read(json, view); }
void from_json(const nlohmann::json& json, StepView& view) { read(json, view); }
void from_json(const nlohmann::json& json, RolloutView& view) { read(json, view); }
void from_json(const nlohmann::json& json, HistoryView& view) { read(json, view); }
void from_json(const nlohmann::json& json, AcceptedRolloutView& view) { read(json, view); }
void from_json(const nlohmann::json& json, AcceptedView& view) { read(json, view); }
void from_json(const nlohmann::json& json, EventView& view) { read(json, view); }
void from_json(const nlohmann::json& json, ErrorView& view) { read(json.at("error"), view); }
void from_json(const nlohmann::json& json, RolloutRequest& request) { read(json, request); }
void from_json(const nlohmann::json& json, RollbackRequest& request) { read(json, request); }
void from_json(const nlohmann::json& json, PlannedView& view) { read(json, view); }
void from_json(const nlohmann::json& json, PlanView& view) { read(json, view); }
void from_json(const nlohmann::json& json, CancelRequest& request) { read(json, request); }
void from_json(const nlohmann::json& json, PauseRequest& request) { read(json, request); }
void from_json(const nlohmann::json& json, PauseView& view) { read(json, view); }
void from_json(const nlohmann::json& json, DeliveryView& view) { read(json, view); }

}  // namespace deploy::api
