// Settings of a container as a service of a Compose file: the way back from compose_import. Texts with ${…} stay as
// they are, so no value of a variable is in it. Pure. Source: Compose specification, "Services".
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "agent/domain/service.hpp"

namespace deploy::adopt {

/// The keys of a service, without `image` and `networks`. What Compose has no key for (pre_stop) is left out.
nlohmann::json to_compose_service(const domain::ContainerSettings& settings);

/// The named volumes among them, which a Compose file must name at its top, too.
std::vector<std::string> named_volumes(const domain::ContainerSettings& settings);

}  // namespace deploy::adopt
