// A rollout while it is being done.
#pragma once

#include <optional>

#include "agent/domain/rollout.hpp"
#include "agent/domain/service.hpp"

namespace deploy::rollout {

struct Work {
  domain::Rollout rollout;
  domain::Service service;                   // the configuration that it runs with
  std::optional<domain::Revision> revision;  // what becomes live; known after build, pull or image
};

}  // namespace deploy::rollout
