// The `source` section of a service file: git, image, or both.
#pragma once

#include "agent/config/yaml_reader.hpp"
#include "agent/domain/service.hpp"

namespace deploy::config {

/// Requires service.trigger to be read already.
void read_source(const Value& value, domain::Service& service);

/// The address of a git repository and how to log in there: `url`, `ssh_key`, `ssh_known_hosts`, `token_env`.
domain::GitSource read_remote(Fields& fields);

}  // namespace deploy::config
