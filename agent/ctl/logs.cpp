// logs: the lines of a service's containers, or of one rollout.
#include <algorithm>
#include <charconv>

#include "agent/ctl/commands.hpp"

namespace deploy::ctl {

namespace {

constexpr int tail_lines = 100;

/// A number is a rollout; a service's name holds at least one letter.
std::optional<std::int64_t> rollout_number(const std::string& subject) {
  std::int64_t number = 0;
  const char* end = subject.data() + subject.size();
  const auto [stopped, error] = std::from_chars(subject.data(), end, number);
  if (error != std::errc() || stopped != end || number <= 0) return std::nullopt;
  return number;
}

}  // namespace

Task<int> logs(Session session, LogOptions options) {
  if (session.json()) {
    throw Error(ErrorKind::invalid, "logs are text and have no JSON form; leave out -o json");
  }
  std::ostream& out = session.out;
  // The lines go out as the app wrote them, colours included, as soon as they come.
  ApiClient::OnText on_text = [&out](std::string_view text) { out << text << std::flush; };
  if (const auto rollout = rollout_number(options.subject)) {
    if (options.tail) {
      throw Error(ErrorKind::invalid, "--tail is for a service's lines; a rollout's log is printed from its start");
    }
    co_await session.client.rollout_log(*rollout, options.follow, std::move(on_text));
  } else {
    const int tail = options.tail.value_or(tail_lines);
    co_await session.client.service_log(options.subject, tail, options.follow, std::move(on_text));
  }
  co_return exit_done;
}

}  // namespace deploy::ctl
