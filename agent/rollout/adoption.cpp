#include "agent/rollout/adoption.hpp"

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>

#include "agent/base/error.hpp"
#include "agent/domain/labels.hpp"
#include "agent/rollout/naming.hpp"

namespace deploy::rollout {

namespace {

bool runs(const ports::Container& container) { return container.state == "running"; }

}  // namespace

Task<void> Adoption::run() {
  const auto routed = co_await traffic_.endpoints();
  auto found = co_await strangers();
  if (found.empty() && !is_older(routed)) co_return;
  co_await distrust();
  found = co_await strangers();
  for (auto& [service, containers] : found) {
    for (auto& stranger : containers) {
      if (routed.empty()) stranger.healthy = co_await healthy(stranger);
      if (const auto traffic = routed.find(stranger.address); traffic != routed.end()) stranger.port = traffic->second;
    }
    journal_.transaction([&, &name = service, &members = containers] { take_up(name, members, routed); });
  }
}

/// Do upstream files name a target of a rollout that has not begun to switch to it?
bool Adoption::is_older(const Traffic::Endpoints& routed) {
  for (const auto& rollout : journal_.rollouts.unfinished()) {
    std::set<domain::TargetId> switched;
    for (const auto& step : journal_.rollouts.steps(rollout.id)) {
      const bool begun = step.kind == domain::StepKind::switch_traffic && step.state != domain::StepState::pending;
      if (begun) switched.insert(step.targets.begin(), step.targets.end());
    }
    for (const auto& target : journal_.targets.of_rollout(rollout.id)) {
      if (routed.contains(target.address) && !switched.contains(target.id)) return true;
    }
  }
  return false;
}

/// Where the journal does not know a container it is older than what runs: addresses and names that it holds may be
/// somebody else's now. So nothing that was under way in it is carried on, and what has no container is forgotten.
Task<void> Adoption::distrust() {
  std::set<domain::TargetId> gone;
  for (const auto& target : journal_.targets.present()) {
    if (target.container_id.empty() || !co_await engine_.inspect(target.container_id)) gone.insert(target.id);
  }
  journal_.transaction([&] {
    for (auto rollout : journal_.rollouts.unfinished()) {
      for (const auto& target : journal_.targets.of_rollout(rollout.id)) gone.insert(target.id);
      journal_.end(
          rollout, domain::Phase::needs_operator,
          "the state folder of an earlier time was put back, when this rollout was under way; the containers of "
          "this installation stay as they are: look at them, and roll out again");
    }
    for (const auto release : journal_.rollouts.atomic_releases()) journal_.rollouts.set_atomic(release, false);
    std::set<std::string> services;
    for (auto target : journal_.targets.present()) {
      services.insert(target.service);
      if (!gone.contains(target.id)) continue;
      target.state = domain::TargetState::gone;
      journal_.targets.update(target);
    }
    for (const auto& service : services) {
      auto routed = ids_of(journal_.targets.routed(service));
      std::erase_if(routed, [&](domain::TargetId id) { return gone.contains(id); });
      journal_.targets.set_routed(service, routed);
    }
  });
}

Task<std::map<std::string, Adoption::Strangers>> Adoption::strangers() {
  std::map<std::string, Strangers> found;
  const ports::Labels ours{{domain::labels::instance, instance_}};
  const auto containers = co_await engine_.list(ours);
  for (const auto& container : containers) {
    if (container.labels.contains(domain::labels::hook)) continue;
    const auto target = journal_.target_of(container);
    if (target && target->state != domain::TargetState::gone) continue;
    const auto inspected = co_await engine_.inspect(container.id);
    if (!inspected) continue;
    auto stranger = co_await describe(*inspected);
    found[stranger.service].push_back(std::move(stranger));
  }
  co_return found;
}

Task<Adoption::Stranger> Adoption::describe(ports::Container container) {
  Stranger stranger;
  stranger.service = domain::labels::text(container.labels, domain::labels::service);
  stranger.revision = domain::labels::text(container.labels, domain::labels::revision);
  stranger.rollout = domain::labels::number(container.labels, domain::labels::rollout);
  for (const auto& endpoint : container.networks) {
    if (endpoint.network == routing_network_) stranger.address = endpoint.address;
  }
  stranger.image = container.image_id;
  const auto tag = image_tag(stranger.service, stranger.revision);
  const auto built = co_await engine_.inspect_image(tag);
  if (built && built->id == container.image_id) {
    stranger.image = tag;
    stranger.image_is_ours = true;
  } else if (const auto pulled = co_await engine_.inspect_image(container.image_id);
             pulled && !pulled->digests.empty()) {
    stranger.image = pulled->digests.front();  // by which it can be pulled again
  }
  stranger.container = std::move(container);
  co_return stranger;
}

const domain::Service* Adoption::configured(const std::string& service) const {
  const auto found = std::find_if(services_.begin(), services_.end(),
                                  [&](const domain::Service& other) { return other.name == service; });
  return found == services_.end() ? nullptr : &*found;
}

Task<bool> Adoption::healthy(Stranger stranger) {
  const auto* service = configured(stranger.service);
  if (service == nullptr || !runs(stranger.container)) co_return false;
  auto check = domain::asked_once(service->health);
  const ports::Endpoint endpoint{stranger.address, check.port};
  const auto quiet = [](std::string_view) {};
  const auto verdict = co_await prober_.prove(stranger.container.id, endpoint, check, quiet);
  co_return verdict.healthy;
}

void Adoption::take_up(const std::string& service, Strangers found, const Traffic::Endpoints& routed) {
  std::sort(found.begin(), found.end(), [](const Stranger& a, const Stranger& b) { return a.rollout < b.rollout; });
  Strangers live;
  if (const auto* wanted = configured(service)) {
    std::copy_if(found.begin(), found.end(), std::back_inserter(live), [&](const Stranger& stranger) {
      return runs(stranger.container) && routed.contains(stranger.address);
    });
    // Where upstream files say that others had the traffic, or nobody, these were never proved healthy.
    const auto untold = [&](const Stranger& stranger) {
      return runs(stranger.container) && (wanted->proxy.port == 0 || stranger.healthy);
    };
    if (live.empty() && journal_.targets.live(service).empty()) {
      const auto last = std::find_if(found.rbegin(), found.rend(), untold);
      const auto newest = last == found.rend() ? 0 : last->rollout;
      std::copy_if(found.begin(), found.end(), std::back_inserter(live),
                   [&](const Stranger& stranger) { return untold(stranger) && stranger.rollout == newest; });
    }
    if (!live.empty()) make_live(*wanted, live, routed);
  }
  Strangers strays;
  std::copy_if(found.begin(), found.end(), std::back_inserter(strays), [&](const Stranger& stranger) {
    return std::none_of(live.begin(), live.end(),
                        [&](const Stranger& taken) { return taken.container.id == stranger.container.id; });
  });
  if (!strays.empty()) report(service, strays);
  // Containers are named after their rollout: a number that comes again could meet a name that is taken.
  journal_.rollouts.number_after({found.back().rollout});
}

void Adoption::make_live(const domain::Service& service, const Strangers& containers,
                         const Traffic::Endpoints& routed) {
  std::vector<domain::TargetId> takes_traffic;
  for (auto target : journal_.targets.live(service.name)) {
    if (routed.contains(target.address)) {
      takes_traffic.push_back(target.id);
      continue;
    }
    target.state = domain::TargetState::retired;
    journal_.targets.update(target);
  }
  auto rollout = add_rollout(service.name, domain::Phase::succeeded, "");
  rollout.config = domain::to_json_value(service).dump();
  int slot = 0;
  // The oldest come first. Where a rolling update was cut off there are two revisions, and the newer one is the
  // rollout's.
  for (const auto& stranger : containers) {
    rollout.revision = revision_of(service, stranger);
    takes_traffic.push_back(add_target(rollout, ++slot, stranger, domain::TargetState::live));
  }
  journal_.rollouts.update(rollout);
  journal_.targets.set_routed(service.name, takes_traffic);
  journal_.tell(rollout, "rollout.ended", "succeeded: taken up again");
}

domain::RevisionId Adoption::revision_of(const domain::Service& service, const Stranger& found) {
  const auto known = journal_.revisions.find(service.name, found.revision);
  auto revision = known.value_or(domain::Revision{});
  revision.image = found.image;
  revision.image_is_ours = found.image_is_ours;
  if (found.image.find('@') != std::string::npos) revision.image_asked = found.image;
  if (known) {
    journal_.revisions.set_image(revision);
    journal_.revisions.set_promoted(revision.id, journal_.now());
    return revision.id;
  }
  revision.service = service.name;
  revision.name = found.revision;
  revision.config = domain::to_json_value(service).dump();
  revision.promoted = journal_.now();
  return journal_.revisions.add(revision);
}

void Adoption::report(const std::string& service, const Strangers& containers) {
  std::string names;
  for (const auto& stranger : containers) names += (names.empty() ? "" : " ") + stranger.container.name;
  const auto rollout =
      add_rollout(service, domain::Phase::needs_operator,
                  "these containers are of this installation, but its state does not know them and they "
                  "get no traffic (an older state folder?): look at them, and remove those that nobody "
                  "needs with: docker rm -f " +
                      names);
  int slot = 0;
  for (const auto& stranger : containers) add_target(rollout, ++slot, stranger, domain::TargetState::stray);
  journal_.tell(rollout, "rollout.ended", "needs operator: " + rollout.reason);
}

domain::Rollout Adoption::add_rollout(const std::string& service, domain::Phase phase, const std::string& reason) {
  domain::Rollout rollout;
  rollout.release = journal_.rollouts.add_release(journal_.now());
  rollout.service = service;
  rollout.cause = "containers found by their labels, not in the state of deployd";
  rollout.phase = phase;
  rollout.reason = reason;
  rollout.created = journal_.now();
  rollout.started = rollout.created;
  rollout.finished = rollout.created;
  rollout.id = journal_.rollouts.add(rollout);
  return rollout;
}

domain::TargetId Adoption::add_target(const domain::Rollout& rollout, int slot, const Stranger& found,
                                      domain::TargetState state) {
  domain::Target target;
  target.service = rollout.service;
  target.rollout = rollout.id;
  target.revision = rollout.revision;
  target.slot = slot;
  target.container_name = found.container.name;
  target.container_id = found.container.id;
  target.address = found.address;
  target.state = state;
  target.port = found.port;
  const auto* service = configured(rollout.service);
  if (target.port == 0 && service != nullptr) target.port = service->proxy.port;
  return journal_.targets.add(target);
}

}  // namespace deploy::rollout
