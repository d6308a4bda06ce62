#include "agent/rollout/take_up.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "agent/base/atomic_file.hpp"
#include "agent/base/error.hpp"
#include "agent/domain/labels.hpp"

namespace deploy::rollout {

namespace {

/// In the place of a hash: the configuration that such a container was made with is not deployctl's.
constexpr auto before_us = "before";
constexpr auto commit_label = "org.opencontainers.image.revision";
constexpr std::size_t commit_length = 40;
constexpr std::size_t list_bytes_max = 1 << 20;

/// Empty: it is not on that network.
std::string address_on(const ports::Container& container, const std::string& network) {
  const auto endpoint = std::find_if(container.networks.begin(), container.networks.end(),
                                     [&](const auto& candidate) { return candidate.network == network; });
  return endpoint == container.networks.end() ? "" : endpoint->address;
}

}  // namespace

std::vector<TakeUp::Entry> TakeUp::entries() const {
  std::error_code failure;
  if (!std::filesystem::exists(list_, failure)) return {};
  const auto list = nlohmann::json::parse(read_file(list_, list_bytes_max), nullptr, false);
  std::vector<Entry> all;
  bool valid = list.is_array();
  for (const auto& entry : valid ? list : nlohmann::json::array()) {
    const auto text = [&entry](const char* key) {
      const auto value = entry.is_object() && entry.contains(key) ? entry.at(key) : nlohmann::json();
      return value.is_string() ? value.get<std::string>() : std::string();
    };
    all.push_back({text("service"), text("container")});
    valid = valid && !all.back().service.empty() && !all.back().container.empty();
  }
  if (valid) return all;
  throw Error(ErrorKind::invalid,
              list_.string() +
                  " is not what `deployctl init` writes, a list of {\"service\", \"container\"}; remove "
                  "it where every service has had a rollout, else run `deployctl init --write` again");
}

Task<void> TakeUp::run() {
  const auto all = entries();
  for (const auto& before : all) {
    const auto service = std::find_if(services_.begin(), services_.end(),
                                      [&](const domain::Service& other) { return other.name == before.service; });
    if (service == services_.end() || !journal_.rollouts.history(before.service, 1).empty()) continue;
    const auto container = co_await engine_.inspect(before.container);
    if (!container || container->id != before.container || container->state != "running") {
      say_(before.service + ": the container " + before.container.substr(0, 12) +
           ", which was to be taken up, does not run any more, so the service has no live version");
      continue;
    }
    co_await take(*service, *container);
  }
  co_await join_all();
}

Task<void> TakeUp::take(domain::Service service, ports::Container container) {
  const auto address = co_await first_address(container);
  auto revision = co_await revision_of(service, container);
  journal_.transaction([&] {
    domain::Rollout rollout;
    rollout.release = journal_.rollouts.add_release(journal_.now());
    rollout.service = service.name;
    rollout.cause = taken_up_cause;
    rollout.phase = domain::Phase::succeeded;
    rollout.created = journal_.now();
    rollout.started = rollout.created;
    rollout.finished = rollout.created;
    rollout.commit = revision.commit;
    rollout.config = revision.config;
    rollout.id = journal_.rollouts.add(rollout);
    rollout.revision = journal_.revisions.add(revision);
    journal_.rollouts.update(rollout);
    domain::Target target;
    target.service = service.name;
    target.rollout = rollout.id;
    target.revision = rollout.revision;
    target.slot = 1;
    target.container_name = container.name;
    target.container_id = container.id;
    target.address = address;
    target.state = domain::TargetState::live;
    target.port = service.proxy.port;
    const std::vector<domain::TargetId> live{journal_.targets.add(target)};
    if (target.port != 0) journal_.targets.set_routed(service.name, live);
    journal_.tell(rollout, "rollout.ended", "succeeded: taken up");
  });
  say_(service.name + ": took up the container " + container.name + " as " + revision.name);
}

/// Its calls to the others go through Nginx from the moment when it joins, so Nginx has to be ready for them, and so it
/// has to route already; until then it reaches the container where it does today. Where the two have no network in
/// common, or the container's calls do not change, it joins at once.
Task<std::string> TakeUp::first_address(ports::Container container) {
  const auto address = address_on(container, networks_.shared);
  const bool joined = !address_on(container, networks_.routing).empty();
  if (networks_.links.empty() || address.empty() || joined) co_return co_await join(container);
  const auto nginx = co_await engine_.inspect(networks_.nginx);
  if (!nginx || address_on(*nginx, networks_.shared).empty()) co_return co_await join(container);
  co_return address;
}

/// Live targets that were taken up and have not joined yet, with the address that they have now.
Task<std::vector<domain::Target>> TakeUp::not_joined() {
  std::vector<domain::Target> found;
  if (networks_.links.empty()) co_return found;
  for (auto target : journal_.targets.present()) {
    const bool taken_up =
        target.state == domain::TargetState::live && journal_.rollouts.get(target.rollout).cause == taken_up_cause;
    if (!taken_up) continue;
    const auto container = co_await engine_.inspect(target.container_id);
    if (!container || address_on(*container, networks_.routing) == target.address) continue;
    const auto now = address_on(*container, networks_.shared);
    if (!now.empty()) target.address = now;
    found.push_back(target);
  }
  co_return found;
}

Task<void> TakeUp::join_all() {
  auto targets = co_await not_joined();
  if (targets.empty()) co_return;
  const auto record = [&] {
    journal_.transaction([&] {
      for (const auto& target : targets) journal_.targets.set_address(target.id, target.address);
    });
  };
  record();  // the engine gives another address where it starts a container again
  co_await traffic_.restore(true);
  for (auto& target : targets) {
    const auto container = co_await engine_.inspect(target.container_id);
    if (container) target.address = co_await join(*container);
  }
  record();
  co_await traffic_.restore(false);
}

/// Returns its address there; the one that it has already, where an agent was killed right after this.
Task<std::string> TakeUp::join(ports::Container container) {
  std::set<std::string> taken;
  for (const auto& target : journal_.targets.present()) taken.insert(target.address);
  const auto present = address_on(container, networks_.routing);
  if (!present.empty() && !taken.contains(present)) co_return present;
  const ports::NetworkEndpoint endpoint{networks_.routing, next_address_(taken), {}, networks_.links};
  std::exception_ptr failure;
  try {
    co_await engine_.connect(container.id, endpoint);
  } catch (const Error&) {
    failure = std::current_exception();
  }
  if (failure) {
    if (kind_of(failure) == ErrorKind::cancelled || kind_of(failure) == ErrorKind::unreachable)
      std::rethrow_exception(failure);
    throw Error(kind_of(failure), "the container " + container.name + " cannot be taken up: " + message_of(failure));
  }
  co_return endpoint.address;
}

Task<domain::Revision> TakeUp::revision_of(domain::Service service, ports::Container container) {
  domain::Revision revision;
  revision.service = service.name;
  revision.image = container.image_id;
  revision.promoted = journal_.now();
  try {
    service = co_await complete_(service);
  } catch (const Error& error) {
    say_(service.name + ": what runs cannot be rolled back to: " + error.message());
    revision.pruned = true;
  }
  revision.config = domain::to_json_value(service).dump();
  const auto image = co_await engine_.inspect_image(container.image_id);
  if (image) {
    if (!image->digests.empty()) {
      revision.image = image->digests.front();  // by which it can be pulled again
      revision.image_asked = revision.image;
    }
    const auto commit = domain::labels::text(image->labels, commit_label);
    const bool whole =
        commit.size() == commit_length && commit.find_first_not_of("0123456789abcdef") == std::string::npos;
    if (whole) revision.commit = commit;
  }
  const auto& origin = revision.commit.empty() ? container.image_id : revision.commit;
  revision.name = revision_name(service.name, origin, before_us, {});
  co_return revision;
}

}  // namespace deploy::rollout
