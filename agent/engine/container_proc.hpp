// What this host's /proc says of a container: its processes, and its established TCP connections. Asking the engine
// instead takes it tens of milliseconds, because it runs ps. Source: proc(5), /proc/pid/task/tid/children and
// /proc/net/tcp.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/ports/container_engine.hpp"

namespace deploy::engine {

/// Lines of one table (tcp or tcp6) in state ESTABLISHED whose local port is `port`. Lines that make no sense are
/// skipped.
int count_established(std::string_view table, std::uint16_t port);

/// The container's init `pid` and its descendants. nullopt where they cannot be read, or where the process is not in
/// the container `container_id`: our PID namespace is then not the engine's. Blocking, but never for long.
std::optional<std::vector<ports::ProcessEntry>> processes_below(const std::string& proc_root, std::int64_t pid,
                                                                const std::string& container_id);

/// Both tables of the process `pid` below `proc_root` ("/proc"). nullopt as above.
std::optional<int> established_connections(const std::string& proc_root, std::int64_t pid,
                                           const std::string& container_id, std::uint16_t port);

}  // namespace deploy::engine
