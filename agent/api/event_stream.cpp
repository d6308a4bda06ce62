#include "agent/api/event_stream.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "agent/api/queries.hpp"
#include "agent/api/views.hpp"

namespace deploy::api {

namespace {

constexpr int events_at_once = 200;
constexpr std::size_t log_bytes_at_once = 64 * 1024;
constexpr std::size_t waiting_lines_max = 10000;

}  // namespace

EventStream::EventStream(rollout::Journal& journal, store::EventLog& events, Signal& changed, std::int64_t seq,
                         domain::ReleaseId release, bool follow)
    : journal_(journal), events_(events), changed_(changed), seq_(seq), release_(release), follow_(follow) {}

Task<std::optional<std::string>> EventStream::next() {
  for (;;) {
    const auto events = events_.after(seq_, release_, events_at_once);
    if (!events.empty()) {
      std::string lines;
      for (const auto& event : events)
        lines +=
            nlohmann::json(event_view(event)).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + '\n';
      seq_ = events.back().seq;
      co_return lines;
    }
    if (!follow_ || release_ended()) co_return std::nullopt;
    co_await changed_.wait();
  }
}

bool EventStream::release_ended() {
  if (release_.value == 0) return false;
  const auto rollouts = journal_.rollouts.of_release(release_);
  return std::all_of(rollouts.begin(), rollouts.end(),
                     [](const auto& rollout) { return domain::is_final(rollout.phase); });
}

Task<std::optional<std::string>> RolloutLogStream::next() {
  for (;;) {
    // Asked before reading: what is written between the two is read the next time.
    const bool ended = domain::is_final(journal_.rollouts.get(rollout_).phase);
    auto part = log_.read(rollout_, offset_, log_bytes_at_once);
    if (!part.empty()) {
      offset_ += part.size();
      co_return part;
    }
    if (!follow_ || ended) co_return std::nullopt;
    co_await changed_.wait();
  }
}

struct ContainerLogStream::Lines {
  explicit Lines(const asio::any_io_executor& executor) : changed(executor) {}
  std::deque<std::string> waiting;
  bool lost = false;
  std::size_t open = 0;
  Signal changed;

  void add(std::string line) {
    if (waiting.size() == waiting_lines_max) {
      waiting.pop_front();
      lost = true;
    }
    waiting.push_back(std::move(line));
    changed.notify_all();
  }
};

ContainerLogStream::ContainerLogStream(asio::any_io_executor executor, ports::ContainerEngine& engine,
                                       const std::vector<domain::Target>& targets, ports::LogOptions options)
    : lines_(std::make_shared<Lines>(executor)),
      followers_(executor, [lines = lines_](const std::string& name, std::exception_ptr cause) {
        lines->add("(" + name + ": " + message_of(cause) + ")");
      }) {
  lines_->open = targets.size();
  for (const auto& target : targets) {
    const auto prefix = targets.size() > 1 ? target.container_name + " | " : "";
    followers_.spawn(target.container_name, follow(engine, target.container_id, prefix, options, lines_));
  }
}

ContainerLogStream::~ContainerLogStream() { followers_.cancel(); }

Task<void> ContainerLogStream::follow(ports::ContainerEngine& engine, std::string id, std::string prefix,
                                      ports::LogOptions options, std::shared_ptr<Lines> lines) {
  struct Closed {
    std::shared_ptr<Lines> of;
    ~Closed() {
      --of->open;
      of->changed.notify_all();
    }
  };
  const Closed closed{lines};
  const ports::OnLog on_line = [lines, prefix](std::string_view line) { lines->add(prefix + std::string(line)); };
  co_await engine.follow_logs(id, options, on_line);
}

Task<std::optional<std::string>> ContainerLogStream::next() {
  auto lines = lines_;
  while (lines->waiting.empty()) {
    if (lines->open == 0) co_return std::nullopt;
    co_await lines->changed.wait();
  }
  std::string part;
  if (std::exchange(lines->lost, false)) part = "(lines were left out: they came faster than they were read)\n";
  for (auto& line : lines->waiting) part += line + '\n';
  lines->waiting.clear();
  co_return part;
}

}  // namespace deploy::api
