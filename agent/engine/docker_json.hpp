// The Engine API's JSON and our structures, in both directions. Pure. Source: Docker Engine API v1.41 reference.
// Readers throw nlohmann::json::exception where a field that we need is absent or of another type; absent and null are
// the same for everything optional, because Go's encoder writes either.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "agent/ports/container_engine.hpp"

namespace deploy::engine {

using Json = nlohmann::json;

/// One element of GET /containers/json.
ports::Container container_from_list(const Json& value);
/// GET /containers/{id}/json.
ports::Container container_from_inspect(const Json& value);
/// An element of GET /networks, or GET /networks/{id}.
ports::Network network_from(const Json& value);
/// An element of GET /images/json; has_healthcheck is not in it.
ports::Image image_from_list(const Json& value);
/// GET /images/{name}/json.
ports::Image image_from_inspect(const Json& value);
/// GET /containers/{id}/top, called with the columns pid, ppid and args.
std::vector<ports::ProcessEntry> processes_from(const Json& value);

/// The body of POST /containers/create.
Json create_body(const ports::ContainerSpec& spec);
/// The body of POST /containers/{id}/exec.
Json exec_body(const ports::ExecRequest& request);
/// The body of POST /networks/create.
Json network_body(const ports::NetworkSpec& spec);
/// An EndpointConfig: of POST /networks/{id}/connect, and in NetworkingConfig.
Json endpoint_body(const ports::NetworkEndpoint& endpoint);
/// The value of a `filters` parameter that asks for all these labels.
Json label_filter(const ports::Labels& labels);

/// The engine's own words: "message" of an error body, or the body as it is where it is no such JSON.
std::string message_from(std::string_view body);

}  // namespace deploy::engine
