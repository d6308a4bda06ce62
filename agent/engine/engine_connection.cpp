#include "agent/engine/engine_connection.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <utility>

#include "agent/base/error.hpp"

namespace deploy::engine {

namespace {

/// "1.41" as {1, 41}.
std::pair<int, int> numbers_of(std::string_view version) {
  std::pair<int, int> numbers{0, 0};
  const auto dot = std::min(version.find('.'), version.size());
  const auto* end = version.data() + version.size();
  std::from_chars(version.data(), version.data() + dot, numbers.first);
  if (dot < version.size()) std::from_chars(version.data() + dot + 1, end, numbers.second);
  return numbers;
}

bool lower(std::string_view left, std::string_view right) { return numbers_of(left) < numbers_of(right); }

/// What the engine says with statuses of all kinds (403, 500, 200 with an error in the stream).
struct Phrase {
  std::string_view text;
  ErrorKind kind;
};
constexpr std::array kinds{
    Phrase{"no space left on device", ErrorKind::disk_full},
    Phrase{"Address already in use", ErrorKind::conflict},
    Phrase{"Pool overlaps with other one", ErrorKind::conflict},
    Phrase{"already exists in network", ErrorKind::conflict},
    Phrase{"port is already allocated", ErrorKind::conflict},
};

http::Connector tcp_connector_for(const std::string& endpoint, std::string_view address) {
  const auto colon = address.rfind(':');
  std::uint16_t port = 0;
  const auto digits = colon == std::string_view::npos ? std::string_view{} : address.substr(colon + 1);
  const auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (colon == 0 || digits.empty() || failure != std::errc() || end != digits.data() + digits.size() || port == 0) {
    throw Error(ErrorKind::invalid, "the engine's address " + endpoint + " has no port; write tcp://host:port");
  }
  return http::tcp_connector(std::string(address.substr(0, colon)), port);
}

}  // namespace

std::string negotiate(const std::string& minimum, const std::string& maximum) {
  if (lower(maximum, api_version_lowest)) {
    throw Error(ErrorKind::failed, "the Docker Engine speaks API " + maximum + " at most, and deployctl needs " +
                                       std::string(api_version_lowest) + "; update to Docker Engine 20.10 or later");
  }
  if (lower(api_version_preferred, minimum)) return minimum;
  return lower(maximum, api_version_preferred) ? maximum : std::string(api_version_preferred);
}

http::Connector connector_for(const std::string& endpoint) {
  constexpr std::string_view unix_scheme = "unix://";
  constexpr std::string_view tcp_scheme = "tcp://";
  const std::string_view text = endpoint;
  if (text.starts_with(unix_scheme) && text.substr(unix_scheme.size()).starts_with('/')) {
    return http::unix_connector(std::string(text.substr(unix_scheme.size())));
  }
  if (text.starts_with(tcp_scheme)) return tcp_connector_for(endpoint, text.substr(tcp_scheme.size()));
  throw Error(ErrorKind::invalid, "the engine's address \"" + endpoint +
                                      "\" is neither unix:///path nor tcp://host:port; correct `engine` in agent.yaml");
}

ErrorKind kind_of_answer(int status, std::string_view message) {
  for (const auto& phrase : kinds) {
    if (message.find(phrase.text) != std::string_view::npos) return phrase.kind;
  }
  switch (status) {
    case 400:
      return ErrorKind::invalid;
    case 404:
      return ErrorKind::not_found;
    case 409:
      return ErrorKind::conflict;
    default:
      return ErrorKind::failed;
  }
}

Task<ports::EngineVersion> EngineConnection::version() {
  if (version_) co_return *version_;
  EngineCall call;
  call.what = "ask for the engine's version";
  call.path = "/version";
  http::Request request;
  request.target = call.path;
  http::Response answer;
  try {
    answer = co_await client_.send(std::move(request), call.deadline);
  } catch (const Error& error) {
    rethrow(call, error);
  }
  if (answer.status != 200) {
    throw Error(ErrorKind::failed, "what answers at " + endpoint_ + " is no Docker Engine: " +
                                       message_from(answer.body) + "; correct `engine` in agent.yaml");
  }
  const auto value = Json::parse(answer.body, nullptr, false);
  if (!value.is_object() || !value.contains("ApiVersion")) {
    throw Error(ErrorKind::failed, "what answers at " + endpoint_ +
                                       " is no Docker Engine: its version is no JSON; correct `engine` in agent.yaml");
  }
  ports::EngineVersion found;
  found.engine = value.value("Version", "");
  found.api_minimum = value.value("MinAPIVersion", "1.12");
  found.api = negotiate(found.api_minimum, value.at("ApiVersion").get<std::string>());
  version_ = found;
  co_return found;
}

Task<http::Request> EngineConnection::request_for(EngineCall call) {
  const auto engine = co_await version();
  http::Request request;
  request.method = call.method;
  request.target = "/v" + engine.api + call.path;
  if (call.body) {
    request.headers["Content-Type"] = "application/json";
    request.body = call.body->dump(-1, ' ', false, Json::error_handler_t::replace);
  }
  if (!call.registry_auth.empty()) request.headers["X-Registry-Auth"] = call.registry_auth;
  co_return request;
}

void EngineConnection::rethrow(const EngineCall& call, const Error& error) {
  if (error.kind() == ErrorKind::unreachable) {
    version_.reset();
    throw Error(ErrorKind::unreachable, "the Docker Engine at " + endpoint_ + " does not answer: " + error.message() +
                                            "; is it running, and may this user open the socket?");
  }
  // An engine that is starting takes connections long before it answers, and nobody is helped by giving up on it sooner
  // than on one that is not there.
  if (error.kind() == ErrorKind::timed_out) {
    throw Error(ErrorKind::unreachable,
                "the Docker Engine at " + endpoint_ + " does not answer: " + call.what + ": " + error.message());
  }
  throw error.with_context(call.what);
}

namespace {

void require_success(const EngineCall& call, const http::Response& answer) {
  if (answer.status < 400) return;
  const std::string message = message_from(answer.body);
  if (call.error_from) throw call.error_from(answer.status, message);
  throw Error(kind_of_answer(answer.status, message),
              call.what + ": " + (message.empty() ? "the engine answered " + std::to_string(answer.status) : message));
}

}  // namespace

Task<http::Response> EngineConnection::call(EngineCall call) {
  auto request = co_await request_for(call);
  http::Response answer;
  try {
    answer = co_await client_.send(std::move(request), call.deadline, call.answer_bytes_max);
  } catch (const Error& error) {
    rethrow(call, error);
  }
  require_success(call, answer);
  co_return answer;
}

Task<Json> EngineConnection::ask(EngineCall call) {
  const std::string what = call.what;
  const auto answer = co_await this->call(std::move(call));
  auto value = Json::parse(answer.body, nullptr, false);
  if (value.is_discarded()) throw Error(ErrorKind::failed, what + ": the engine's answer is no JSON");
  co_return value;
}

Task<std::optional<Json>> EngineConnection::find(EngineCall call) {
  try {
    co_return co_await ask(std::move(call));
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::not_found) throw;
  }
  co_return std::nullopt;
}

