// The agent's own API, served on its unix socket. docs/cli.md lists the routes and their forms.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "agent/api/commands.hpp"
#include "agent/api/queries.hpp"
#include "agent/base/async.hpp"
#include "agent/http/router.hpp"
#include "agent/ports/container_engine.hpp"
#include "agent/rollout/preview.hpp"
#include "agent/store/event_log.hpp"
#include "agent/store/rollout_log.hpp"

namespace deploy::api {

/// What the routes are made of. References outlive the router.
struct Parts {
  asio::any_io_executor executor;
  rollout::Journal& journal;
  store::EventLog& events;
  store::RolloutLog& log;
  ports::ContainerEngine& engine;
  Queries& queries;
  Commands& commands;
  Signal& changed;  // notified after every event and log line
  std::function<std::vector<std::string>()> notes;
  std::function<std::vector<std::string>()> drift;
  /// Throws Error(unreachable) while no rollout can start.
  std::function<rollout::Previews&()> previews;
};

http::Router routes(Parts parts);

}  // namespace deploy::api
