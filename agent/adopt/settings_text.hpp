// Settings as the YAML that a service's file holds. What is as it is by default is not written. Pure; what it writes
// config::parse_service reads back.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/domain/service.hpp"

namespace deploy::adopt {

/// A scalar for a place where a text is wanted: in quotes where YAML would take it for something else.
std::string yaml_text(const std::string& text);

/// "[a, b]".
std::string yaml_list(const std::vector<std::string>& texts);

/// "{ a: b, c: d }".
std::string yaml_map(const std::map<std::string, std::string>& texts);

/// The lines of `container:`, indented by `indent`, each with a line feed; empty where all is as it is by default.
std::string container_text(const domain::ContainerSettings& settings, std::string_view indent);

}  // namespace deploy::adopt
