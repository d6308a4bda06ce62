// Services whose settings stand in Compose's files: read when a plan or a rollout asks for them, and once at the start,
// so that `status` says at once what is in the way. One thread.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "agent/base/async.hpp"
#include "agent/config/schema.hpp"
#include "agent/ports/process_runner.hpp"

namespace deploy::daemon {

class ComposeServices {
 public:
  ComposeServices(ports::ProcessRunner& runner, const config::Configuration& configuration)
      : runner_(runner), configuration_(configuration) {}

  /// rollout::Complete. A service without `compose` is complete as it is.
  Task<domain::Service> complete(domain::Service service);

  /// Reads all of them, and throws nothing for what it finds.
  Task<void> look();

  /// Why services could not be read the last time.
  std::vector<std::string> problems() const;

 private:
  ports::ProcessRunner& runner_;
  const config::Configuration& configuration_;
  std::map<std::string, std::string> problems_;  // by service
};

}  // namespace deploy::daemon
