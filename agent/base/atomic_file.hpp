// Small files that are never half-written: a reader sees the old content or the new one, also after a power cut.
// Blocking, and quick enough for the main thread with the small files it is meant for. Any thread; one writer per path.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

#include "agent/base/error.hpp"

namespace deploy {

/// Replaces the file, or creates it, with exactly this mode. The content goes to ".<name>.tmp" in the same folder,
/// which is synced and renamed over `path`, and the folder is synced. A symbolic link at `path` is replaced, not
/// followed. On failure `path` is as it was and the temporary file is removed (where only the folder's sync fails the
/// new file is there already). Throws Error: disk_full, not_found (no such folder), failed.
void write_atomically(const std::filesystem::path& path, std::string_view content, mode_t mode);

/// The whole content. Throws Error: not_found, invalid (longer than `bytes_max`), failed.
std::string read_file(const std::filesystem::path& path, std::size_t bytes_max);

/// Removes the file and syncs its folder. Returns false where there was none. Throws Error(failed).
bool remove_file(const std::filesystem::path& path);

/// The Error for a file operation that ended with this errno: "cannot <verb> <path>: <reason>; <what to do>".
Error file_error(std::string_view verb, const std::filesystem::path& path, int error_number);

}  // namespace deploy
