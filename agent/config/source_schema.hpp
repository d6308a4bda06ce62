// The `source` section of a service file: git, image, or both.
#pragma once

#include "agent/config/yaml_reader.hpp"
#include "agent/domain/service.hpp"

namespace deploy::config {

/// Requires service.trigger to be read already.
void read_source(const Value& value, domain::Service& service);

}  // namespace deploy::config
