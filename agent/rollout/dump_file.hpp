// A file that a hook's output is saved to: there as a whole, or not at all. Blocking: what is written is on the disk
// every few MiB, so that no write takes long.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "agent/domain/hook.hpp"

namespace deploy::rollout {

class DumpFile {
 public:
  /// Makes its folder, readable by nobody else. Throws Error: disk_full, failed.
  explicit DumpFile(std::filesystem::path path);
  /// Removes what was not finished.
  ~DumpFile();
  DumpFile(const DumpFile&) = delete;
  DumpFile& operator=(const DumpFile&) = delete;

  /// Throws Error: disk_full, failed.
  void write(std::string_view data);
  /// Replaces an earlier file of that name. Throws Error: disk_full, failed.
  void finish();

  const std::filesystem::path& path() const { return path_; }
  std::uint64_t bytes() const { return bytes_; }

 private:
  void sync();

  std::filesystem::path path_;
  std::filesystem::path part_;
  int file_ = -1;
  std::uint64_t bytes_ = 0;
  std::uint64_t unsynced_ = 0;
};

/// Removes all but the newest `keep` files of the folder whose names are `pattern` with something in place of
/// `variable`. Throws Error(failed).
void keep_newest(const std::filesystem::path& folder, const std::string& pattern, const std::string& variable,
                 int keep);

/// What a person would type to read the file back: quoted for a shell, never run by us.
std::string restore_command(const domain::Hook& hook, const std::filesystem::path& file);

}  // namespace deploy::rollout
