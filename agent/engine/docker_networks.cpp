// DockerClient: networks. Source: Docker Engine API v1.41, "Networks".
#include <utility>

#include "agent/base/error.hpp"
#include "agent/engine/docker_client.hpp"

namespace deploy::engine {

namespace {

std::string network_path(const std::string& name, std::string_view rest) {
  return "/networks/" + http::url_encode(checked_name(name)) + std::string(rest);
}

}  // namespace

Task<std::vector<ports::Network>> DockerClient::networks() {
  EngineCall call;
  call.what = "list networks";
  call.path = "/networks";
  const auto value = co_await engine_.ask(std::move(call));
  std::vector<ports::Network> networks;
  for (const auto& entry : value) networks.push_back(network_from(entry));
  co_return networks;
}

Task<std::optional<ports::Network>> DockerClient::inspect_network(std::string name) {
  EngineCall call;
  call.what = "inspect network " + name;
  call.path = network_path(name, "");
  const auto value = co_await engine_.find(std::move(call));
  if (!value) co_return std::nullopt;
  auto network = network_from(*value);
  // The engine also finds it by the beginning of an id.
  if (network.name != name && network.id != name) co_return std::nullopt;
  co_return network;
}

Task<void> DockerClient::create_network(ports::NetworkSpec spec) {
  EngineCall call;
  call.what = "create network " + checked_name(spec.name);
  call.method = "POST";
  call.path = "/networks/create";
  call.body = network_body(spec);
  co_await engine_.call(std::move(call));
}

Task<void> DockerClient::connect(std::string container_id, ports::NetworkEndpoint endpoint) {
  EngineCall call;
  call.what = "connect container " + container_id + " to network " + endpoint.network;
  call.method = "POST";
  call.path = network_path(endpoint.network, "/connect");
  call.body = Json{{"Container", checked_name(container_id)}, {"EndpointConfig", endpoint_body(endpoint)}};
  co_await engine_.call(std::move(call));
}

Task<void> DockerClient::disconnect(std::string container_id, std::string network) {
  EngineCall call;
  call.what = "disconnect container " + container_id + " from network " + network;
  call.method = "POST";
  call.path = network_path(network, "/disconnect");
  call.body = Json{{"Container", checked_name(container_id)}, {"Force", false}};
  try {
    co_await engine_.call(std::move(call));
  } catch (const Error& error) {
    if (error.message().find("is not connected to") == std::string::npos) throw;
  }
}

}  // namespace deploy::engine
