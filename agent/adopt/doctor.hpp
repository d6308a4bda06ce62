// What is in the way of a rollout on this host, before there is one: each finding says what to do. Reads, and changes
// nothing.
#pragma once

#include <string>
#include <vector>

#include "agent/config/schema.hpp"
#include "agent/ports/container_engine.hpp"
#include "agent/proxy/nginx_place.hpp"

namespace deploy::adopt {

struct Finding {
  enum class Level {
    good,
    note,     // works, and costs something or may not be meant
    problem,  // no rollout works, or not for long
  };
  Level level;
  std::string subject;  // what it is about, e.g. "nginx"
  std::string text;
};

std::string to_string(Finding::Level level);

struct Host {
  const config::Configuration& configuration;
  ports::ContainerEngine& engine;
  proxy::NginxPlace* nginx;  // nullptr: there is no proxy
};

/// Never throws for what it finds. Where the engine cannot be reached, what needs it is left out.
Task<std::vector<Finding>> examine(Host host);

}  // namespace deploy::adopt
