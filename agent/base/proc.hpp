// What this host's /proc says of processes. Source: proc(5). Blocking, but never for long. `root` is "/proc".
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace deploy::proc {

/// nullopt where it cannot be read.
std::optional<std::string> read_file(const std::string& path);

/// The children of all its threads; none where it has ended.
std::vector<std::int64_t> children_of(const std::string& root, std::int64_t pid);

/// Does the kernel tell the children of this process?
bool lists_children(const std::string& root, std::int64_t pid);

/// The user that it runs as; nullopt where it has ended.
std::optional<uid_t> owner_of(const std::string& root, std::int64_t pid);

/// Its arguments, joined by spaces as ps does; empty where it has ended.
std::string title_of(const std::string& root, std::int64_t pid);

}  // namespace deploy::proc
