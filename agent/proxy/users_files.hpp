// The part of Nginx's configuration that is not ours, as it was when Nginx tested it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "agent/proxy/config_dump.hpp"

namespace deploy::proxy {

/// Reads small files; blocking, but never for long. Source: proc(5), /proc/pid/root.
class UsersFiles {
 public:
  /// The files of a dump, looked up below `root`, which is "/" as Nginx sees it. nullopt where they are not there just
  /// as the dump has them (another mount or process namespace, or changed since), or the dump is cut off: then nobody
  /// can say later that they are the same.
  static std::optional<UsersFiles> seen(const std::filesystem::path& root, const ConfigDump& dump);

  /// Does every file have the same text, and every folder that files are included from the same files?
  bool unchanged() const;

 private:
  using ChangeTime = std::pair<std::int64_t, std::int64_t>;  // seconds and nanoseconds
  static std::optional<ChangeTime> change_time(const std::filesystem::path& folder);
  bool same_texts() const;

  std::map<std::filesystem::path, std::string> texts_;
  std::map<std::filesystem::path, std::optional<ChangeTime>> folders_;
};

}  // namespace deploy::proxy
