// The order in which services depend on each other. Pure functions.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "agent/domain/service.hpp"

namespace deploy::domain {

/// The services' names, each after all it depends on, and otherwise in the order given. A name in `depends_on` that is
/// not in the list is ignored, so that a part of the services can be ordered. Throws Error(invalid) where there is a
/// cycle.
std::vector<std::string> dependency_order(const std::vector<Service>& services);

/// All that the service depends on, directly or not.
std::set<std::string> dependencies_of(const std::string& service, const std::vector<Service>& services);

/// The cycles among `depends_on`, each as the names along it with the first repeated at the end ("a", "b", "a"),
/// starting with the one that is listed first. At least one of every group of services that depend on each other;
/// empty: there is none.
std::vector<std::vector<std::string>> dependency_cycles(const std::vector<Service>& services);

/// "a -> b -> a"
std::string cycle_text(const std::vector<std::string>& cycle);

}  // namespace deploy::domain
