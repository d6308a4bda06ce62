#include "agent/api/queries.hpp"

#include <algorithm>

#include "agent/domain/order.hpp"

namespace deploy::api {

namespace {

std::string time_text(const std::optional<domain::Time>& time) { return time ? domain::iso_time(*time) : ""; }

std::string in_words(domain::TargetState state) {
  switch (state) {
    case domain::TargetState::planned:
      return "starting";
    case domain::TargetState::live:
      return "live";
    case domain::TargetState::retired:
      return "draining";
    case domain::TargetState::gone:
      return "gone";
    case domain::TargetState::stray:
      return "not known";
  }
  return "";
}

StepView step_view(const domain::Step& step) {
  StepView shown;
  shown.kind = domain::to_string(step.kind);
  shown.label = shown.kind;
  shown.state = domain::to_string(step.state);
  shown.attempts = step.attempts;
  shown.started = time_text(step.started);
  shown.finished = time_text(step.finished);
  shown.detail = step.detail;
  return shown;
}

ConfigChangeView config_change_view(const domain::ConfigChange& change) {
  ConfigChangeView shown;
  shown.id = change.id;
  shown.commit = change.to.empty() ? change.commit : change.to;
  shown.cause = change.cause;
  shown.phase = domain::to_string(change.phase);
  shown.reason = change.reason;
  shown.finished = time_text(change.finished);
  return shown;
}

}  // namespace

bool is_configured(const std::vector<domain::Service>& services, const std::string& name) {
  return std::ranges::find(services, name, &domain::Service::name) != services.end();
}

Error no_such_service(const std::vector<domain::Service>& services, const std::string& name) {
  std::string names;
  for (const auto& service : services) names += (names.empty() ? "" : ", ") + service.name;
  return {ErrorKind::not_found,
          "there is no service \"" + name + "\"; there " + (names.empty() ? "is none yet" : "are: " + names)};
}

std::optional<PauseView> Queries::pause_of(const std::string& service) {
  // Of both pauses the service's own is the nearer one.
  std::optional<PauseView> found;
  for (const auto& pause : journal_.pauses.all()) {
    if (pause.service.empty() || pause.service == service) {
      found = PauseView{pause.service, pause.reason, pause.who, domain::iso_time(pause.since)};
    }
  }
  return found;
}

void check_configured(const std::vector<domain::Service>& services, const std::string& name) {
  if (!is_configured(services, name)) throw no_such_service(services, name);
}

StatusView Queries::status(std::vector<std::string> notes, std::vector<std::string> drift) {
  StatusView shown;
  shown.notes = std::move(notes);
  shown.drift = std::move(drift);
  if (const auto last = journal_.last_delivery()) {
    shown.last_delivery = DeliveryView{domain::iso_time(last->received), last->event, last->repo, last->outcome};
  }
  shown.config_repo = config_repo();
  const auto unfinished = journal_.rollouts.unfinished();
  const auto present = journal_.targets.present();
  for (const auto& configured : services_) shown.services.push_back(service(configured.name, unfinished, present));
  return shown;
}

std::optional<ConfigRepoView> Queries::config_repo() {
  if (!config_repo_) return std::nullopt;
  ConfigRepoView shown{config_repo_->repo, config_repo_->branch, config_repo_->folder, {}, {}};
  const auto unfinished = journal_.configs.unfinished();
  if (!unfinished.empty()) shown.now = config_change_view(unfinished.back());
  if (const auto last = journal_.configs.last_ended()) shown.last = config_change_view(*last);
  return shown;
}

ServiceView Queries::service(const std::string& name, const std::vector<domain::Rollout>& unfinished,
                             const std::vector<domain::Target>& present) {
  ServiceView shown;
  shown.service = name;
  for (const auto& target : present) {
    if (target.service != name) continue;
    shown.targets.push_back({target.container_name, target.address, target.port, in_words(target.state)});
    if (target.state != domain::TargetState::live || !target.revision || shown.live) continue;
    const auto revision = journal_.revisions.get(*target.revision);
    shown.live = LiveView{revision.name, revision.commit, revision.image, time_text(revision.promoted)};
  }
  for (const auto& rollout : unfinished) {
    if (rollout.service != name || (shown.rollout && rollout.phase == domain::Phase::queued)) continue;
    ActiveView active;
    active.id = rollout.id.value;
    active.phase = domain::to_string(rollout.phase);
    for (const auto& step : journal_.rollouts.steps(rollout.id)) {
      if (step.state == domain::StepState::running) active.step = domain::to_string(step.kind);
    }
    shown.rollout = active;
  }
  shown.paused = pause_of(name);
  if (const auto last = journal_.rollouts.last_ended(name)) {
    shown.last = LastView{last->id.value, domain::to_string(last->phase), last->reason, time_text(last->finished)};
  }
  return shown;
}

LiveServicesView Queries::live_services() {
  LiveServicesView shown;
  for (const auto& name : domain::dependency_order(services_)) {
    LiveServiceView service;
    service.service = name;
    for (const auto& target : journal_.targets.live(name)) {
      if (!target.revision) continue;
      const auto revision = journal_.revisions.get(*target.revision);
      service.revision = revision.name;
      service.image = revision.image;
      service.config = revision.config;
      service.containers.push_back(target.container_name);
    }
    if (!service.containers.empty()) shown.services.push_back(std::move(service));
    if (journal_.under_way(name)) shown.under_way.push_back(name);
  }
  return shown;
}

HistoryView Queries::history(const std::string& service, int limit) {
  HistoryView shown;
  for (const auto& rollout : journal_.rollouts.history(service, limit)) shown.rollouts.push_back(view(rollout));
  // One that was taken out of deploy.d still has its history.
  if (shown.rollouts.empty() && !service.empty() && !is_configured(services_, service)) {
    throw no_such_service(services_, service);
  }
  return shown;
}

std::vector<domain::Target> Queries::live_targets(const std::string& service) {
  auto targets = journal_.targets.live(service);
  if (!targets.empty()) return targets;
  if (!is_configured(services_, service)) throw no_such_service(services_, service);
  throw Error(ErrorKind::not_found, "no container of " + service + " is live; `deployctl status` shows what is, and " +
                                        "deployctl rollout " + service + " starts one");
}

RolloutView Queries::rollout(domain::RolloutId id) {
  auto shown = view(journal_.rollouts.get(id));
  for (const auto& step : journal_.rollouts.steps(id)) shown.steps.push_back(step_view(step));
  return shown;
}

RolloutView Queries::view(const domain::Rollout& rollout) {
  RolloutView shown;
  shown.id = rollout.id.value;
  shown.release = rollout.release.value;
  shown.service = rollout.service;
  shown.kind = domain::to_string(rollout.kind);
  shown.revision = revision_name(rollout.revision);
  shown.previous = revision_name(rollout.previous);
  shown.cause = rollout.cause;
  shown.commit = rollout.commit;
  shown.image = rollout.image;
  shown.phase = domain::to_string(rollout.phase);
  shown.reason = rollout.reason;
  shown.log = rollout.log;
  shown.created = domain::iso_time(rollout.created);
  shown.started = time_text(rollout.started);
  shown.finished = time_text(rollout.finished);
  return shown;
}

std::string Queries::revision_name(const std::optional<domain::RevisionId>& id) {
  return id ? journal_.revisions.get(*id).name : "";
}

PlannedView planned_view(rollout::Preview preview) {
  PlannedView shown;
  shown.service = std::move(preview.service);
  shown.live = std::move(preview.live);
  shown.revision = std::move(preview.revision);
  shown.strategy = std::move(preview.strategy);
  shown.steps = std::move(preview.steps);
  shown.differences = std::move(preview.differences);
  shown.notes = std::move(preview.notes);
  return shown;
}

EventView event_view(const domain::Event& event) {
  EventView shown;
  shown.seq = event.seq;
  shown.time = domain::iso_time(event.time);
  shown.release = event.release.value;
  shown.rollout = event.rollout.value;
  shown.service = event.service;
  shown.kind = event.kind;
  shown.text = event.text;
  return shown;
}

}  // namespace deploy::api
