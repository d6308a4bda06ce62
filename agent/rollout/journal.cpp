#include "agent/rollout/journal.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "agent/domain/labels.hpp"

namespace deploy::rollout {

namespace {

std::string in_words(domain::Phase phase) {
  std::string words = domain::to_string(phase);
  std::replace(words.begin(), words.end(), '_', ' ');
  return words;
}

}  // namespace

// Containers are written down before they are made, so the target's row is there even where the container's id is not.
// By then its rollout has a revision; another one's container with the same numbers was made by a state that was lost.
std::optional<domain::Target> Journal::target_of(const ports::Container& container) {
  if (auto known = targets.of_container(container.id)) return known;
  auto target = targets.find({domain::labels::number(container.labels, domain::labels::target)});
  if (!target || !target->container_id.empty()) return std::nullopt;
  const auto revision = rollouts.get(target->rollout).revision;
  const bool same = target->service == domain::labels::text(container.labels, domain::labels::service) &&
                    target->rollout.value == domain::labels::number(container.labels, domain::labels::rollout) &&
                    revision &&
                    revisions.get(*revision).name == domain::labels::text(container.labels, domain::labels::revision);
  return same ? target : std::nullopt;
}

std::optional<domain::Service> Journal::stored_config(const domain::Target& target) {
  if (!target.revision) return std::nullopt;
  return domain::service_from_json(nlohmann::json::parse(revisions.get(*target.revision).config));
}

std::optional<domain::Service> Journal::made_with(const domain::Target& target) {
  if (!target.revision || revisions.get(*target.revision).config_hash.empty()) return std::nullopt;
  return stored_config(target);
}

bool Journal::under_way(const std::string& service) {
  const auto unfinished = rollouts.unfinished();
  return std::any_of(unfinished.begin(), unfinished.end(), [&](const domain::Rollout& rollout) {
    return rollout.service == service && rollout.phase != domain::Phase::queued;
  });
}

bool Journal::prepares(const domain::Rollout& rollout) {
  if (rollout.phase != domain::Phase::running && rollout.phase != domain::Phase::undoing) return false;
  const auto steps = rollouts.steps(rollout.id);
  return std::all_of(steps.begin(), steps.end(), [](const domain::Step& step) { return domain::is_source(step.kind); });
}

bool Journal::at_targets(const std::string& service) {
  const auto unfinished = rollouts.unfinished();
  return std::any_of(unfinished.begin(), unfinished.end(), [&](const domain::Rollout& rollout) {
    return rollout.service == service && rollout.phase != domain::Phase::queued && !prepares(rollout);
  });
}

bool Journal::is_paused(const std::string& service) {
  const auto all = pauses.all();
  return std::any_of(all.begin(), all.end(),
                     [&](const store::Pause& pause) { return pause.service.empty() || pause.service == service; });
}

bool Journal::can_stop(const domain::Rollout& rollout) {
  if (rollout.phase != domain::Phase::running || rollout.stop) return false;
  const auto steps = rollouts.steps(rollout.id);
  return std::none_of(steps.begin(), steps.end(), [](const domain::Step& step) {
    const bool final_step = step.kind == domain::StepKind::switch_traffic || step.kind == domain::StepKind::promote;
    return final_step && step.state != domain::StepState::pending;
  });
}

bool Journal::bakes(const domain::Rollout& rollout) {
  if (rollout.phase != domain::Phase::running || rollout.stop) return false;
  const auto steps = rollouts.steps(rollout.id);
  return std::any_of(steps.begin(), steps.end(), [](const domain::Step& step) {
    return is_watch(step.kind) && step.state == domain::StepState::running;
  });
}

void Journal::stop(const domain::Rollout& rollout, const domain::StopWish& wish) {
  transaction([&] {
    rollouts.set_stop(rollout.id, wish);
    tell(rollout, "rollout.stopping", "stopping: " + wish.reason);
  });
}

void Journal::tell(const domain::Rollout& rollout, const std::string& kind, const std::string& text) {
  events_.append({0, now(), rollout.release, rollout.id, rollout.service, kind, text});
}

void Journal::tell_of_config(const std::string& kind, const std::string& text) {
  events_.append({0, now(), {}, {}, "", kind, text});
}

void Journal::end(domain::Rollout& rollout, domain::Phase phase, const std::string& reason) {
  transaction([&] {
    rollout.phase = phase;
    rollout.reason = reason;
    rollout.finished = now();
    rollouts.update(rollout);
    tell(rollout, "rollout.ended", reason.empty() ? in_words(phase) : in_words(phase) + ": " + reason);
    const auto together = rollouts.of_release(rollout.release);
    const bool last = std::all_of(together.begin(), together.end(),
                                  [](const domain::Rollout& other) { return domain::is_final(other.phase); });
    if (last) events_.append({0, now(), rollout.release, {}, "", "release.ended", ""});
  });
}

}  // namespace deploy::rollout
