// How much memory this machine can still give. Source: proc_meminfo(5), MemAvailable.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace deploy {

/// Bytes that new programs could take without swapping, from the text of /proc/meminfo; nullopt where it does not say.
std::optional<std::int64_t> parse_available_memory(std::string_view meminfo);

/// The same of this machine, now.
std::optional<std::int64_t> available_memory();

}  // namespace deploy
