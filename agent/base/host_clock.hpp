// Is this host's clock kept by a time server? Source: adjtimex(2).
#pragma once

#include <optional>

namespace deploy {

/// nullopt where the kernel does not say.
std::optional<bool> clock_in_step();

}  // namespace deploy
