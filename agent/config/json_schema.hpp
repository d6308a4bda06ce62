// The JSON Schemas (draft 7) of agent.yaml and of a service's file, for editors. tests/config holds them to the parser:
// each has every key that the other one knows.
#pragma once

#include <string_view>

namespace deploy::config {

std::string_view agent_json_schema();
std::string_view service_json_schema();

}  // namespace deploy::config
