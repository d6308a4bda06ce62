#include "tests/sim/watch.hpp"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "agent/domain/labels.hpp"

namespace deploy::sim {

namespace {

/// A hook of a rollout that the state knows, be it an older one.
bool is_known_hook(tests::Agent& agent, const ports::Container& container) {
  const auto rollout = agent.journal.rollouts.find({domain::labels::number(container.labels, domain::labels::rollout)});
  return rollout && domain::labels::text(container.labels, domain::labels::hook).ends_with(rollout::begun_at(*rollout));
}

const std::set<std::string> changing{"create", "start", "stop", "signal", "remove", "exec", "connect", "disconnect"};

/// How many healthy targets its strategy may take out of traffic.
int may_miss(const domain::Service& config) {
  switch (config.strategy) {
    case domain::StrategyKind::rolling:
      return config.max_unavailable;
    case domain::StrategyKind::blue_green:
      return 0;
    case domain::StrategyKind::recreate:
      break;
  }
  return std::numeric_limits<int>::max();
}

}  // namespace

void Watch::broken(const std::string& promise) {
  if (violation_) return;
  violation_ = promise;
  trace_.add("!!!!", promise);
}

const Stage::Record* Watch::find(const std::string& id_or_name) const {
  const auto& all = stage_.world.engine.all();
  const auto by_id = all.find(id_or_name);
  if (by_id != all.end()) return &by_id->second;
  const auto by_name =
      std::find_if(all.begin(), all.end(), [&](const auto& item) { return item.second.container.name == id_or_name; });
  return by_name == all.end() ? nullptr : &by_name->second;
}

/// The service whose requests Nginx sends to the container now.
std::optional<std::string> Watch::routed_for(const Stage::Record& container) const {
  for (const auto& endpoint : container.container.networks) {
    if (endpoint.network != "deployctl") continue;
    for (const auto& route : stage_.world.proxy.live) {
      for (const auto& target : route.targets) {
        if (target.address == endpoint.address) return route.service;
      }
    }
  }
  return std::nullopt;
}

int Watch::healthy_routed(const std::string& service) const {
  int count = 0;
  for (const auto& target : stage_.world.proxy.targets(service)) {
    const auto* container = stage_.at_address(target.address);
    if (container != nullptr && stage_.healthy(*container) && proved_.contains(container->container.id)) ++count;
  }
  return count;
}

std::set<std::string> Watch::routed_containers(const std::string& service) const {
  std::set<std::string> ids;
  for (const auto& target : stage_.world.proxy.targets(service)) {
    if (const auto* container = stage_.at_address(target.address)) ids.insert(container->container.id);
  }
  return ids;
}

/// When the rollout began that is under way.
bool Watch::had_traffic(const std::string& service, const std::string& container_id) const {
  return std::any_of(under_way_.begin(), under_way_.end(), [&](const auto& item) {
    return item.second.service == service && item.second.routed_before.contains(container_id);
  });
}

bool Watch::doubted(const std::string& service) const {
  const auto& targets = stage_.world.proxy.targets(service);
  return std::any_of(targets.begin(), targets.end(), [&](const auto& target) {
    const auto* container = stage_.at_address(target.address);
    return container != nullptr && doubted_.contains(container->container.id);
  });
}

void Watch::before_effect(const std::string& kind, const std::string& subject) {
  if (kind == "remove_image") return check_image(subject);
  if (!changing.contains(kind) || kind == "create") return;
  const auto* container = find(subject);
  if (container == nullptr) return;
  if (!Stage::ours(*container)) broken(kind + " of " + container->container.name + ", which is not ours");
  if (kind == "stop" || kind == "remove" || kind == "disconnect") {
    check_leaving(kind, *container);
    if (strangers_.contains(container->container.id))
      broken(kind + " of " + container->container.name + ", which the state does not know");
  }
  if (kind == "start" && container->container.labels.contains(domain::labels::hook) &&
      container->container.state != "created") {
    broken("the hook in " + container->container.name + " runs twice");
  }
  if (kind == "start" && container->container.state != "running") proved_.erase(container->container.id);
}

void Watch::check_leaving(const std::string& kind, const Stage::Record& container) {
  const auto& name = container.container.name;
  if (const auto service = routed_for(container)) {
    broken(kind + " of " + name + ", which still gets the requests of " + *service);
  }
  if (container.container.state != "running") return;
  const auto since = stage_.unrouted_since(container.container.id);
  if (!since || boundary_.failed_since(*since)) return;
  const auto label = container.container.labels.find("deployctl.service");
  const auto now = stage_.world.clock.elapsed();
  if (label == container.container.labels.end() || now >= *since + stage_.service(label->second).drain) return;
  if (stage_.busy(container.container.id)) broken(kind + " of " + name + " in the middle of requests");
  if (stage_.known_to_workers(container.container.id))
    broken(kind + " of " + name + " while earlier workers may still ask it");
}

void Watch::check_image(const std::string& reference) {
  for (const auto& image : stage_.world.engine.all_images()) {
    const bool named = image.id == reference ||
                       std::find(image.tags.begin(), image.tags.end(), reference) != image.tags.end() ||
                       std::find(image.digests.begin(), image.digests.end(), reference) != image.digests.end();
    if (named && !stage_.own_images.contains(image.id))
      broken("removal of the image " + reference + ", which is not ours");
  }
}

void Watch::after_effect(const std::string& kind, const std::string& subject) {
  if (kind == "create" || kind == "connect") {
    const auto* added = find(subject);
    if (added == nullptr) return;
    for (const auto& endpoint : added->container.networks) {
      if (endpoint.network != "deployctl" || endpoint.address.empty()) continue;
      for (const auto& [id, other] : stage_.world.engine.all()) {
        if (&other == added) continue;
        for (const auto& its : other.container.networks) {
          if (its.network == endpoint.network && its.address == endpoint.address) {
            broken(added->container.name + " and " + other.container.name + " share the address " + its.address);
          }
        }
      }
    }
  }
  if (kind == "start" || kind == "stop" || kind == "remove") check_enough_healthy(kind);
}

void Watch::after_apply(const std::vector<ports::Route>& old_routes) {
  std::set<std::string> routed_before;
  for (const auto& route : old_routes) {
    for (const auto& target : route.targets) routed_before.insert(target.address);
  }
  std::set<std::string> now_routed;
  for (const auto& route : stage_.world.proxy.live) {
    for (const auto& target : route.targets) {
      const auto* container = stage_.at_address(target.address);
      if (container == nullptr) {
        broken("requests of " + route.service + " go to " + target.address + ", where no container is");
        continue;
      }
      now_routed.insert(container->container.id);
      stage_.route(container->container.id);
      // Who has the traffic keeps it while it is started again: somebody else was not there to take it.
      const bool is_new =
          !routed_before.contains(target.address) && !had_traffic(route.service, container->container.id);
      if (is_new && !proved_.contains(container->container.id)) {
        broken("requests of " + route.service + " go to " + container->container.name +
               ", which was not proved healthy");
      }
    }
  }
  for (const auto& route : old_routes) {
    for (const auto& target : route.targets) {
      const auto* container = stage_.at_address(target.address);
      if (container != nullptr && !now_routed.contains(container->container.id))
        stage_.unroute(container->container.id);
    }
  }
  check_enough_healthy("switch");
}

void Watch::check_enough_healthy(const std::string& after) {
  for (const auto& [id, rollout] : under_way_) {
    const bool replaced = std::any_of(under_way_.upper_bound(id), under_way_.end(),
                                      [&](const auto& later) { return later.second.service == rollout.service; });
    if (replaced) continue;  // it only clears away, and the later one takes its targets' place
    const int wanted = std::min(rollout.healthy_before, stage_.least_replicas(rollout.service)) - rollout.may_miss;
    const int now = healthy_routed(rollout.service);
    if (now >= wanted || rollout.disturbed) continue;
    broken("after a " + after + " " + rollout.service + " has " + std::to_string(now) +
           " healthy targets in traffic, and had " + std::to_string(rollout.healthy_before) + " before rollout " +
           std::to_string(id));
  }
}

/// Nothing starts before what it depends on, nor while it is paused, and what is rolled back to is as it was then.
void Watch::check_start(tests::Agent& agent, const domain::Rollout& rollout) {
  const auto name = "rollout " + std::to_string(rollout.id.value) + " of " + rollout.service;
  if (agent.journal.is_paused(rollout.service)) broken(name + " was let in while it was paused");
  const bool back = rollout.kind == domain::RolloutKind::rollback;
  for (const auto& other : agent.journal.rollouts.of_release(rollout.release)) {
    const auto first = back ? stage_.needed_by(other.service) : stage_.needed_by(rollout.service);
    if (!first.contains(back ? rollout.service : other.service)) continue;
    const bool done = domain::is_success(other.phase) || other.phase == domain::Phase::superseded;
    if (!done && !agent.journal.promoted(other.id))
      broken(name + " was let in, and " + other.service + ", which goes first, is " + domain::to_string(other.phase));
  }
  if (rollout.kind == domain::RolloutKind::rollback &&
      rollout.config != agent.journal.revisions.get(*rollout.revision).config)
    broken(name + " rolls back with another configuration than its revision's");
}

void Watch::after_commit(tests::Agent& agent) {
  if (!strangers_.empty()) {
    for (const auto& target : agent.journal.targets.present()) {
      if (target.state == domain::TargetState::live) strangers_.erase(target.container_id);  // taken up again
    }
  }
  std::map<std::string, std::int64_t> busy;
  std::set<std::int64_t> seen;
  for (const auto& rollout : agent.journal.rollouts.unfinished()) {
    if (rollout.phase == domain::Phase::queued) continue;
    const auto id = rollout.id.value;
    seen.insert(id);
    const bool only_clears = agent.journal.promoted(rollout.id);
    const auto [first, alone] = only_clears ? std::pair(busy.end(), true) : busy.emplace(rollout.service, id);
    if (!alone) {
      broken("rollouts " + std::to_string(first->second) + " and " + std::to_string(id) + " of " + rollout.service +
             " are under way at once");
    }
    if (ended_.contains(id)) broken("rollout " + std::to_string(id) + " had ended and is under way again");
    if (under_way_.contains(id)) continue;
    if (agent.journal.prepares(rollout)) {
      preparing_.insert(id);
      continue;
    }
    // One that was brought along by a state that was put back was let in at a time that is not known.
    const bool let_in_now = preparing_.erase(id) > 0;
    if (let_in_now) check_start(agent, rollout);
    // What the agent wanted out of traffic, because it was ill, may have stayed there when Nginx could not be reached.
    const auto routed = static_cast<int>(agent.journal.targets.routed(rollout.service).size());
    // How it was before a rollout that a state put back brought along is not known. And what one that needs a person
    // left in traffic was never promoted: the next rollout replaces it as a whole.
    const auto last = agent.journal.rollouts.last_ended(rollout.service);
    const bool half_done = last && last->phase == domain::Phase::needs_operator;
    const bool unknown = !let_in_now || half_done || doubted(rollout.service);
    const auto config = domain::service_from_json(nlohmann::json::parse(rollout.config));
    under_way_[id] = {rollout.service, std::min(healthy_routed(rollout.service), routed), may_miss(config),
                      routed_containers(rollout.service), unknown};
  }
  for (auto next = under_way_.begin(); next != under_way_.end();) {
    const auto id = next->first;
    if (seen.contains(id)) {
      ++next;
      continue;
    }
    const auto rollout = agent.journal.rollouts.get({id});
    ended_[id] = rollout.phase;
    check_undone(agent, rollout);
    next = under_way_.erase(next);
  }
}

/// What was undone has left nothing.
void Watch::check_undone(tests::Agent& agent, const domain::Rollout& rollout) {
  if (forgot_) return;  // numbers began anew, and labels still hold the earlier ones
  if (domain::is_success(rollout.phase) || rollout.phase == domain::Phase::needs_operator) return;
  std::set<std::string> made;
  for (const auto& target : agent.journal.targets.of_rollout(rollout.id)) made.insert(std::to_string(target.id.value));
  for (const auto& [id, record] : stage_.world.engine.all()) {
    const auto label = record.container.labels.find("deployctl.rollout");
    const bool its_own = label != record.container.labels.end() && label->second == std::to_string(rollout.id.value);
    const bool its_target = its_own && made.contains(record.container.labels.at("deployctl.target"));
    if (Stage::ours(record) && its_target) {
      broken("rollout " + std::to_string(rollout.id.value) + " ended as " + domain::to_string(rollout.phase) +
             " and has left container " + record.container.name);
    }
  }
}

void Watch::disturbed(const std::string& service) {
  disturbed_.insert(service);
  for (auto& [id, rollout] : under_way_) rollout.disturbed = rollout.disturbed || rollout.service == service;
}

void Watch::forget() {
  ended_.clear();
  under_way_.clear();
  preparing_.clear();
  forgot_ = true;
  state_replaced_ = true;
}

void Watch::begins(tests::Agent& agent) {
  if (!state_replaced_) return;
  state_replaced_ = false;
  strangers_.clear();
  for (const auto& [id, record] : stage_.world.engine.all()) {
    if (Stage::ours(record) && !agent.journal.target_of(record.container) && !is_known_hook(agent, record.container)) {
      strangers_.insert(id);
    }
  }
}

bool Watch::gets_requests(const std::string& container_id) const {
  const auto& all = stage_.world.engine.all();
  const auto found = all.find(container_id);
  return found != all.end() && routed_for(found->second).has_value();
}

}  // namespace deploy::sim
