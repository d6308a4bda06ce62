// The keys of `container` about limits, privileges, networks and health that the engine gets as they are.
// Source: Compose specification, "Services"; Docker Engine API v1.41, POST /containers/create.
#pragma once

#include "agent/config/yaml_reader.hpp"
#include "agent/domain/service.hpp"

namespace deploy::config {

void read_isolation(Fields& fields, domain::ContainerSettings& container);

/// Why the engine's API would not take this option of `security_opt` from here, and what to do; empty: it takes it.
std::string security_option_problem(const std::string& option);

}  // namespace deploy::config
