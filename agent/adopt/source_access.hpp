// Whether a rollout could get at what it is made from: repositories and images. Part of `doctor`; reads only.
#pragma once

#include <vector>

#include "agent/adopt/doctor.hpp"

namespace deploy::adopt {

/// Asks each repository and each registry once, as polling and a rollout would. Without `ask_registries` those are left
/// out: it is the engine that asks them. Never throws for what it finds.
Task<std::vector<Finding>> source_access(Host host, bool ask_registries);

}  // namespace deploy::adopt
