#include "agent/health/probes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "agent/base/error.hpp"
#include "agent/http/client.hpp"

namespace deploy::health {

namespace {

using std::chrono::milliseconds;

constexpr std::size_t body_bytes_max = 64 * 1024;

/// A GET, or with a body a POST.
Task<http::Response> ask(ports::Endpoint endpoint, std::string path, std::string json, milliseconds timeout) {
  http::Client client(http::tcp_connector(endpoint.address, endpoint.port));
  http::Request request;
  request.target = std::move(path);
  request.headers["Host"] = endpoint.address;
  request.headers["User-Agent"] = "deployctl-health";
  if (!json.empty()) {
    request.method = "POST";
    request.headers["Content-Type"] = "application/json";
    request.body = std::move(json);
  }
  auto body = std::make_shared<std::string>();
  http::OnPart keep = [body](std::string_view part) {
    body->append(part.substr(0, body_bytes_max - std::min(body_bytes_max, body->size())));
  };
  auto call = client.stream(std::move(request), std::move(keep), timeout);
  auto response = co_await with_deadline(std::move(call), timeout, "the answer");
  if (response.body.empty()) response.body = std::move(*body);
  co_return response;
}

bool refused(const Error& error) { return error.message().find("Connection refused") != std::string::npos; }

/// `what` was asked of the port and came to this.
Answer failure(const std::string& what, std::uint16_t port, milliseconds timeout, const Error& error) {
  Answer answer;
  if (error.kind() == ErrorKind::timed_out) {
    answer.cut_short = true;
    answer.text = fmt::format("{} was not answered within {}", what, seconds_text(timeout));
  } else if (refused(error)) {
    answer.text = fmt::format(
        "{}: connection refused: nothing listens on port {} of the container's network address; does the "
        "app use another port, or 127.0.0.1 in place of 0.0.0.0?",
        what, port);
  } else {
    answer.text = fmt::format("{} failed: {}", what, error.message());
  }
  return answer;
}

/// Good where it is 2xx.
Answer judge_success(const std::string& what, const http::Response& response) {
  Answer answer;
  answer.good = response.status / 100 == 2;
  answer.text = fmt::format("{} answered {}", what, response.status);
  if (!answer.good && !response.body.empty()) answer.text += ": " + excerpt(response.body);
  return answer;
}

}  // namespace

Task<Answer> probe_http(ports::Endpoint endpoint, domain::HealthCheck check, milliseconds timeout) {
  try {
    const auto response = co_await ask(endpoint, check.http, "", timeout);
    co_return judge_response(check, endpoint.port, response);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::cancelled) throw;
    co_return failure(fmt::format("GET {} on port {}", check.http, endpoint.port), endpoint.port, timeout, error);
  }
}

Task<Answer> probe_warm_up(ports::Endpoint endpoint, domain::HealthCheck check, milliseconds timeout) {
  const auto* method = check.warm_up_body.empty() ? "GET" : "POST";
  const auto what = fmt::format("the warm-up {} {} on port {}", method, check.warm_up_http, endpoint.port);
  try {
    const auto response = co_await ask(endpoint, check.warm_up_http, check.warm_up_body, timeout);
    co_return judge_success(what, response);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::cancelled) throw;
    co_return failure(what, endpoint.port, timeout, error);
  }
}

Task<Answer> probe_path(ports::Endpoint endpoint, std::string path, milliseconds timeout) {
  const auto what = fmt::format("GET {} on {}:{}", path, endpoint.address, endpoint.port);
  try {
    const auto response = co_await ask(endpoint, path, "", timeout);
    co_return judge_success(what, response);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::cancelled) throw;
    auto answer = failure(what, endpoint.port, timeout, error);
    if (refused(error)) answer.text = what + ": connection refused: nothing listens there";
    co_return answer;
  }
}

Task<Answer> probe_tcp(ports::Endpoint endpoint, milliseconds timeout) {
  const auto what = fmt::format("a connection to port {}", endpoint.port);
  try {
    const auto connector = http::tcp_connector(endpoint.address, endpoint.port);  // outlives what it opens
    auto open = connector.open();
    co_await with_deadline(std::move(open), timeout, "the connection");
    Answer answer{true, what + " was accepted"};
    co_return answer;
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::cancelled) throw;
    co_return failure(what, endpoint.port, timeout, error);
  }
}

Task<Answer> probe_exec(ports::ContainerEngine& engine, std::string container_id, std::vector<std::string> argv,
                        milliseconds timeout) {
  const auto name = argv.front();
  try {
    ports::ExecRequest request{std::move(argv), timeout};
    const auto result = co_await engine.exec(std::move(container_id), std::move(request));
    Answer answer{result.exit_code == 0, fmt::format("{} exited with {}", name, result.exit_code)};
    if (!answer.good && !result.output.empty()) answer.text += ": " + excerpt(result.output);
    co_return answer;
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::cancelled || error.kind() == ErrorKind::unreachable) throw;
    Answer answer;
    answer.cut_short = error.kind() == ErrorKind::timed_out;
    answer.text = answer.cut_short ? fmt::format("{} did not end within {}", name, seconds_text(timeout))
                                   : fmt::format("{} could not be run: {}", name, error.message());
    co_return answer;
  }
}

Answer judge_healthcheck(const ports::Container& container) {
  Answer answer{container.health == "healthy", "the image's HEALTHCHECK says " + container.health};
  if (!answer.good && !container.health_output.empty()) answer.text += ": " + excerpt(container.health_output);
  return answer;
}

}  // namespace deploy::health
