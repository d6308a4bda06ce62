// What is in the way of a rollout on this host, before there is one: each finding says what to do. Reads, and changes
// nothing.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "agent/config/schema.hpp"
#include "agent/ports/container_engine.hpp"
#include "agent/ports/source_mirror.hpp"
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
  ports::SourceMirror& source;
  std::function<std::optional<bool>()> clock_in_step;  // with a time server; nullopt: not known
  std::chrono::system_clock::time_point now;
  std::filesystem::path proc = "/proc";  // where the host shows Nginx's files
};

/// Never throws for what it finds. Where the engine cannot be reached, what needs it is left out.
Task<std::vector<Finding>> examine(Host host);

}  // namespace deploy::adopt
