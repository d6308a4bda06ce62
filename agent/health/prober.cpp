#include "agent/health/prober.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "agent/base/error.hpp"
#include "agent/base/text.hpp"
#include "agent/http/client.hpp"

namespace deploy::health {

namespace {

using std::chrono::milliseconds;

constexpr std::size_t body_bytes_max = 64 * 1024;
constexpr int exit_code_killed = 137;

/// One GET; what is beyond 64 KiB of the body is read and dropped.
Task<http::Response> get(ports::Endpoint endpoint, std::string path, milliseconds timeout) {
  http::Client client(http::tcp_connector(endpoint.address, endpoint.port));
  http::Request request;
  request.target = std::move(path);
  request.headers["Host"] = endpoint.address;
  request.headers["User-Agent"] = "deployctl-health";
  auto body = std::make_shared<std::string>();
  http::OnPart keep = [body](std::string_view part) {
    body->append(part.substr(0, body_bytes_max - std::min(body_bytes_max, body->size())));
  };
  auto call = client.stream(std::move(request), std::move(keep), timeout);
  auto response = co_await with_deadline(std::move(call), timeout, "the answer");
  if (response.body.empty()) response.body = std::move(*body);
  co_return response;
}

Answer failure(const domain::HealthCheck& check, ports::Endpoint endpoint, milliseconds timeout, const Error& error) {
  const std::string what = fmt::format("GET {} on port {}", check.http, endpoint.port);
  Answer answer;
  if (error.kind() == ErrorKind::timed_out) {
    answer.cut_short = true;
    answer.text = fmt::format("{} was not answered within {}", what, seconds_text(timeout));
  } else if (error.message().find("Connection refused") != std::string::npos) {
    answer.text = fmt::format(
        "{}: connection refused: nothing listens on port {} of the container's network address; does the "
        "app use another port, or 127.0.0.1 in place of 0.0.0.0?",
        what, endpoint.port);
  } else {
    answer.text = fmt::format("{} failed: {}", what, error.message());
  }
  return answer;
}

Task<Answer> probe(ports::Endpoint endpoint, domain::HealthCheck check, milliseconds timeout) {
  try {
    const auto response = co_await get(endpoint, check.http, timeout);
    co_return judge_response(check, endpoint.port, response);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::cancelled) throw;
    co_return failure(check, endpoint, timeout, error);
  }
}

}  // namespace

std::optional<std::string> end_of(const std::optional<ports::Container>& container, int restarts, milliseconds age) {
  if (!container || container->state == "removing" || container->state == "dead") {
    return "the container is gone: something other than this rollout removed it";
  }
  const std::string after = age > milliseconds{0} ? " after " + human_duration(age) : "";
  if (container->state == "exited" || container->state == "restarting") {
    const std::string killed =
        container->exit_code == exit_code_killed ? " (killed, which is often for lack of memory)" : "";
    return fmt::format("the container exited with code {}{}{}", container->exit_code, after, killed);
  }
  if (container->restart_count > restarts) {
    return fmt::format("the container ended{} and the engine restarted it", after);
  }
  return std::nullopt;
}

Answer judge_healthcheck(const ports::Container& container) {
  Answer answer{container.health == "healthy", "the image's HEALTHCHECK says " + container.health};
  if (!answer.good && !container.health_output.empty()) answer.text += ": " + excerpt(container.health_output);
  return answer;
}

Task<ports::Verdict> Prober::prove(std::string container_id, ports::Endpoint endpoint, domain::HealthCheck check,
                                   std::function<void(std::string_view)> on_note) {
  if (check.port != 0) endpoint.port = check.port;
  const auto start = clock_.steady_now();
  Judge judge(check, start);
  std::optional<int> restarts;
  std::string last_note;
  for (;;) {
    Answer answer;
    std::optional<ports::Container> container;
    bool engine_answers = true;
    try {
      container = co_await engine_.inspect(container_id);
    } catch (const Error& error) {
      // An engine that is being restarted says nothing about the target.
      if (!error.transient()) throw;
      engine_answers = false;
      answer.text = error.message();
    }
    if (engine_answers) {
      if (container && !restarts) restarts = container->restart_count;
      const auto age = std::chrono::duration_cast<milliseconds>(clock_.steady_now() - start);
      ports::Verdict ended{false, end_of(container, restarts.value_or(0), age).value_or("")};
      if (!ended.reason.empty()) co_return ended;
      if (check.http.empty() && container->health == "none") {
        ended.reason =
            "the image has no HEALTHCHECK, so nothing tells whether it is healthy; set health.http to a path that "
            "answers 200 once the app is ready";
        co_return ended;
      }
    }
    if (!check.http.empty()) {
      const auto timeout = std::max(milliseconds{1}, std::min(check.timeout, judge.left(clock_.steady_now())));
      answer = co_await probe(endpoint, check, timeout);
      // What the deadline cut short says less than the answer before it.
      if (timeout < check.timeout && answer.cut_short && !last_note.empty()) answer.text = last_note;
    } else if (engine_answers) {
      answer = judge_healthcheck(*container);
    }
    if (on_note && answer.text != last_note) on_note(answer.text);
    last_note = answer.text;
    auto verdict = judge.heard(answer, clock_.steady_now());
    if (verdict) co_return *verdict;
    co_await clock_.sleep_for(judge.next_wait(clock_.steady_now()));
  }
}

}  // namespace deploy::health
