// The progress of a pull, from a line for every few kilobytes of every layer to a line for every layer.
// Source: Docker Engine API v1.41, POST /images/create.
#pragma once

#include <map>
#include <string>
#include <utility>

#include "agent/engine/docker_json.hpp"
#include "agent/ports/container_engine.hpp"

namespace deploy::engine {

class PullProgress {
 public:
  explicit PullProgress(ports::OnLog on_log) : on_log_(std::move(on_log)) {}
  void add(const Json& value);

 private:
  ports::OnLog on_log_;
  std::map<std::string, bool> layers_;  // id -> complete
};

}  // namespace deploy::engine
