// Row ids of the state database, one type each so that they cannot be mixed up.
#pragma once

#include <compare>
#include <cstdint>

namespace deploy::domain {

template <class Tag>
struct Id {
  std::int64_t value = 0;  // 0: not stored yet
  auto operator<=>(const Id&) const = default;
};

using DeliveryId = Id<struct DeliveryTag>;
using ReleaseId = Id<struct ReleaseTag>;
using RolloutId = Id<struct RolloutTag>;
using RevisionId = Id<struct RevisionTag>;
using StepId = Id<struct StepTag>;
using TargetId = Id<struct TargetTag>;

}  // namespace deploy::domain
