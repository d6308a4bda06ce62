// What the command line takes from the world around it, so that a test can give it another one.
#pragma once

#include <chrono>
#include <ctime>
#include <functional>
#include <optional>
#include <string>

namespace deploy::ctl {

struct Environment {
  /// An environment variable's value, or "" where it is not set.
  std::function<std::string(const std::string& name)> variable;
  /// A point of time in the user's time zone.
  std::function<std::tm(std::time_t)> local_time;
  /// A line that the person at the terminal types; nullopt where nobody is there.
  std::function<std::optional<std::string>()> answer;
  bool out_is_terminal = false;
  bool err_is_terminal = false;
  std::size_t err_columns = 80;                        // of the terminal; progress lines are cut to it
  std::chrono::milliseconds reconnect_pause{1000};     // between two attempts to follow a release again
  std::chrono::milliseconds unreachable_limit{60000};  // how long an agent may be away while we wait
};

/// Of this process and its terminal.
Environment process_environment();

}  // namespace deploy::ctl
