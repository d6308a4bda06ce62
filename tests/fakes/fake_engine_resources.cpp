// FakeEngine: networks and images.
#include <algorithm>
#include <boost/asio/ip/address_v4.hpp>
#include <boost/asio/ip/network_v4.hpp>
#include <utility>

#include "agent/base/text.hpp"
#include "tests/fakes/fake_engine.hpp"

namespace deploy::tests {

void FakeEngine::happened(const std::string& action, const Record& record) {
  const ports::EngineEvent event{action, record.container.id, record.container.name, record.container.labels};
  const auto listeners = listeners_;
  for (const auto* hear : listeners) (*hear)(event);
}

Task<void> FakeEngine::follow_events(ports::OnEvent on_event) {
  Call call(*this, "follow_events", "");
  struct Membership {
    Membership(std::vector<const ports::OnEvent*>& all, const ports::OnEvent* own) : members(all), hear(own) {
      members.push_back(hear);
    }
    ~Membership() { std::erase(members, hear); }
    std::vector<const ports::OnEvent*>& members;
    const ports::OnEvent* hear;
  };
  const Membership membership(listeners_, &on_event);
  Signal never(co_await asio::this_coro::executor);
  co_await never.wait();
  call.done();
}

Task<std::optional<ports::DiskSpace>> FakeEngine::disk_space() {
  Call call(*this, "disk_space", "");
  call.done();
  co_return free_space;
}

namespace {

ports::NetworkEndpoint* endpoint_in(ports::Container& container, const std::string& network) {
  const auto found = std::find_if(container.networks.begin(), container.networks.end(),
                                  [&network](const auto& endpoint) { return endpoint.network == network; });
  return found == container.networks.end() ? nullptr : &*found;
}

/// An empty tag means latest.
std::string with_tag(const std::string& reference) {
  if (reference.find('@') != std::string::npos || reference.starts_with("sha256:")) return reference;
  const auto slash = reference.rfind('/');
  const auto colon = reference.rfind(':');
  const bool tagged = colon != std::string::npos && (slash == std::string::npos || colon > slash);
  return tagged ? reference : reference + ":latest";
}

}  // namespace

ports::NetworkSpec& FakeEngine::require_network(const std::string& what, const std::string& name) {
  const auto found = networks_.find(name);
  if (found == networks_.end()) throw Error(ErrorKind::not_found, what + ": network " + name + " not found");
  return found->second;
}

bool FakeEngine::address_taken(const Record& record, const std::string& network, const std::string& address) const {
  return std::any_of(containers_.begin(), containers_.end(), [&](const auto& other) {
    const auto& container = other.second.container;
    return container.id != record.container.id && runs(container) &&
           std::any_of(container.networks.begin(), container.networks.end(), [&](const auto& endpoint) {
             return endpoint.network == network && endpoint.address == address;
           });
  });
}

void FakeEngine::take_address(const std::string& what, const Record& record, ports::NetworkEndpoint& endpoint) {
  const auto& network = require_network(what, endpoint.network);
  if (!endpoint.address.empty()) {
    if (network.subnet.empty()) {
      throw Error(ErrorKind::invalid,
                  what +
                      ": user specified IP address is supported only when connecting to networks with "
                      "user configured subnets");
    }
    if (address_taken(record, endpoint.network, endpoint.address)) {
      throw Error(ErrorKind::conflict, what + ": Address already in use");
    }
    return;
  }
  const auto& range = !network.ip_range.empty() ? network.ip_range
                      : network.subnet.empty()  ? "10.99.0.0/16"
                                                : network.subnet;
  const auto addresses = asio::ip::make_network_v4(range).hosts();
  // The first address is the gateway's.
  for (auto address = std::next(addresses.begin()); address != addresses.end(); ++address) {
    if (address_taken(record, endpoint.network, address->to_string())) continue;
    endpoint.address = address->to_string();
    return;
  }
  throw Error(ErrorKind::failed, what + ": no available IPv4 addresses on this network's address pools");
}

Task<std::vector<ports::Network>> FakeEngine::networks() {
  Call call(*this, "networks", "");
  std::vector<ports::Network> found;
  for (const auto& [name, spec] : networks_) {
    ports::Network network{network_ids_[name], name, spec.labels, {}, {}};
    if (!spec.subnet.empty()) network.subnets.push_back(spec.subnet);
    found.push_back(std::move(network));
  }
  call.done();
  co_return found;
}

Task<std::optional<ports::Network>> FakeEngine::inspect_network(std::string name) {
  Call call(*this, "inspect_network", name);
  std::optional<ports::Network> found;
  if (const auto spec = networks_.find(name); spec != networks_.end()) {
    found = ports::Network{network_ids_[name], name, spec->second.labels, {}, {}};
    if (!spec->second.subnet.empty()) found->subnets.push_back(spec->second.subnet);
    for (auto& [id, record] : containers_) {
      const auto* endpoint = endpoint_in(record.container, name);
      if (endpoint != nullptr && runs(record.container)) found->endpoints.push_back({id, endpoint->address, {}});
    }
  }
  call.done();
  co_return found;
}

Task<void> FakeEngine::create_network(ports::NetworkSpec spec) {
  Call call(*this, "create_network", spec.name);
  const std::string what = "create network " + spec.name;
  if (networks_.contains(spec.name)) {
    throw Error(ErrorKind::conflict, what + ": network with name " + spec.name + " already exists");
  }
  if (!spec.subnet.empty()) {
    const auto wanted = asio::ip::make_network_v4(spec.subnet).canonical();
    for (const auto& [name, other] : networks_) {
      if (other.subnet.empty()) continue;
      const auto taken = asio::ip::make_network_v4(other.subnet).canonical();
      if (wanted == taken || wanted.is_subnet_of(taken) || taken.is_subnet_of(wanted)) {
        throw Error(ErrorKind::conflict, what + ": Pool overlaps with other one on this address space");
      }
    }
  }
  network_ids_[spec.name] = next_id();
  networks_[spec.name] = std::move(spec);
  call.done();
  co_return;
}

Task<void> FakeEngine::connect(std::string container_id, ports::NetworkEndpoint endpoint) {
  Call call(*this, "connect", name_of(container_id) + " " + endpoint.network);
  const std::string what = "connect container " + container_id + " to network " + endpoint.network;
  require_network(what, endpoint.network);
  auto& record = require(what, container_id);
  if (endpoint_in(record.container, endpoint.network) != nullptr) {
    throw Error(ErrorKind::conflict, what + ": endpoint with name " + record.container.name +
                                         " already exists in network " + endpoint.network);
  }
  if (endpoint.address.empty()) record.automatic.insert(endpoint.network);
  if (runs(record.container)) take_address(what, record, endpoint);
  record.container.networks.push_back(std::move(endpoint));
  call.done();
  co_return;
}

Task<void> FakeEngine::disconnect(std::string container_id, std::string network) {
  Call call(*this, "disconnect", name_of(container_id) + " " + network);
  const std::string what = "disconnect container " + container_id + " from network " + network;
  require_network(what, network);
  auto& record = require(what, container_id);
  std::erase_if(record.container.networks, [&network](const auto& endpoint) { return endpoint.network == network; });
  call.done();
  co_return;
}

namespace {

/// repository@sha256:… of what a registry holds.
std::string pinned(const std::pair<const std::string, ports::Labels>& held) {
  auto content = held.first;
  for (const auto& [name, value] : held.second) content += "\n" + name + "=" + value;
  return held.first.substr(0, held.first.rfind(':')) + "@sha256:" + sha256_hex(content);
}

}  // namespace

ports::Image* FakeEngine::find_image(const std::string& reference) {
  const std::string wanted = with_tag(reference);
  const auto found = std::find_if(images_.begin(), images_.end(), [&wanted](const ports::Image& image) {
    return image.id == wanted || std::find(image.tags.begin(), image.tags.end(), wanted) != image.tags.end() ||
           std::find(image.digests.begin(), image.digests.end(), wanted) != image.digests.end();
  });
  return found == images_.end() ? nullptr : &*found;
}

std::string FakeEngine::add_image(const std::string& reference, ports::Labels labels, bool has_healthcheck) {
  const std::string tag = with_tag(reference);
  // A tag moves to the newest image that takes it.
  for (auto& image : images_) std::erase(image.tags, tag);
  ports::Image image;
  image.id = "sha256:" + next_id();
  image.tags = {tag};
  image.labels = std::move(labels);
  image.has_healthcheck = has_healthcheck;
  images_.push_back(image);
  return image.id;
}

Task<std::string> FakeEngine::build(ports::BuildRequest request, ports::OnLog on_log) {
  Call call(*this, "build", request.tag);
  BuildOutcome outcome;
  if (on_build) outcome = on_build(request);
  for (const auto& line : outcome.log) on_log(line);
  if (outcome.takes.count() > 0) co_await clock->sleep_for(outcome.takes);
  if (!outcome.error.empty()) throw Error(ErrorKind::failed, "build " + request.tag + ": " + outcome.error);
  const auto id = add_image(request.tag, request.labels);
  call.done();
  co_return id;
}

// By its digest or by its tag: a registry that holds one has the other.
const std::pair<const std::string, ports::Labels>* FakeEngine::held_by_registry(const std::string& wanted) const {
  const auto found = std::find_if(registry.begin(), registry.end(),
                                  [&](const auto& held) { return held.first == wanted || pinned(held) == wanted; });
  return found == registry.end() ? nullptr : &*found;
}

Task<ports::Image> FakeEngine::pull(std::string reference, ports::OnLog on_log) {
  const std::string wanted = with_tag(reference);
  Call call(*this, "pull", wanted);
  const auto* held = held_by_registry(wanted);
  if (held == nullptr) {
    throw Error(ErrorKind::not_found, "pull " + wanted + ": manifest for " + wanted + " not found: manifest unknown");
  }
  on_log("Pulling from " + wanted);
  if (const auto takes = pull_takes.find(wanted); takes != pull_takes.end()) co_await clock->sleep_for(takes->second);
  const bool by_digest = held->first != wanted;
  const auto* there = find_image(wanted);
  const bool has_moved = there != nullptr && !there->digests.empty() && there->digests.front() != pinned(*held);
  if (there == nullptr || has_moved) {
    add_image(wanted, held->second);
    images_.back().digests = {pinned(*held)};
    if (by_digest) images_.back().tags.clear();
  }
  const auto image = *find_image(wanted);
  call.done();
  co_return image;
}

Task<std::string> FakeEngine::remote_digest(std::string reference) {
  const std::string wanted = with_tag(reference);
  Call call(*this, "remote_digest", wanted);
  const auto* held = held_by_registry(wanted);
  if (held == nullptr) {
    throw Error(ErrorKind::not_found, "pull " + wanted + ": manifest for " + wanted + " not found: manifest unknown");
  }
  const auto image = pinned(*held);
  call.done();
  co_return image.substr(image.find('@') + 1);
}

Task<std::optional<ports::Image>> FakeEngine::inspect_image(std::string reference) {
  Call call(*this, "inspect_image", reference);
  std::optional<ports::Image> found;
  if (const auto* image = find_image(reference); image != nullptr) found = *image;
  call.done();
  co_return found;
}

Task<std::vector<ports::Image>> FakeEngine::images(ports::Labels labels) {
  Call call(*this, "images", "");
  std::vector<ports::Image> found;
  for (auto image : images_) {
    image.has_healthcheck = false;  // as in the real list
    if (carries(image.labels, labels)) found.push_back(std::move(image));
  }
  call.done();
  co_return found;
}

Task<bool> FakeEngine::remove_image(std::string reference) {
  Call call(*this, "remove_image", reference);
  auto* image = find_image(reference);
  bool removed = false;
  if (image != nullptr) {
    const bool used = std::any_of(containers_.begin(), containers_.end(),
                                  [image](const auto& entry) { return entry.second.container.image_id == image->id; });
    const bool by_id = image->id == reference;
    if (image->tags.size() > 1 && !by_id) {
      std::erase(image->tags, with_tag(reference));
      removed = true;
    } else if (!used && (image->tags.size() <= 1 || !by_id)) {
      std::erase_if(images_, [id = std::string(image->id)](const auto& entry) { return entry.id == id; });
      removed = true;
    }
  }
  call.done();
  co_return removed;
}

}  // namespace deploy::tests
