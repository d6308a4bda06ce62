// The name of a boundary, by which the same point is known in every rollout.
#pragma once

#include <string>

namespace deploy::crash {

/// Without what differs from one rollout to the next: hashes, ids, versions and temporary names. E.g. of
/// "before POST /v1.41/containers/create?name=x" it is "before POST /containers/create".
std::string boundary_of(const std::string& effect);

}  // namespace deploy::crash
