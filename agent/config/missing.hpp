// What a valid configuration names and this machine does not have.
#pragma once

#include <string>
#include <vector>

#include "agent/config/schema.hpp"

namespace deploy::config {

/// A sentence each: files that the configuration names, and variables in them. No errors, because a configuration is
/// also checked where its secrets are not. Blocking reads of small files.
std::vector<std::string> missing_here(const Configuration& configuration);

/// That there is no Docker network `name`, which `network` in agent.yaml asks for.
std::string missing_network(const std::string& name);

}  // namespace deploy::config
