#include "agent/rollout/sweep.hpp"

#include <algorithm>

#include "agent/base/error.hpp"
#include "agent/domain/labels.hpp"
#include "agent/rollout/naming.hpp"
#include "agent/rollout/take_up.hpp"

namespace deploy::rollout {

namespace {

/// For a container that nothing reaches any more.
constexpr std::chrono::seconds stop_grace{10};

}  // namespace

Task<Sweep::Report> Sweep::run() {
  Report report;
  auto routed = co_await traffic_.endpoints();
  co_await containers(std::move(routed), &report);
  co_await images(&report);
  report.still_answered = co_await left_running_.still_answered();
  co_return report;
}

Task<void> Sweep::containers(Traffic::Endpoints routed, Report* report) {
  const auto all = co_await ours();
  std::set<domain::TargetId> there;
  for (const auto& container : all) {
    if (container.labels.contains(domain::labels::hook)) {
      const auto phase = phase_of_hook(container);
      if (!phase) report->strange_hooks.push_back(container.name);
      if (!phase || !domain::is_final(*phase)) continue;
      co_await engine_.remove(container.id);
      report->removed.push_back("container " + container.name);
      continue;
    }
    auto target = journal_.target_of(container);
    if (!target) continue;
    there.insert(target->id);
    const bool needed = target->state == domain::TargetState::live || target->state == domain::TargetState::stray ||
                        journal_.under_way(target->service) || routed.contains(target->address);
    if (needed) {
      draining_.erase(target->id);
      continue;
    }
    const auto now = co_await engine_.inspect(container.id);
    if (!now) continue;
    target->container_id = container.id;
    const bool may_stop = now->state != "running" || co_await drained(*target);
    if (!may_stop) {
      report->draining.push_back(container.name);
      continue;
    }
    const bool stays = co_await leave_running(*target);
    if (!stays) {
      co_await engine_.stop(container.id, stop_grace);
      co_await engine_.remove(container.id);
    }
    draining_.erase(target->id);
    target->state = domain::TargetState::gone;
    journal_.targets.update(*target);
    if (!stays) report->removed.push_back("container " + container.name);
  }
  for (auto target : journal_.targets.present()) {
    const bool expected = target.state == domain::TargetState::live || journal_.under_way(target.service);
    if (expected || there.contains(target.id)) continue;
    target.state = domain::TargetState::gone;
    journal_.targets.update(target);
  }
}

/// What carries our label, and what was taken up without one.
Task<std::vector<ports::Container>> Sweep::ours() {
  const ports::Labels labels{{domain::labels::instance, instance_}};
  auto all = co_await engine_.list(labels);
  for (const auto& target : journal_.targets.present()) {
    const auto& id = target.container_id;
    const bool listed = std::any_of(all.begin(), all.end(), [&](const auto& container) { return container.id == id; });
    if (listed || id.empty() || journal_.rollouts.get(target.rollout).cause != taken_up_cause) continue;
    const auto taken_up = co_await engine_.inspect(id);
    if (taken_up) all.push_back(*taken_up);
  }
  co_return all;
}

/// Of the rollout that the hook belongs to; nullopt: it comes from another state folder.
std::optional<domain::Phase> Sweep::phase_of_hook(const ports::Container& container) {
  const auto revision = journal_.revisions.find(domain::labels::text(container.labels, domain::labels::service),
                                                domain::labels::text(container.labels, domain::labels::revision));
  const auto rollout = journal_.rollouts.find({domain::labels::number(container.labels, domain::labels::rollout)});
  if (!revision || !rollout || rollout->revision != revision->id) return std::nullopt;
  const bool same = domain::labels::text(container.labels, domain::labels::hook).ends_with(begun_at(*rollout));
  return same ? std::optional(rollout->phase) : std::nullopt;
}

/// As the rollout would have that could not clear it away.
Task<bool> Sweep::leave_running(domain::Target target) {
  const auto live = journal_.targets.live(target.service);
  const bool must_run_alone = std::any_of(live.begin(), live.end(), [this](const domain::Target& other) {
    const auto config = journal_.stored_config(other);
    return config && config->strategy == domain::StrategyKind::recreate;
  });
  if (must_run_alone || left_running_.ports_of(target).empty()) co_return false;
  co_return co_await left_running_.give_address_back(target);
}

/// Looks once, and does not wait: the reconciler has other things to look after.
Task<bool> Sweep::drained(domain::Target target) {
  if (target.port == 0) co_return true;
  const auto now = clock_.steady_now();
  const auto since = draining_.try_emplace(target.id, now).first->second;
  const auto config = journal_.stored_config(target);
  const auto limit = config ? config->drain : domain::Service{}.drain;
  if (now - since >= limit) co_return true;
  try {
    if (!co_await traffic_.wait_retired_workers(std::chrono::milliseconds(0))) co_return false;
  } catch (const Error& error) {
    // An Nginx that is not there has no earlier workers.
    if (error.kind() != ErrorKind::not_found && error.kind() != ErrorKind::unreachable) throw;
  }
  const auto connections = co_await engine_.established_connections(target.container_id, target.port);
  co_return connections == 0;
}

Task<void> Sweep::images(Report* report) {
  const ports::Labels ours{{domain::labels::instance, instance_}};
  const auto all = co_await engine_.images(ours);
  // A stray's image may belong to a revision that was pruned, or built again, since.
  const auto containers = co_await engine_.list(ours);
  std::set<std::string> used;
  for (const auto& container : containers) used.insert(container.image_id);
  for (const auto& image : all) {
    const auto service = domain::labels::text(image.labels, domain::labels::service);
    const auto revision =
        journal_.revisions.find(service, domain::labels::text(image.labels, domain::labels::revision));
    // Without its revision's tag it was replaced by a later build, or by an image that was pulled.
    const auto is_its_own = [&] {
      return !revision->pruned && std::find(image.tags.begin(), image.tags.end(), revision->image) != image.tags.end();
    };
    const bool needed = !revision || used.contains(image.id) || journal_.under_way(service) || is_its_own();
    if (needed) continue;
    std::vector<std::string> references = image.tags;
    if (references.empty()) references.push_back(image.id);
    for (const auto& reference : references) {
      if (co_await engine_.remove_image(reference)) report->removed.push_back("image " + reference);
    }
  }
  co_await pulls(report);
}

/// Images that were pulled for a rollout that never got as far as a revision.
Task<void> Sweep::pulls(Report* report) {
  const auto unfinished = journal_.rollouts.unfinished();
  const bool pulling = std::any_of(unfinished.begin(), unfinished.end(), [](const domain::Rollout& rollout) {
    return rollout.phase != domain::Phase::queued;
  });
  if (pulling) co_return;
  const auto revisions = journal_.revisions.with_image("");
  for (const auto& reference : journal_.revisions.pulled()) {
    const bool needed = std::any_of(revisions.begin(), revisions.end(), [&](const domain::Revision& revision) {
      return revision.image_asked == reference;
    });
    if (needed) continue;
    if (co_await engine_.inspect_image(reference)) {
      co_await engine_.remove_image(reference);
      report->removed.push_back("image " + reference);
    }
    journal_.revisions.forget_pulled(reference);
  }
}

}  // namespace deploy::rollout