Task<void> EngineConnection::stream(EngineCall call, std::shared_ptr<http::BodySource> upload, http::OnPart on_part) {
  auto request = co_await request_for(call);
  if (upload) {
    request.headers["Content-Type"] = "application/x-tar";
    request.body_source = std::move(upload);
  }
  // What a callback or the upload throws is theirs and keeps its words.
  std::exception_ptr foreign;
  http::OnPart guarded = [&foreign, &on_part](std::string_view part) {
    try {
      on_part(part);
    } catch (...) {
      foreign = std::current_exception();
      throw;
    }
  };
  http::Response answer;
  try {
    answer = co_await client_.stream(std::move(request), guarded, call.deadline);
  } catch (const Error& error) {
    if (foreign) std::rethrow_exception(foreign);
    rethrow(call, error);
  }
  require_success(call, answer);
}

const std::string& checked_name(const std::string& name) {
  const bool valid = !name.empty() && std::isalnum(static_cast<unsigned char>(name.front())) != 0 &&
                     std::all_of(name.begin(), name.end(), [](char c) {
                       return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.' || c == '-';
                     });
  if (!valid) {
    throw Error(ErrorKind::invalid,
                "\"" + name + "\" is no name of a container or network; use letters, digits, '_', '.' and '-'");
  }
  return name;
}

}  // namespace deploy::engine
