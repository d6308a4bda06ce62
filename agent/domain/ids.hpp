// Row ids of the state database, one type each so that they cannot be mixed up; and commits of several repositories.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <string>

namespace deploy::domain {

template <class Tag>
struct Id {
  std::int64_t value = 0;  // 0: not stored yet
  auto operator<=>(const Id&) const = default;
};

/// Commits of repositories, by their names (owner/name).
using Commits = std::map<std::string, std::string>;

using DeliveryId = Id<struct DeliveryTag>;
using ReleaseId = Id<struct ReleaseTag>;
using RolloutId = Id<struct RolloutTag>;
using RevisionId = Id<struct RevisionTag>;
using StepId = Id<struct StepTag>;
using TargetId = Id<struct TargetTag>;

}  // namespace deploy::domain
