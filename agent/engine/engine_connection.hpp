// Calls to one Docker Engine: the version in the path, the engine's errors as ours, what to say when it does not
// answer. One thread. Source: Docker Engine API v1.41, "Versioning" and "Errors".
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "agent/base/error.hpp"
#include "agent/engine/docker_json.hpp"
#include "agent/http/client.hpp"
#include "agent/ports/container_engine.hpp"

namespace deploy::engine {

/// The API versions that this client is written for. Newer engines speak older versions, too; where an engine's minimum
/// is above ours, its minimum is used.
inline constexpr std::string_view api_version_lowest = "1.41";
inline constexpr std::string_view api_version_preferred = "1.44";

/// The version to use with an engine that speaks `minimum` to `maximum`. Throws Error(failed) for an engine that is too
/// old.
std::string negotiate(const std::string& minimum, const std::string& maximum);

/// For "unix:///run/docker.sock" and "tcp://host:port". Throws Error(invalid).
http::Connector connector_for(const std::string& endpoint);

/// The kind of error that an answer with this status and message stands for.
ErrorKind kind_of_answer(int status, std::string_view message);

struct EngineCall {
  std::string what;  // for messages: "start container backend-1"
  std::string method = "GET";
  std::string path;  // after the version, values encoded: "/containers/json?all=1"
  std::optional<Json> body;
  std::string registry_auth;  // of X-Registry-Auth: a secret; empty: not sent
  std::chrono::milliseconds deadline{30'000};
  std::size_t answer_bytes_max = std::size_t{32} << 20;
  /// Makes the error of an answer of 4xx or 5xx; kind_of_answer and `what` where it is empty.
  std::function<Error(int status, const std::string& message)> error_from;
};

class EngineConnection {
 public:
  explicit EngineConnection(std::string endpoint) : endpoint_(std::move(endpoint)), client_(connector_for(endpoint_)) {}

  const std::string& endpoint() const noexcept { return endpoint_; }

  /// Asked once, and again after the engine was not reached: it may come back as another version.
  Task<ports::EngineVersion> version();

  /// Returns an answer of 2xx or 3xx. Throws Error "<what>: <the engine's message>" for any other.
  Task<http::Response> call(EngineCall call);
  /// As call, for the body's JSON.
  Task<Json> ask(EngineCall call);
  /// As ask; nullopt where the engine knows no such thing.
  Task<std::optional<Json>> find(EngineCall call);
  /// Hands the body to `on_part` as it comes, without a deadline once the header is there. `upload` may be empty.
  Task<void> stream(EngineCall call, std::shared_ptr<http::BodySource> upload, http::OnPart on_part);

 private:
  Task<http::Request> request_for(EngineCall call);
  [[noreturn]] void rethrow(const EngineCall& call, const Error& error);

  std::string endpoint_;
  http::Client client_;
  std::optional<ports::EngineVersion> version_;
};

/// Returns the id or name, or throws Error(invalid) where it could mean something else inside a URL.
const std::string& checked_name(const std::string& name);

}  // namespace deploy::engine
