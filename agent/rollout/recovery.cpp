#include "agent/rollout/recovery.hpp"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <nlohmann/json.hpp>

#include "agent/base/error.hpp"
#include "agent/domain/labels.hpp"
#include "agent/rollout/naming.hpp"

namespace deploy::rollout {

namespace {

/// For a container that nothing reaches any more.
constexpr std::chrono::seconds stop_grace{10};

std::string label(const ports::Labels& labels, const char* name) {
  const auto found = labels.find(name);
  return found == labels.end() ? std::string() : found->second;
}

/// 0 where it is no number.
std::int64_t number(const std::string& text) {
  std::int64_t value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  return failure == std::errc() && end == text.data() + text.size() ? value : 0;
}

bool runs(const ports::Container& container) { return container.state == "running"; }

}  // namespace

/// Containers are written down before they are made, so the target's row is there even where the container's id is not.
std::optional<domain::Target> Recovery::known(const ports::Container& container) {
  if (const auto target = journal_.targets.of_container(container.id)) return target;
  const auto target = journal_.targets.find({number(label(container.labels, domain::labels::target))});
  if (!target || !target->container_id.empty()) return std::nullopt;
  const bool same = target->service == label(container.labels, domain::labels::service) &&
                    target->rollout.value == number(label(container.labels, domain::labels::rollout));
  return same ? target : std::nullopt;
}

Task<std::set<std::string>> Recovery::routed_addresses() {
  std::set<std::string> addresses;
  std::vector<ports::Endpoint> endpoints;
  try {
    endpoints = co_await proxy_.routed();
  } catch (const Error& error) {
    // No folder, no upstream files.
    if (error.kind() != ErrorKind::not_found) throw;
  }
  for (const auto& endpoint : endpoints) addresses.insert(endpoint.address);
  co_return addresses;
}

// ---- adoption -------------------------------------------------------------------------------------------------------

Task<void> Recovery::adopt() {
  auto found = co_await strangers();
  if (found.empty()) co_return;
  const auto routed = co_await routed_addresses();
  for (auto& [service, containers] : found) {
    for (auto& stranger : containers) {
      if (routed.empty()) stranger.healthy = co_await healthy(stranger);
    }
    journal_.transaction([&, &name = service, &members = containers] { take_up(name, members, routed); });
  }
}

Task<std::map<std::string, Recovery::Strangers>> Recovery::strangers() {
  std::map<std::string, Strangers> found;
  const ports::Labels ours{{domain::labels::instance, identity_.instance}};
  const auto containers = co_await engine_.list(ours);
  for (const auto& container : containers) {
    if (known(container)) continue;
    const auto inspected = co_await engine_.inspect(container.id);
    if (!inspected) continue;
    auto stranger = co_await describe(*inspected);
    found[stranger.service].push_back(std::move(stranger));
  }
  co_return found;
}

Task<Recovery::Stranger> Recovery::describe(ports::Container container) {
  Stranger stranger;
  stranger.service = label(container.labels, domain::labels::service);
  stranger.revision = label(container.labels, domain::labels::revision);
  stranger.rollout = number(label(container.labels, domain::labels::rollout));
  for (const auto& endpoint : container.networks) {
    if (endpoint.network == identity_.routing_network) stranger.address = endpoint.address;
  }
  stranger.image = container.image_id;
  const auto tag = image_tag(stranger.service, stranger.revision);
  const auto built = co_await engine_.inspect_image(tag);
  if (built && built->id == container.image_id) {
    stranger.image = tag;
    stranger.image_is_ours = true;
  }
  stranger.container = std::move(container);
  co_return stranger;
}

const domain::Service* Recovery::configured(const std::string& service) const {
  const auto found = std::find_if(services_.begin(), services_.end(),
                                  [&](const domain::Service& other) { return other.name == service; });
  return found == services_.end() ? nullptr : &*found;
}

Task<bool> Recovery::healthy(Stranger stranger) {
  const auto* service = configured(stranger.service);
  if (service == nullptr || !runs(stranger.container)) co_return false;
  auto check = service->health;
  check.successes = 1;
  check.deadline = check.timeout;
  const ports::Endpoint endpoint{stranger.address, check.port};
  const auto quiet = [](std::string_view) {};
  const auto verdict = co_await prober_.prove(stranger.container.id, endpoint, check, quiet);
  co_return verdict.healthy;
}

void Recovery::take_up(const std::string& service, const Strangers& found, const std::set<std::string>& routed) {
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
      std::int64_t newest = 0;
      for (const auto& stranger : found) {
        if (untold(stranger)) newest = std::max(newest, stranger.rollout);
      }
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
}

void Recovery::make_live(const domain::Service& service, const Strangers& containers,
                         const std::set<std::string>& routed) {
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
  for (const auto& stranger : containers) {
    rollout.revision = revision_of(service, stranger);
    takes_traffic.push_back(add_target(rollout, ++slot, stranger, domain::TargetState::live));
  }
  journal_.rollouts.update(rollout);
  journal_.targets.set_routed(service.name, takes_traffic);
  journal_.tell(rollout, "rollout.ended", "succeeded: taken up again");
}

domain::RevisionId Recovery::revision_of(const domain::Service& service, const Stranger& found) {
  if (const auto known = journal_.revisions.find(service.name, found.revision)) {
    journal_.revisions.set_image(known->id, found.image);
    journal_.revisions.set_promoted(known->id, journal_.now());
    return known->id;
  }
  domain::Revision revision;
  revision.service = service.name;
  revision.name = found.revision;
  revision.image = found.image;
  revision.image_is_ours = found.image_is_ours;
  revision.config = domain::to_json_value(service).dump();
  revision.promoted = journal_.now();
  return journal_.revisions.add(revision);
}

void Recovery::report(const std::string& service, const Strangers& containers) {
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

domain::Rollout Recovery::add_rollout(const std::string& service, domain::Phase phase, const std::string& reason) {
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

domain::TargetId Recovery::add_target(const domain::Rollout& rollout, int slot, const Stranger& found,
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
  for (const auto& service : services_) {
    if (service.name == rollout.service) target.port = service.proxy.port;
  }
  return journal_.targets.add(target);
}

// ---- the sweep ------------------------------------------------------------------------------------------------------

Task<std::vector<std::string>> Recovery::sweep() {
  std::vector<std::string> removed;
  auto routed = co_await routed_addresses();
  co_await sweep_containers(std::move(routed), &removed);
  co_await sweep_images(&removed);
  co_return removed;
}

Task<void> Recovery::sweep_containers(std::set<std::string> routed, std::vector<std::string>* removed) {
  const ports::Labels ours{{domain::labels::instance, identity_.instance}};
  const auto containers = co_await engine_.list(ours);
  std::set<domain::TargetId> there;
  for (const auto& container : containers) {
    auto target = known(container);
    if (!target) continue;
    there.insert(target->id);
    const bool needed = target->state == domain::TargetState::live || target->state == domain::TargetState::stray ||
                        journal_.under_way(target->service) || routed.contains(target->address);
    if (needed || !co_await engine_.inspect(container.id)) continue;
    co_await engine_.stop(container.id, stop_grace);
    co_await engine_.remove(container.id);
    target->state = domain::TargetState::gone;
    journal_.targets.update(*target);
    removed->push_back("container " + container.name);
  }
  for (auto target : journal_.targets.present()) {
    const bool expected = target.state == domain::TargetState::live || journal_.under_way(target.service);
    if (expected || there.contains(target.id)) continue;
    target.state = domain::TargetState::gone;
    journal_.targets.update(target);
  }
}

Task<void> Recovery::sweep_images(std::vector<std::string>* removed) {
  const ports::Labels ours{{domain::labels::instance, identity_.instance}};
  const auto images = co_await engine_.images(ours);
  for (const auto& image : images) {
    const auto service = label(image.labels, domain::labels::service);
    const auto revision = journal_.revisions.find(service, label(image.labels, domain::labels::revision));
    // Without a tag it was replaced by a later build of the same revision.
    const bool needed = !revision || journal_.under_way(service) || (!revision->pruned && !image.tags.empty());
    if (needed) continue;
    std::vector<std::string> references = image.tags;
    if (references.empty()) references.push_back(image.id);
    for (const auto& reference : references) {
      if (co_await engine_.remove_image(reference)) removed->push_back("image " + reference);
    }
  }
  co_await sweep_pulls(removed);
}

/// Images that were pulled for a rollout that never got as far as a revision.
Task<void> Recovery::sweep_pulls(std::vector<std::string>* removed) {
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
      removed->push_back("image " + reference);
    }
    journal_.revisions.forget_pulled(reference);
  }
}

}  // namespace deploy::rollout
