// DockerClient: what containers write, and commands inside them. Source: Docker Engine API v1.41, "Containers" and
// "Exec".
#include <deque>
#include <utility>

#include "agent/base/error.hpp"
#include "agent/engine/docker_client.hpp"
#include "agent/engine/log_frames.hpp"

namespace deploy::engine {

using namespace std::chrono_literals;

namespace {

constexpr std::size_t log_bytes_max = std::size_t{64} << 10;
constexpr std::size_t exec_output_bytes_max = std::size_t{64} << 10;
constexpr auto exec_poll = 10ms;

/// The newest lines that fit.
class Tail {
 public:
  void add(std::string_view line) {
    bytes_ += line.size();
    lines_.emplace_back(line);
    while (bytes_ > log_bytes_max) {
      bytes_ -= lines_.front().size();
      lines_.pop_front();
    }
  }

  std::vector<std::string> lines() const { return {lines_.begin(), lines_.end()}; }

 private:
  std::deque<std::string> lines_;
  std::size_t bytes_ = 0;
};

}  // namespace

Task<void> DockerClient::read_logs(std::string id, ports::LogOptions options, ports::OnLog on_line) {
  const std::string what = "read the log of container " + id;
  const auto container = co_await require(what, id);
  EngineCall call;
  call.what = what;
  call.path = "/containers/" + http::url_encode(id) + "/logs?stdout=1&stderr=1&follow=" + (options.follow ? "1" : "0") +
              "&tail=" + (options.tail < 0 ? "all" : std::to_string(options.tail));
  // A quiet container's answer has no header before its first line.
  if (options.follow) call.deadline = 24h * 365;
  LineSplitter lines(std::move(on_line));
  LogFrames frames(container.tty, [&lines](int stream, std::string_view data) { lines.feed(stream, data); });
  http::OnPart on_part = [&frames](std::string_view part) { frames.feed(part); };
  co_await engine_.stream(std::move(call), nullptr, on_part);
  lines.finish();
}

Task<std::vector<std::string>> DockerClient::log_tail(std::string id, int lines) {
  Tail tail;
  ports::OnLog add = [&tail](std::string_view line) { tail.add(line); };
  auto reading = read_logs(id, ports::LogOptions{lines, false}, add);
  co_await with_deadline(std::move(reading), 30s, "reading the log of container " + id);
  co_return tail.lines();
}

Task<void> DockerClient::follow_logs(std::string id, ports::LogOptions options, ports::OnLog on_line) {
  return read_logs(std::move(id), options, std::move(on_line));
}

Task<ports::ExecResult> DockerClient::exec(std::string id, ports::ExecRequest request) {
  if (request.argv.empty()) {
    throw Error(ErrorKind::invalid, "run a command in container " + id + ": the command is empty");
  }
  std::string what = request.argv.front() + " in container " + id;
  const auto deadline = request.deadline;
  auto running = run_exec(std::move(id), std::move(request));
  co_return co_await with_deadline(std::move(running), deadline, std::move(what));
}

Task<ports::ExecResult> DockerClient::run_exec(std::string id, ports::ExecRequest request) {
  EngineCall create;
  create.what = "run " + request.argv.front() + " in container " + id;
  create.method = "POST";
  create.path = "/containers/" + http::url_encode(checked_name(id)) + "/exec";
  create.body = exec_body(request);
  const std::string what = create.what;
  const auto created = co_await engine_.ask(std::move(create));
  const std::string exec_path = "/exec/" + http::url_encode(created.at("Id").get<std::string>());

  ports::ExecResult result;
  LogFrames frames(false, [&result, &on_output = request.on_output](int stream, std::string_view data) {
    if (on_output && stream == 1) return on_output(data);
    result.output += data;
    if (result.output.size() > exec_output_bytes_max) {
      result.output.erase(0, result.output.size() - exec_output_bytes_max);
    }
  });
  EngineCall start;
  start.what = what;
  start.method = "POST";
  start.path = exec_path + "/start";
  start.body = Json{{"Detach", false}, {"Tty", false}};
  start.deadline = 24h;  // exec() has a deadline for the whole
  http::OnPart on_part = [&frames](std::string_view part) { frames.feed(part); };
  co_await engine_.stream(std::move(start), nullptr, on_part);

  // The output may end a moment before the engine knows the exit code.
  for (;;) {
    EngineCall inspect;
    inspect.what = what;
    inspect.path = exec_path + "/json";
    const auto state = co_await engine_.ask(std::move(inspect));
    if (!state.at("Running").get<bool>() && state.at("ExitCode").is_number()) {
      result.exit_code = state.at("ExitCode").get<int>();
      co_return result;
    }
    co_await sleep_real(exec_poll);
  }
}

}  // namespace deploy::engine
