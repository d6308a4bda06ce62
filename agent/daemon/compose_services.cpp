#include "agent/daemon/compose_services.hpp"

#include <spdlog/spdlog.h>

#include <utility>

#include "agent/adopt/compose_settings.hpp"
#include "agent/base/error.hpp"

namespace deploy::daemon {

Task<domain::Service> ComposeServices::complete(domain::Service service) {
  const auto source = configuration_.compose.find(service.name);
  if (source == configuration_.compose.end()) co_return service;
  const auto name = service.name;
  try {
    auto completed =
        co_await adopt::with_compose(runner_, std::move(service), source->second, configuration_.agent.network);
    problems_.erase(name);
    co_return completed;
  } catch (const Error& error) {
    problems_[name] = error.message();
    throw;
  }
}

Task<void> ComposeServices::look() {
  for (const auto& service : configuration_.services) {
    try {
      co_await complete(service);
    } catch (const Error& error) {
      spdlog::error("no rollout can start: {}", error.message());
    }
  }
}

std::vector<std::string> ComposeServices::problems() const {
  std::vector<std::string> all;
  for (const auto& [service, problem] : problems_) all.push_back("no rollout can start: " + problem);
  return all;
}

}  // namespace deploy::daemon
