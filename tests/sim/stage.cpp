#include "tests/sim/stage.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <stdexcept>

#include "agent/domain/labels.hpp"

namespace deploy::sim {

using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr auto instance = "instance-1";

/// <service>-<commit, 7 digits>-<configuration, 6 digits>
std::string commit_of_revision(const std::string& revision) {
  const auto end = revision.rfind('-');
  return end == std::string::npos || end < 7 ? "" : revision.substr(end - 7, 7);
}

}  // namespace

Stage::Stage(Random random, Random polling) : random_(random) {
  add_services();
  if (polling.chance(250)) {
    world.poll = seconds(polling.between(10, 300));
    for (auto& service : world.services) service.repo = "o/" + service.name;
  }
  add_foreign_things();
  world.atomic = random_.chance(300);
  if (random_.chance(200)) world.workers_leaving = 0;
  if (random_.chance(200)) {
    world.memory.waits = random_.chance(700);
    world.memory.keep_free_bytes = 1;
    world.memory.available = [this] {  // every seventh half minute there is none
      return std::chrono::duration_cast<seconds>(world.clock.elapsed()).count() / 30 % 7 == 3 ? 0 : 1;
    };
  }
  world.engine.behave = [this](const ports::ContainerSpec& spec) {
    tests::FakeEngine::Behaviour behaviour;
    const auto label = spec.labels.find(domain::labels::revision);
    if (label != spec.labels.end()) behaviour.exits = fate(commit_of_revision(label->second)) == Fate::exits;
    behaviour.exit_code = behaviour.exits ? 1 : 0;
    if (spec.labels.contains(domain::labels::hook)) behaviour.exits = true;
    return behaviour;
  };
  world.engine.on_build = [this](const ports::BuildRequest& request) {
    tests::FakeEngine::BuildOutcome outcome;
    const auto name = request.tag.substr(request.tag.find(':') + 1);
    if (fate(commit_of_revision(name)) == Fate::does_not_build) outcome.error = "the compiler found an error";
    return outcome;
  };
  world.engine.calls.clear();
}

void Stage::add_services() {
  const std::vector<std::string> names{"llm", "backend", "frontend", "worker"};
  const int count = random_.between(1, 4);
  for (int i = 0; i < count; ++i) {
    auto service = tests::service_named(names[static_cast<std::size_t>(i)]);
    if (i > 0 && random_.chance(500)) service.depends_on = {names[static_cast<std::size_t>(random_.between(0, i - 1))]};
    service.replicas = random_.chance(600) ? 1 : random_.between(2, 3);
    constexpr std::array strategies{domain::StrategyKind::rolling, domain::StrategyKind::rolling,
                                    domain::StrategyKind::blue_green, domain::StrategyKind::recreate};
    service.strategy = strategies[random_.below(strategies.size())];
    const bool bakes = service.strategy == domain::StrategyKind::blue_green && random_.chance(600);
    if (bakes) service.bake = seconds(random_.between(1, 60));
    service.max_surge = random_.between(0, 2);
    service.max_unavailable = random_.between(service.max_surge == 0 ? 1 : 0, 1);
    service.retain = random_.between(1, 3);
    service.drain = seconds(random_.between(1, 30));
    if (random_.chance(300)) service.supersede = domain::Supersede::queued;
    const bool pulled = random_.chance(300);
    if (pulled) service.source.image = "registry/" + service.name + ":{sha}";
    if (pulled && random_.chance(500)) service.source.git.reset();
    if (service.name == "worker" && random_.chance(700)) {  // takes no traffic, and is proved healthy all the same
      service.proxy.port = 0;
      service.proxy.upstream.clear();
    } else if (service.name == "worker") {
      service.proxy.dns = service.replicas == 1;
    }
    if (random_.chance(300)) {
      service.hooks.before.emplace_back().run = {"./migrate"};
      service.hooks.after.emplace_back().path = "/health";
    }
    least_replicas_[service.name] = service.replicas;
    world.services.push_back(service);
  }
}

std::set<std::string> Stage::needed_by(const std::string& name) const {
  std::set<std::string> needed;
  for (const auto& direct : service(name).depends_on) {
    needed.insert(direct);
    needed.merge(needed_by(direct));
  }
  return needed;
}

void Stage::reconfigure() {
  auto& service = world.services[random_.below(world.services.size())];
  if (random_.chance(500)) {
    service.replicas = service.proxy.dns ? 1 : random_.between(1, 3);
  } else {
    service.container.environment["GENERATION"] = std::to_string(++reconfigurations_);
  }
  auto& least = least_replicas_[service.name];
  least = std::min(least, service.replicas);
}

std::string Stage::new_commit(const std::string& name) {
  const auto& of = service(name);
  const std::string start = fmt::format("{:07x}", ++commits_);
  std::string commit = start + std::string(33, 'c');
  auto& fate = fates_[start];
  if (random_.chance(60)) fate = Fate::does_not_build;
  if (random_.chance(60)) fate = Fate::never_healthy;
  if (random_.chance(40)) fate = Fate::exits;
  if (of.bake.count() > 0 && random_.chance(100)) fate = Fate::dies_in_traffic;
  if (of.source.git) world.source.refs[of.source.git->url + " main"] = commit;
  if (!of.source.image.empty() && fate != Fate::does_not_build) {
    world.engine.registry["registry/" + name + ":" + commit] = {};
  }
  return commit;
}

