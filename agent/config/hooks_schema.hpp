// `hooks` of a service's file.
#pragma once

#include "agent/config/yaml_reader.hpp"
#include "agent/domain/hook.hpp"

namespace deploy::config {

void read_hooks(const Value& value, domain::Hooks& hooks);

}  // namespace deploy::config
