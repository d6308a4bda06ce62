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
constexpr int log_lines = 2000;

bool asks_the_engine(const domain::HealthCheck& check) {
  return check.http.empty() && check.tcp_port == 0 && check.exec.empty() && check.log.empty();
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

namespace {

/// One proof of one target.
class Proof {
 public:
  Proof(ports::ContainerEngine& engine, ports::Clock& clock, std::string container_id, ports::Endpoint endpoint,
        domain::HealthCheck check, std::function<void(std::string_view)> on_note)
      : engine_(engine),
        clock_(clock),
        container_id_(std::move(container_id)),
        endpoint_(std::move(endpoint)),
        check_(std::move(check)),
        on_note_(std::move(on_note)),
        begun_(clock.steady_now()),
        judge_(check_, begun_),
        log_seen_(check_.log.empty() || check_.proved_before),
        warm_(check_.warm_up_http.empty() || check_.proved_before) {
    if (check_.port != 0) endpoint_.port = check_.port;
  }

  Task<ports::Verdict> run() {
    for (;;) {
      Answer answer;
      auto ended = co_await look(&answer);
      if (ended) co_return *ended;
      if (answer.good && !warm_) {
        ended = co_await warm_up();
        if (ended) co_return *ended;
        continue;
      }
      const auto verdict = judge_.heard(answer, clock_.steady_now());
      if (verdict) co_return *verdict;
      co_await clock_.sleep_for(judge_.next_wait(clock_.steady_now()));
    }
  }

 private:
  /// Asks the engine, and then the target. A verdict where no later answer could change it.
  Task<std::optional<ports::Verdict>> look(Answer* answer) {
    std::optional<ports::Container> container;
    bool engine_answers = true;
    try {
      container = co_await engine_.inspect(container_id_);
      if (container && !log_seen_) log_seen_ = co_await says(check_.log);
    } catch (const Error& error) {
      // An engine that is being restarted says nothing about the target.
      if (!error.transient()) throw;
      engine_answers = false;
      answer->text = error.message();
    }
    if (engine_answers) {
      auto ended = verdict_on(container);
      if (ended) co_return ended;
    }
    if (!log_seen_) {
      if (engine_answers) answer->text = fmt::format("its log does not say \"{}\"", check_.log);
    } else if (asks_the_engine(check_)) {
      if (engine_answers) *answer = judge_healthcheck(*container);
    } else {
      const auto timeout = judge_.patience(clock_.steady_now());
      *answer = co_await probe(timeout);
      // What the deadline cut short says less than the answer before it.
      if (timeout < check_.timeout && answer->cut_short && !last_note_.empty()) answer->text = last_note_;
    }
    note(answer->text);
    co_return std::nullopt;
  }

  std::optional<ports::Verdict> verdict_on(const std::optional<ports::Container>& container) {
    if (container && !restarts_) restarts_ = container->restart_count;
    const auto age = std::chrono::duration_cast<milliseconds>(clock_.steady_now() - begun_);
    const auto ended = end_of(container, restarts_.value_or(0), age);
    if (ended) return ports::Verdict{false, *ended};
    if (!asks_the_engine(check_) || container->health != "none") return std::nullopt;
    return ports::Verdict{
        false,
        "the image has no HEALTHCHECK, so nothing tells whether it is healthy; set health.http to a path that "
        "answers 200 once the app is ready"};
  }

  /// The first bad answer of all that is asked, else the last good one.
  Task<Answer> probe(milliseconds timeout) {
    Answer answer;
    answer.good = true;
    answer.text = fmt::format("its log says \"{}\"", check_.log);
    if (!check_.http.empty()) answer = co_await probe_http(endpoint_, check_, timeout);
    if (answer.good && check_.tcp_port != 0) {
      const ports::Endpoint port{endpoint_.address, check_.tcp_port};
      answer = co_await probe_tcp(port, timeout);
    }
    if (!answer.good || check_.exec.empty()) co_return answer;
    try {
      answer = co_await probe_exec(engine_, container_id_, check_.exec, timeout);
    } catch (const Error& error) {
      if (!error.transient()) throw;
      answer.good = false;
      answer.text = error.message();
    }
    co_return answer;
  }

  /// Has the container written a line with this in it?
  Task<bool> says(std::string wanted) {
    const auto lines = co_await engine_.log_tail(container_id_, log_lines);
    co_return std::any_of(lines.begin(), lines.end(),
                          [&](const std::string& line) { return line.find(wanted) != std::string::npos; });
  }

  /// One try, of a target that is healthy but for this. A verdict once its time is over.
  Task<std::optional<ports::Verdict>> warm_up() {
    if (!warm_by_) warm_by_ = clock_.steady_now() + check_.warm_up_timeout;
    const auto left = std::chrono::ceil<milliseconds>(*warm_by_ - clock_.steady_now());
    const auto answer = co_await probe_warm_up(endpoint_, check_, std::max(milliseconds{1}, left));
    note(answer.text);
    warm_ = answer.good;
    judge_ = Judge(check_, clock_.steady_now());  // the time until it was warm was its own
    if (warm_) co_return std::nullopt;
    if (clock_.steady_now() + check_.interval >= *warm_by_) {
      const auto limit = seconds_text(check_.warm_up_timeout);
      ports::Verdict cold{false, fmt::format("not warm within {}: {}", limit, answer.text)};
      co_return cold;
    }
    co_await clock_.sleep_for(check_.interval);
    co_return std::nullopt;
  }

  void note(const std::string& text) {
    if (on_note_ && text != last_note_) on_note_(text);
    last_note_ = text;
  }

  ports::ContainerEngine& engine_;
  ports::Clock& clock_;
  std::string container_id_;
  ports::Endpoint endpoint_;
  domain::HealthCheck check_;
  std::function<void(std::string_view)> on_note_;
  std::chrono::steady_clock::time_point begun_;
  Judge judge_;
  std::optional<int> restarts_;
  bool log_seen_;
  bool warm_;
  std::optional<std::chrono::steady_clock::time_point> warm_by_;
  std::string last_note_;
};

}  // namespace

Task<ports::Verdict> Prober::prove(std::string container_id, ports::Endpoint endpoint, domain::HealthCheck check,
                                   std::function<void(std::string_view)> on_note) {
  if (check.start_after > milliseconds{0}) co_await clock_.sleep_for(check.start_after);
  Proof proof(engine_, clock_, std::move(container_id), std::move(endpoint), std::move(check), std::move(on_note));
  co_return co_await proof.run();
}

Task<ports::Verdict> Prober::ask(std::string host, std::uint16_t port, std::string path, milliseconds timeout) {
  const ports::Endpoint proxy{std::move(host), port};
  const auto answer = co_await probe_path(proxy, std::move(path), timeout);
  const ports::Verdict verdict{answer.good, answer.text};
  co_return verdict;
}

}  // namespace deploy::health
