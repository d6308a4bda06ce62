#include "agent/config/json_schema.hpp"

#include "json_schemas.hpp"

namespace deploy::config {

std::string_view agent_json_schema() { return agent_schema_text; }
std::string_view service_json_schema() { return service_schema_text; }

}  // namespace deploy::config
