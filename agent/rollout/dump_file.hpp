// A file that a hook's output is saved to: there as a whole, or not at all. Blocking: what is written is on the disk
// every few MiB, so that no write takes long.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "agent/domain/hook.hpp"
#include "agent/domain/ids.hpp"

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

/// A file of a service's dumps, from a rollout to some revision: what stands for {revision} in `save`.
std::string dump_name(const std::string& revision, domain::RolloutId rollout);

/// Removes the service's files of `pattern` (a name with {revision}) beyond the newest `keep` of rollouts that
/// `went_live`, and beyond the newest `keep` of others, so that failures take no dump away that somebody may need. No
/// other file is touched. Throws Error(failed).
void keep_newest(const std::filesystem::path& folder, const std::string& pattern, const std::string& service, int keep,
                 const std::function<bool(domain::RolloutId)>& went_live);

/// What a person would type to read the file back: quoted for a shell, never run by us.
std::string restore_command(const domain::Hook& hook, const std::filesystem::path& file);

}  // namespace deploy::rollout
