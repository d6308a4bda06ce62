// The `compose` section of a service file: which service of which Compose files. Source: docs/configuration.md.
#pragma once

#include <string>

#include "agent/config/schema.hpp"
#include "agent/config/yaml_reader.hpp"

namespace deploy::config {

/// `service`: the name in Compose's files where none is said.
ComposeSource read_compose(const Value& value, const std::string& service);

/// Compose's files say what the container is like; `container` has what they cannot say, and nothing else.
void check_beside_compose(const Value& container);

}  // namespace deploy::config