Fate Stage::fate(const std::string& commit) const {
  const auto found = fates_.find(commit.substr(0, 7));
  return found == fates_.end() ? Fate::good : found->second;
}

Fate Stage::fate(const Record& container) const {
  const auto label = container.container.labels.find(domain::labels::revision);
  return label == container.container.labels.end() ? Fate::good : fate(commit_of_revision(label->second));
}

bool Stage::dies_in_traffic(const std::string& container_id) const {
  const auto found = world.engine.all().find(container_id);
  return found != world.engine.all().end() && fate(found->second) == Fate::dies_in_traffic;
}

const std::string& Stage::service_of(const std::string& container_id) const {
  return world.engine.all().at(container_id).container.labels.at(domain::labels::service);
}

bool Stage::healthy(const Record& container) const {
  const auto what = fate(container);
  return container.container.state == "running" && (what == Fate::good || what == Fate::dies_in_traffic) &&
         !sick_.contains(container.container.id) && !dead_.contains(container.container.id);
}

void Stage::start_again(const std::string& container_id) {
  if (!world.engine.all().contains(container_id)) return;
  auto& container = world.engine.at(container_id).container;
  if (container.state == "running") return;
  // Its connections ended with it.
  if (const auto leaving = unrouted_.find(container_id); leaving != unrouted_.end())
    leaving->second.busy_until = Duration(0);
  container.state = "exited";
  tests::run_virtual(world.clock, world.engine.start(container_id));
}

const Stage::Record* Stage::at_address(const std::string& address) const {
  for (const auto& [id, record] : world.engine.all()) {
    for (const auto& endpoint : record.container.networks) {
      if (endpoint.network == "deployctl" && endpoint.address == address) return &record;
    }
  }
  return nullptr;
}

const domain::Service& Stage::service(const std::string& name) const {
  const auto found =
      std::find_if(world.services.begin(), world.services.end(), [&](const auto& other) { return other.name == name; });
  if (found == world.services.end()) throw std::logic_error("there is no service " + name);
  return *found;
}

void Stage::unroute(const std::string& container_id) {
  const auto now = world.clock.elapsed();
  const auto busy = random_.chance(400) ? milliseconds(0) : random_.between(milliseconds(0), milliseconds(45000));
  const auto left = random_.chance(300) ? milliseconds(0) : random_.between(milliseconds(0), milliseconds(20000));
  unrouted_[container_id] = {now, now + busy, now + left};
  workers_retired_at_ = std::max<Duration>(workers_retired_at_, now + left);
}

bool Stage::known_to_workers(const std::string& container_id) const {
  const auto found = unrouted_.find(container_id);
  return found != unrouted_.end() && world.clock.elapsed() < found->second.workers_until;
}

std::optional<Stage::Duration> Stage::unrouted_since(const std::string& container_id) const {
  const auto found = unrouted_.find(container_id);
  return found == unrouted_.end() ? std::nullopt : std::optional(found->second.since);
}

bool Stage::busy(const std::string& container_id) const {
  const auto found = unrouted_.find(container_id);
  return found != unrouted_.end() && world.clock.elapsed() < found->second.busy_until;
}

bool Stage::ours(const Record& container) {
  const auto label = container.container.labels.find(domain::labels::instance);
  return label != container.container.labels.end() && label->second == instance;
}

void Stage::add_foreign_container(const std::string& name, const std::string& image, ports::Labels labels,
                                  bool started) {
  ports::ContainerSpec spec;
  spec.name = name;
  spec.image = image;
  spec.labels = std::move(labels);
  spec.network.network = "internal";
  const auto id = tests::run_virtual(world.clock, world.engine.create(spec));
  if (started) tests::run_virtual(world.clock, world.engine.start(id));
}

/// What lies closest to ours, and must never be touched.
void Stage::add_foreign_things() {
  using namespace domain::labels;
  world.engine.add_image("postgres:16");
  world.engine.add_image("deployctl/backend:mine");
  world.engine.add_image("deployctl/backend:other", {{domain::labels::instance, "instance-2"}});
  add_foreign_container("postgres", "postgres:16", {}, true);
  add_foreign_container("backend", "registry/backend:v1", {{"com.docker.compose.service", "backend"}}, true);
  add_foreign_container("backend-0000001-abcdef", "registry/backend:v1", {}, false);
  add_foreign_container("llm-0000001-abcdef-1-1", "registry/backend:v1",
                        {{domain::labels::instance, "instance-2"}, {domain::labels::service, "llm"}}, true);
  add_foreign_container("copied", "registry/backend:v1", {{domain::labels::service, "backend"}}, true);
}

std::string Stage::foreign_things() const { return things(false); }

std::string Stage::own_things() const { return things(true); }

std::string Stage::things(bool of_agent) const {
  std::string text;
  for (const auto& [id, record] : world.engine.all()) {
    if (ours(record) != of_agent) continue;
    text += record.container.name + " " + id.substr(0, 8) + " " + record.container.state;
    for (const auto& endpoint : record.container.networks) text += " " + endpoint.network + "=" + endpoint.address;
    text += "\n";
  }
  for (const auto& image : world.engine.all_images()) {
    const auto label = image.labels.find(domain::labels::instance);
    const bool built = label != image.labels.end() && label->second == instance;
    if ((built || own_images.contains(image.id)) != of_agent) continue;
    text += "image " + image.id.substr(0, 15);
    for (const auto& tag : image.tags) text += " " + tag;
    text += "\n";
  }
  return text;
}

}  // namespace deploy::sim
