// The files that a configuration was read from, to see later whether it is still what they say.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <system_error>
#include <vector>

namespace deploy::config {

/// The service files of a folder by name; hidden files and files of other kinds are left alone.
std::vector<std::filesystem::path> service_files(const std::filesystem::path& folder, std::error_code& problem);

class FilesRead {
 public:
  /// Remembers what is in the files, and when they were last written. To be made right after they were read.
  FilesRead(std::filesystem::path agent_yaml, std::filesystem::path services);

  /// Those that were written, added or removed since then; not those that hold the same text again.
  std::vector<std::filesystem::path> changed() const;

 private:
  using Times = std::map<std::filesystem::path, std::filesystem::file_time_type>;
  Times look() const;

  std::filesystem::path agent_yaml_;
  std::filesystem::path services_;
  Times read_;
  std::map<std::filesystem::path, std::string> hashes_;  // of what was in them
};

}  // namespace deploy::config
