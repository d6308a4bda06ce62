// When is a target healthy? Pure: what an answer is worth, how many are wanted, when the time is up. No input or
// output.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "agent/domain/service.hpp"
#include "agent/http/message.hpp"
#include "agent/ports/health_prober.hpp"

namespace deploy::health {

/// What one probe said.
struct Answer {
  bool good = false;
  std::string text;        // one line, e.g. "GET /health on port 8000 answered 503: \"db down\""
  bool cut_short = false;  // there was no time to wait for it
};

/// Compares a response with what the check expects: the status, headers, a part of the body, and values of the JSON
/// body (RFC 6901 pointers; values are compared as JSON, so 1 equals 1.0).
Answer judge_response(const domain::HealthCheck& check, std::uint16_t port, const http::Response& response);

/// At most 200 bytes of a body on one line, in quotes: what is not printable becomes a space.
std::string excerpt(std::string_view text);

/// "30 s", "0.4 s"
std::string seconds_text(std::chrono::milliseconds duration);

/// Counts answers until a verdict is due. It asks quickly at first, so that an app that is up after 200 ms is not held
/// up by an interval of 1 s: 50 ms after the first answer, then half as long again each time, up to the interval.
/// Where several successes are wanted they are an interval apart, so that they prove that the app stays up; one bad
/// answer starts the count again. With `min_healthy` the verdict waits that much longer, deadline or not, and in this
/// time `failures` bad answers in a row are final: an app that was healthy for a moment is not to be trusted.
class Judge {
 public:
  using Time = std::chrono::steady_clock::time_point;

  Judge(const domain::HealthCheck& check, Time start);

  /// The verdict, where this answer decides it.
  std::optional<ports::Verdict> heard(const Answer& answer, Time now);

  /// How long to wait for an answer: the check's timeout, but not beyond the deadline.
  std::chrono::milliseconds patience(Time now) const;

  /// How long to wait before the next probe; never beyond the deadline.
  std::chrono::milliseconds next_wait(Time now);

  /// Until the deadline, or the end of `min_healthy`; zero when it has passed.
  std::chrono::milliseconds left(Time now) const;

 private:
  ports::Verdict too_late(const Answer& answer) const;

  std::chrono::milliseconds interval_;
  std::chrono::milliseconds timeout_;
  std::chrono::milliseconds deadline_;
  std::chrono::milliseconds min_healthy_;
  Time end_;
  std::optional<Time> healthy_since_;
  int successes_wanted_;
  int failures_wanted_;
  int successes_ = 0;
  int failures_ = 0;
  std::chrono::milliseconds step_;
};

}  // namespace deploy::health
