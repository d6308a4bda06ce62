#include "agent/health/prober.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "agent/base/error.hpp"
#include "agent/base/text.hpp"
#include "agent/health/probes.hpp"

namespace deploy::health {

namespace {

using std::chrono::milliseconds;

constexpr int exit_code_killed = 137;

bool asks_the_engine(const domain::HealthCheck& check) {
  return check.http.empty() && !check.tcp && check.exec.empty();
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

Task<ports::Verdict> Prober::prove(std::string container_id, ports::Endpoint endpoint, domain::HealthCheck check,
                                   std::function<void(std::string_view)> on_note) {
  if (check.port != 0) endpoint.port = check.port;
  if (check.start_after > milliseconds{0}) co_await clock_.sleep_for(check.start_after);
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
      if (asks_the_engine(check) && container->health == "none") {
        ended.reason =
            "the image has no HEALTHCHECK, so nothing tells whether it is healthy; set health.http to a path that "
            "answers 200 once the app is ready";
        co_return ended;
      }
      if (asks_the_engine(check)) answer = judge_healthcheck(*container);
    }
    if (!asks_the_engine(check)) {
      const auto timeout = judge.patience(clock_.steady_now());
      answer = co_await probe(container_id, endpoint, check, timeout);
      // What the deadline cut short says less than the answer before it.
      if (timeout < check.timeout && answer.cut_short && !last_note.empty()) answer.text = last_note;
    }
    if (on_note && answer.text != last_note) on_note(answer.text);
    last_note = answer.text;
    auto verdict = judge.heard(answer, clock_.steady_now());
    if (verdict) co_return *verdict;
    co_await clock_.sleep_for(judge.next_wait(clock_.steady_now()));
  }
}

Task<Answer> Prober::probe(std::string container_id, ports::Endpoint endpoint, domain::HealthCheck check,
                           milliseconds timeout) {
  if (!check.http.empty()) co_return co_await probe_http(endpoint, check, timeout);
  if (check.tcp) co_return co_await probe_tcp(endpoint, timeout);
  Answer answer;
  try {
    answer = co_await probe_exec(engine_, container_id, check.exec, timeout);
  } catch (const Error& error) {
    if (!error.transient()) throw;
    answer.text = error.message();
  }
  co_return answer;
}

}  // namespace deploy::health
