#include "tests/fakes/fake_engine.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "agent/base/text.hpp"

namespace deploy::tests {

bool carries(const ports::Labels& labels, const ports::Labels& wanted) {
  return std::all_of(wanted.begin(), wanted.end(), [&labels](const auto& label) {
    const auto found = labels.find(label.first);
    return found != labels.end() && found->second == label.second;
  });
}

bool runs(const ports::Container& container) { return container.state == "running" || container.state == "restarting"; }

FakeEngine::FakeEngine() {
  networks_["bridge"] = ports::NetworkSpec{"bridge", "172.17.0.0/16", "", false, {}};
  network_ids_["bridge"] = next_id();
}

void FakeEngine::fail(const std::string& kind, int nth, When when, std::exception_ptr error) {
  planned_.push_back({kind, nth, when, std::move(error)});
}

void FakeEngine::fail(const std::string& kind, int nth, When when, const Error& error) {
  fail(kind, nth, when, std::make_exception_ptr(error));
}

void FakeEngine::reach(const std::string& kind, const std::string& call, When when) {
  std::exception_ptr failure;
  for (auto& plan : planned_) {
    if (plan.kind == kind && plan.when == when && --plan.remaining == 0) failure = plan.error;
  }
  std::erase_if(planned_, [](const Planned& plan) { return plan.remaining <= 0; });
  if (on_call) on_call(call, when);
  if (failure) std::rethrow_exception(failure);
}

std::vector<std::string> FakeEngine::effects() const {
  static const std::vector<std::string> kinds{"create ",     "start ",        "stop ",           "signal ", "remove ",
                                              "exec ",       "connect ",      "create_network ", "build ",  "pull ",
                                              "disconnect ", "remove_image ", "rename "};
  std::vector<std::string> changing;
  for (const auto& call : calls) {
    if (std::any_of(kinds.begin(), kinds.end(), [&call](const auto& kind) { return call.starts_with(kind); })) {
      changing.push_back(call);
    }
  }
  return changing;
}

std::string FakeEngine::next_id() { return sha256_hex(std::to_string(next_number_++)); }

FakeEngine::Record* FakeEngine::find(const std::string& id_or_name) {
  for (auto& [id, record] : containers_) {
    if (id == id_or_name || record.container.name == id_or_name) return &record;
  }
  return nullptr;
}

FakeEngine::Record& FakeEngine::require(const std::string& what, const std::string& id_or_name) {
  auto* record = find(id_or_name);
  if (record == nullptr) throw Error(ErrorKind::not_found, what + ": No such container: " + id_or_name);
  return *record;
}

FakeEngine::Record& FakeEngine::at(const std::string& id_or_name) {
  auto* record = find(id_or_name);
  if (record == nullptr) throw std::logic_error("the fake engine has no container " + id_or_name);
  return *record;
}

std::string FakeEngine::name_of(const std::string& id_or_name) {
  const auto* record = find(id_or_name);
  return record == nullptr ? id_or_name : record->container.name;
}

std::vector<std::string> FakeEngine::names() const {
  std::vector<std::string> found;
  for (const auto& [id, record] : containers_) found.push_back(record.container.name);
  std::sort(found.begin(), found.end());
  return found;
}

void FakeEngine::exit(const std::string& id_or_name, int exit_code) {
  auto& record = at(id_or_name);
  const auto& restart = record.spec.settings.restart;
  record.container.exit_code = exit_code;
  record.container.pid = 0;
  if (restart.empty() || restart == "no") {
    record.container.state = "exited";
  } else {
    record.container.state = "restarting";
    ++record.container.restart_count;
  }
  happened("die", record);
  wake_followers();
}

void FakeEngine::add_log(const std::string& id_or_name, const std::string& line) {
  at(id_or_name).log.push_back(line);
  wake_followers();
}

void FakeEngine::set_health(const std::string& id_or_name, const std::string& health, const std::string& output) {
  at(id_or_name).container.health = health;
  at(id_or_name).container.health_output = output;
}

Task<ports::EngineVersion> FakeEngine::version() {
  Call call(*this, "version", "");
  call.done();
  co_return ports::EngineVersion{"20.10.24", "1.41", "1.12"};
}

Task<std::vector<ports::Container>> FakeEngine::list(ports::Labels labels) {
  Call call(*this, "list", "");
  std::vector<ports::Container> found;
  for (const auto& [id, record] : containers_) {
    if (!carries(record.container.labels, labels)) continue;
    auto container = record.container;
    // What the real list does not hold either.
    container.networks.clear();
    container.health_output.clear();
    container.exit_code = container.restart_count = 0;
    container.pid = 0;
    container.restart.clear();
    container.memory_bytes = 0;
    container.cpus = 0;
    found.push_back(std::move(container));
  }
  call.done();
  co_return found;
}

Task<std::optional<ports::Container>> FakeEngine::inspect(std::string id_or_name) {
  Call call(*this, "inspect", name_of(id_or_name));
  const auto* record = find(id_or_name);
  std::optional<ports::Container> found;
  if (record != nullptr) found = record->container;
  call.done();
  co_return found;
}

Task<std::string> FakeEngine::create(ports::ContainerSpec spec) {
  Call call(*this, "create", spec.name);
  const std::string what = "create container " + spec.name;
  if (find(spec.name) != nullptr) {
    throw Error(ErrorKind::conflict, what + ": Conflict. The container name \"/" + spec.name + "\" is already in use");
  }
  const auto* image = find_image(spec.image);
  if (image == nullptr) throw Error(ErrorKind::not_found, what + ": No such image: " + spec.image);
  Record record;
  record.spec = spec;
  auto& container = record.container;
  container.id = next_id();
  container.name = spec.name;
  container.image_id = image->id;
  container.labels = spec.settings.labels;
  for (const auto& [name, value] : spec.labels) container.labels[name] = value;
  container.state = "created";
  container.health = "none";
  auto endpoint = spec.network;
  if (endpoint.network.empty()) endpoint.network = "bridge";
  container.restart = spec.settings.restart;
  container.memory_bytes = spec.settings.memory_bytes;
  container.cpus = spec.settings.cpus;
  container.network_mode = endpoint.network;
  container.networks.push_back(endpoint);
  if (behave) record.behaviour = behave(spec);
  const std::string id = container.id;
  containers_[id] = std::move(record);
  call.done();
  co_return id;
}

Task<void> FakeEngine::start(std::string id) {
  Call call(*this, "start", name_of(id));
  const std::string what = "start container " + id;
  auto& record = require(what, id);
  auto& container = record.container;
  if (!runs(container)) {
    auto networks = container.networks;
    for (auto& endpoint : networks) {
      if (endpoint.address.empty()) record.automatic.insert(endpoint.network);
      if (record.automatic.contains(endpoint.network)) endpoint.address.clear();
      take_address(what, record, endpoint);
    }
    container.networks = std::move(networks);
    container.state = "running";
    container.exit_code = 0;
    container.pid = 1000 + next_number_++;
    container.health = record.behaviour.health;
    container.health_output = record.behaviour.health_output;
    record.log.insert(record.log.end(), record.behaviour.log.begin(), record.behaviour.log.end());
    happened("start", record);
    if (record.behaviour.exits) exit(id, record.behaviour.exit_code);
  }
  call.done();
  co_return;
}

Task<void> FakeEngine::stop(std::string id, std::chrono::seconds) {
  Call call(*this, "stop", name_of(id));
  auto& container = require("stop container " + id, id).container;
  if (runs(container)) {
    container.state = "exited";
    container.exit_code = 143;
    container.pid = 0;
    happened("die", *find(id));
    wake_followers();
  }
  call.done();
  co_return;
}

Task<void> FakeEngine::signal(std::string id, std::string signal) {
  Call call(*this, "signal", name_of(id) + " " + signal);
  auto& container = require("signal container " + id, id).container;
  if (!runs(container)) {
    throw Error(ErrorKind::conflict, "signal container " + id + ": Container " + container.id + " is not running");
  }
  call.done();
  co_return;
}

Task<void> FakeEngine::rename(std::string id, std::string name) {
  Call call(*this, "rename", name_of(id) + " " + name);
  auto& container = require("rename container " + id, id).container;
  const auto* holder = find(name);
  if (holder != nullptr && holder->container.id != container.id) {
    throw Error(ErrorKind::conflict, "rename container " + id + ": the name " + name + " is taken");
  }
  container.name = name;
  call.done();
  co_return;
}

Task<void> FakeEngine::remove(std::string id) {
  Call call(*this, "remove", name_of(id));
  if (const auto* record = find(id); record != nullptr) {
    happened("destroy", *record);
    containers_.erase(std::string(record->container.id));
  }
  wake_followers();
  call.done();
  co_return;
}

Task<std::vector<std::string>> FakeEngine::log_tail(std::string id, int lines) {
  Call call(*this, "log_tail", name_of(id));
  const auto& log = require("read the log of container " + id, id).log;
  const auto count = lines < 0 ? log.size() : std::min(log.size(), static_cast<std::size_t>(lines));
  std::vector<std::string> tail(log.end() - static_cast<std::ptrdiff_t>(count), log.end());
  call.done();
  co_return tail;
}

void FakeEngine::wake_followers() {
  for (auto* follower : followers_) follower->notify_all();
}

Task<void> FakeEngine::follow_logs(std::string id, ports::LogOptions options, ports::OnLog on_line) {
  Call call(*this, "follow_logs", name_of(id));
  const auto& log = require("read the log of container " + id, id).log;
  std::size_t next = options.tail < 0 ? 0 : log.size() - std::min(log.size(), static_cast<std::size_t>(options.tail));
  struct Membership {
    Membership(std::vector<Signal*>& all, Signal* own) : members(all), signal(own) { members.push_back(signal); }
    ~Membership() { std::erase(members, signal); }
    std::vector<Signal*>& members;
    Signal* signal;
  };
  Signal changed(co_await asio::this_coro::executor);
  const Membership membership(followers_, &changed);
  for (;;) {
    auto* record = find(id);
    if (record == nullptr) break;
    const bool loses = loses_last_lines && options.follow && !runs(record->container);
    while (next + (loses ? 1 : 0) < record->log.size()) {
      const std::string line = record->log[next++];
      on_line(line);
    }
    if (!options.follow || !runs(record->container)) break;
    co_await changed.wait();
  }
  call.done();
}

Task<ports::ExecResult> FakeEngine::exec(std::string id, ports::ExecRequest request) {
  Call call(*this, "exec", fmt::format("{} {}", name_of(id), fmt::join(request.argv, " ")));
  const std::string what = "run " + request.argv.at(0) + " in container " + id;
  const auto& record = require(what, id);
  if (!runs(record.container)) {
    throw Error(ErrorKind::conflict, what + ": Container " + record.container.id + " is not running");
  }
  ports::ExecResult result;
  if (on_exec) result = on_exec(record, request);
  if (request.on_output) request.on_output(std::exchange(result.output, ""));
  call.done();
  co_return result;
}

Task<std::vector<ports::ProcessEntry>> FakeEngine::processes(std::string id, std::int64_t) {
  Call call(*this, "processes", name_of(id));
  const auto& record = require("list the processes of container " + id, id);
  if (!runs(record.container)) {
    throw Error(ErrorKind::conflict,
                "list the processes of container " + id + ": Container " + record.container.id + " is not running");
  }
  std::string title = fmt::format("{}", fmt::join(record.spec.settings.command, " "));
  std::vector<ports::ProcessEntry> entries{{record.container.pid, 1, std::move(title)}};
  call.done();
  co_return entries;
}

Task<std::optional<int>> FakeEngine::established_connections(std::string id, std::uint16_t port) {
  Call call(*this, "established_connections", name_of(id));
  const auto& record = require("count the connections of container " + id, id);
  const auto found = record.connections.find(port);
  const int count = found == record.connections.end() || !runs(record.container) ? 0 : found->second;
  call.done();
  co_return count;
}

}  // namespace deploy::tests
