#include "agent/ctl/environment.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>

namespace deploy::ctl {

Environment process_environment() {
  Environment environment;
  environment.variable = [](const std::string& name) {
    const char* value = std::getenv(name.c_str());
    return std::string(value == nullptr ? "" : value);
  };
  environment.local_time = [](std::time_t time) {
    std::tm local{};
    localtime_r(&time, &local);
    return local;
  };
  environment.answer = []() -> std::optional<std::string> {
    std::string line;
    if (isatty(STDIN_FILENO) != 1 || isatty(STDERR_FILENO) != 1 || !std::getline(std::cin, line)) return std::nullopt;
    return line;
  };
  environment.out_is_terminal = isatty(STDOUT_FILENO) == 1;
  environment.err_is_terminal = isatty(STDERR_FILENO) == 1;
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) environment.err_columns = size.ws_col;
  return environment;
}

}  // namespace deploy::ctl
