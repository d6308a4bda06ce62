// The `container` section of a service file: Compose's own vocabulary. Source: Compose specification, "Services".
#pragma once

#include "agent/config/yaml_reader.hpp"
#include "agent/domain/service.hpp"

namespace deploy::config {

void read_container(const Value& value, domain::ContainerSettings& container);

}  // namespace deploy::config
