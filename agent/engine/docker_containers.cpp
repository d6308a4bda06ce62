// DockerClient: containers and their processes. Source: Docker Engine API v1.41, "Containers".
#include <algorithm>
#include <cctype>
#include <utility>

#include "agent/base/error.hpp"
#include "agent/engine/container_proc.hpp"
#include "agent/engine/docker_client.hpp"

namespace deploy::engine {

using namespace std::chrono_literals;

namespace {

constexpr auto removal_deadline = 60s;
constexpr auto removal_poll = 100ms;

std::string container_path(const std::string& id, std::string_view rest) {
  return "/containers/" + http::url_encode(checked_name(id)) + std::string(rest);
}

bool valid_signal(const std::string& signal) {
  return !signal.empty() && std::all_of(signal.begin(), signal.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '+' || c == '-';
  });
}

}  // namespace

Task<std::vector<ports::Container>> DockerClient::list(ports::Labels labels) {
  EngineCall call;
  call.what = "list containers";
  call.path = "/containers/json?all=1&filters=" + http::url_encode(label_filter(labels).dump());
  const auto value = co_await engine_.ask(std::move(call));
  std::vector<ports::Container> containers;
  for (const auto& entry : value) containers.push_back(container_from_list(entry));
  co_return containers;
}

Task<Json> DockerClient::container_json(std::string id) {
  EngineCall call;
  call.what = "inspect container " + id;
  call.path = container_path(id, "/json");
  auto value = co_await engine_.find(std::move(call));
  co_return value ? std::move(*value) : Json();
}

Task<std::optional<ports::Container>> DockerClient::inspect(std::string id_or_name) {
  const auto value = co_await container_json(id_or_name);
  if (value.is_null()) co_return std::nullopt;
  co_return container_from_inspect(value);
}

Task<ports::Container> DockerClient::require(std::string what, std::string id) {
  auto container = co_await inspect(id);
  if (!container) throw Error(ErrorKind::not_found, what + ": No such container: " + id);
  co_return std::move(*container);
}

Task<std::string> DockerClient::create(ports::ContainerSpec spec) {
  EngineCall call;
  call.what = "create container " + spec.name;
  call.method = "POST";
  call.path = "/containers/create?name=" + http::url_encode(checked_name(spec.name));
  call.body = create_body(spec);
  call.deadline = 120s;
  const auto value = co_await engine_.ask(std::move(call));
  co_return value.at("Id").get<std::string>();
}

Task<void> DockerClient::start(std::string id) {
  EngineCall call;
  call.what = "start container " + id;
  call.method = "POST";
  call.path = container_path(id, "/start");
  call.deadline = 120s;
  co_await engine_.call(std::move(call));
}

Task<void> DockerClient::stop(std::string id, std::chrono::seconds grace) {
  EngineCall call;
  call.what = "stop container " + id;
  call.method = "POST";
  call.path = container_path(id, "/stop?t=" + std::to_string(grace.count()));
  call.deadline = grace + 5s;
  co_await engine_.call(std::move(call));
}

Task<std::string> DockerClient::stop_signal(std::string id) {
  EngineCall call;
  call.what = "signal container " + id;
  call.path = container_path(id, "/json");
  const auto value = co_await engine_.ask(std::move(call));
  std::string signal = value.at("Config").value("StopSignal", "");
  co_return signal.empty() ? "SIGTERM" : signal;
}

Task<void> DockerClient::signal(std::string id, std::string signal) {
  if (signal.empty()) signal = co_await stop_signal(id);
  if (!valid_signal(signal))
    throw Error(ErrorKind::invalid, "signal container " + id + ": no signal is called " + signal);
  EngineCall call;
  call.what = "signal container " + id;
  call.method = "POST";
  call.path = container_path(id, "/kill?signal=" + http::url_encode(signal));
  co_await engine_.call(std::move(call));
}

Task<void> DockerClient::rename(std::string id, std::string name) {
  EngineCall call;
  call.what = "rename container " + id;
  call.method = "POST";
  call.path = container_path(id, "/rename?name=" + http::url_encode(name));
  co_await engine_.call(std::move(call));
}

Task<void> DockerClient::remove(std::string id) {
  EngineCall call;
  call.what = "remove container " + id;
  call.method = "DELETE";
  call.path = container_path(id, "?force=1&v=1");
  call.deadline = removal_deadline;
  try {
    co_await engine_.call(std::move(call));
    co_return;
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::not_found) co_return;
    // Somebody else removes it already: what remains is to wait.
    if (error.message().find("is already in progress") == std::string::npos) throw;
  }
  auto removed = wait_removed(id);
  co_await with_deadline(std::move(removed), removal_deadline, "the removal of container " + id);
}

Task<void> DockerClient::wait_removed(std::string id) {
  for (;;) {
    const auto container = co_await inspect(id);
    if (!container) co_return;
    co_await sleep_real(removal_poll);
  }
}

Task<std::vector<ports::ProcessEntry>> DockerClient::processes(std::string id, std::int64_t pid) {
  const std::string what = "list the processes of container " + id;
  if (pid != 0) {
    auto found = processes_below(proc_root_, pid, id);
    if (found) co_return *found;
  }
  const auto container = co_await require(what, id);
  if (container.pid != 0) {
    auto found = processes_below(proc_root_, container.pid, container.id);
    if (found) co_return *found;
  }
  EngineCall call;
  call.what = what;
  call.path = container_path(id, "/top?ps_args=" + http::url_encode("-eo pid,ppid,args"));
  const auto value = co_await engine_.ask(std::move(call));
  co_return processes_from(value);
}

Task<std::optional<int>> DockerClient::established_connections(std::string id, std::uint16_t port) {
  const std::string what = "count the connections of container " + id;
  auto container = co_await require(what, id);
  if (container.pid == 0) co_return 0;
  const auto count = deploy::engine::established_connections(proc_root_, container.pid, container.id, port);
  if (count) co_return count;
  // It may have ended in between; then nothing is connected.
  container = co_await require(what, id);
  if (container.pid == 0) co_return 0;
  co_return std::nullopt;
}

}  // namespace deploy::engine
