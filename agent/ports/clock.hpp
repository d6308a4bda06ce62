// Time. Everything that decides about rollouts asks this one, so that tests run in virtual time.
#pragma once

#include <chrono>

#include "agent/base/async.hpp"

namespace deploy::ports {

class Clock {
 public:
  virtual ~Clock() = default;
  /// Wall-clock time, for records and people.
  virtual std::chrono::system_clock::time_point now() const = 0;
  /// Time that never goes back, for deadlines.
  virtual std::chrono::steady_clock::time_point steady_now() const = 0;
  virtual Task<void> sleep_for(std::chrono::milliseconds duration) = 0;
};

}  // namespace deploy::ports
