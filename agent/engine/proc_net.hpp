// Established TCP connections of a container, read from /proc of its init. Source: proc(5), /proc/net/tcp.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace deploy::engine {

/// Lines of one table (tcp or tcp6) in state ESTABLISHED whose local port is `port`. Lines that make no sense are
/// skipped.
int count_established(std::string_view table, std::uint16_t port);

/// Both tables of the process `pid` below `proc_root` ("/proc"). nullopt where they cannot be read, or where the
/// process is not in the container `container_id`: our PID namespace is then not the engine's. Blocking, but never for
/// long.
std::optional<int> established_connections(const std::string& proc_root, std::int64_t pid,
                                           const std::string& container_id, std::uint16_t port);

}  // namespace deploy::engine
