// The real clock.
#pragma once

#include "agent/ports/clock.hpp"

namespace deploy::daemon {

class SystemClock final : public ports::Clock {
 public:
  std::chrono::system_clock::time_point now() const override { return std::chrono::system_clock::now(); }
  std::chrono::steady_clock::time_point steady_now() const override { return std::chrono::steady_clock::now(); }
  Task<void> sleep_for(std::chrono::milliseconds duration) override { return sleep_real(duration); }
};

}  // namespace deploy::daemon
