// A service's settings with every ${…} replaced by its value.
#pragma once

#include <map>
#include <string>

#include "agent/domain/service.hpp"

namespace deploy::domain {

/// Holds secrets: never stored, never logged.
struct ResolvedSettings {
  ContainerSettings container;
  std::map<std::string, std::string> build_args;
};

}  // namespace deploy::domain
