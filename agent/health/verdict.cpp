#include "agent/health/verdict.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace deploy::health {

namespace {

using nlohmann::json;
using std::chrono::milliseconds;

constexpr milliseconds first_step{50};
constexpr std::size_t excerpt_bytes_max = 200;

/// Why the headers are not what is expected; empty where they are.
std::string header_objection(const domain::HealthCheck& check, const http::Response& response) {
  for (const auto& [name, wanted] : check.expect_headers) {
    const auto& found = response.header(name);
    if (found != wanted) return fmt::format("but the header {} is \"{}\" and not \"{}\"", name, found, wanted);
  }
  return "";
}

/// Why the body is not what is expected; empty where it is.
std::string json_objection(const domain::HealthCheck& check, const std::string& text) {
  const auto body = json::parse(text, nullptr, false);
  if (body.is_discarded()) return "but the body is not JSON: " + excerpt(text);
  for (const auto& [pointer, wanted_text] : check.expect_json) {
    const auto wanted = json::parse(wanted_text, nullptr, false);
    if (wanted.is_discarded()) return fmt::format("but the value expected at {} is not JSON: {}", pointer, wanted_text);
    try {
      const json::json_pointer place(pointer);
      if (!body.contains(place)) return fmt::format("but there is no {} in {}", pointer, excerpt(text));
      const auto& found = body.at(place);
      if (found != wanted) return fmt::format("but {} is {} and not {}", pointer, found.dump(), wanted.dump());
    } catch (const json::exception&) {
      return fmt::format("but {} is not a JSON pointer (RFC 6901), e.g. /status", pointer);
    }
  }
  return "";
}

}  // namespace

std::string excerpt(std::string_view text) {
  bool cut = text.size() > excerpt_bytes_max;
  std::string line(text.substr(0, excerpt_bytes_max));
  // Not in the middle of a UTF-8 character.
  if (cut) {
    while (!line.empty() && (static_cast<unsigned char>(text[line.size()]) & 0xC0) == 0x80) line.pop_back();
  }
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  while (line.ends_with(' ')) line.pop_back();
  return "\"" + line + (cut ? "…\"" : "\"");
}

std::string seconds_text(milliseconds duration) {
  return fmt::format("{:g} s", static_cast<double>(duration.count()) / 1000.0);
}

Answer judge_response(const domain::HealthCheck& check, std::uint16_t port, const http::Response& response) {
  Answer answer;
  answer.text = fmt::format("GET {} on port {} answered {}", check.http, port, response.status);
  if (response.status != check.expect_status) {
    if (!response.body.empty()) answer.text += ": " + excerpt(response.body);
    if (check.expect_status != 200) answer.text += fmt::format(" (expected {})", check.expect_status);
    if (response.status / 100 == 3 && !response.header("Location").empty()) {
      answer.text += fmt::format(" (a redirect to {}, which is not followed)", response.header("Location"));
    }
    return answer;
  }
  auto objection = header_objection(check, response);
  if (objection.empty() && response.body.find(check.expect_body) == std::string::npos) {
    objection = fmt::format("but \"{}\" is not in the body: {}", check.expect_body, excerpt(response.body));
  }
  if (objection.empty() && !check.expect_json.empty()) objection = json_objection(check, response.body);
  if (!objection.empty()) answer.text += ", " + objection;
  answer.good = objection.empty();
  return answer;
}

Judge::Judge(const domain::HealthCheck& check, Time start)
    : interval_(check.interval),
      timeout_(check.timeout),
      deadline_(check.deadline),
      min_healthy_(check.min_healthy),
      end_(start + check.deadline),
      successes_wanted_(std::max(check.successes, 1)),
      failures_wanted_(std::max(check.failures, 1)),
      step_(std::min(first_step, check.interval)) {
  const bool trusted = check.proved_before && min_healthy_ > milliseconds{0};
  if (!trusted) return;
  healthy_since_ = start;
  end_ = start + min_healthy_;
}

std::optional<ports::Verdict> Judge::heard(const Answer& answer, Time now) {
  failures_ = answer.good ? 0 : failures_ + 1;
  if (healthy_since_ && failures_ >= failures_wanted_) {
    const auto held = std::chrono::duration_cast<milliseconds>(now - *healthy_since_);
    return ports::Verdict{false, fmt::format("healthy for {} only, not for {}: {}", seconds_text(held),
                                             seconds_text(min_healthy_), answer.text)};
  }
  successes_ = answer.good ? successes_ + 1 : 0;
  if (successes_ >= successes_wanted_ && !healthy_since_) {
    healthy_since_ = now;
    end_ = now + min_healthy_;
  }
  if (left(now) > milliseconds{0}) return std::nullopt;
  if (!healthy_since_) return too_late(answer);
  if (!answer.good) return std::nullopt;  // the next answers say whether this one counts
  return ports::Verdict{true, answer.text};
}

ports::Verdict Judge::too_late(const Answer& answer) const {
  std::string last = answer.text;
  if (answer.good) last += fmt::format(" ({} of {} successes)", successes_, successes_wanted_);
  return {false, fmt::format("not healthy within {}: {}", seconds_text(deadline_), last)};
}

milliseconds Judge::patience(Time now) const {
  // At the end of `min_healthy` a slow answer is as good as ever.
  return healthy_since_ ? timeout_ : std::max(milliseconds{1}, std::min(timeout_, left(now)));
}

milliseconds Judge::next_wait(Time now) {
  milliseconds wait = interval_;
  if (successes_ == 0 && !healthy_since_) {
    wait = step_;
    step_ = std::min(interval_, step_ * 3 / 2);
  }
  return left(now) > milliseconds{0} ? std::min(wait, left(now)) : wait;
}

milliseconds Judge::left(Time now) const {
  return std::max(milliseconds{0}, std::chrono::ceil<milliseconds>(end_ - now));
}

}  // namespace deploy::health
