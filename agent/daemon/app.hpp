// The one place that wires everything together.
#pragma once

#include <boost/asio/io_context.hpp>
#include <filesystem>
#include <memory>
#include <string>

#include "agent/base/async.hpp"
#include "agent/config/schema.hpp"

namespace deploy::daemon {

class App {
 public:
  /// Opens the state folder. `file` is the agent.yaml that `configuration` was read from just now; `program` is this
  /// program's own path, run again for `git-fetch`. Throws Error.
  App(asio::io_context& context, config::Configuration configuration, const std::filesystem::path& file,
      std::string program);
  ~App();
  App(const App&) = delete;
  App& operator=(const App&) = delete;

  /// Listens and works until the coroutine is cancelled; then finishes requests, leaves rollouts to be continued at the
  /// next start, and returns. Throws Error where it cannot listen.
  Task<void> run();

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace deploy::daemon
