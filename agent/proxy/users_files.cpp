#include "agent/proxy/users_files.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include "agent/base/text.hpp"

namespace deploy::proxy {

namespace {

namespace fs = std::filesystem;

std::optional<std::string> read(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) return std::nullopt;
  return std::string{std::istreambuf_iterator<char>(stream), {}};
}

}  // namespace

std::optional<UsersFiles> UsersFiles::seen(const fs::path& root, const ConfigDump& dump) {
  if (!dump.complete || dump.users_files.empty()) return std::nullopt;
  UsersFiles files;
  std::set<fs::path> folders;
  for (const auto& [path, text] : dump.users_files) {
    files.texts_[root / fs::path(path).relative_path()] = text;
    folders.insert(fs::path(path).parent_path());
  }
  for (const auto& pattern : dump.includes) {
    const auto folder = fs::path(pattern).parent_path();
    if (folder.is_absolute()) {
      folders.insert(folder);
    } else {
      // Nginx begins at the folder of its main file, whichever of these that is.
      for (const auto& [path, text] : dump.users_files) folders.insert(fs::path(path).parent_path() / folder);
    }
  }
  for (const auto& folder : folders) {
    const auto place = root / folder.relative_path();
    files.folders_[place] = change_time(place);
  }
  if (!files.same_texts()) return std::nullopt;
  return files;
}

bool UsersFiles::unchanged() const {
  const bool same_folders = std::all_of(folders_.begin(), folders_.end(),
                                        [](const auto& entry) { return change_time(entry.first) == entry.second; });
  return same_folders && same_texts();
}

/// The end of a dump's last file is not told apart from the end of the dump.
bool UsersFiles::same_texts() const {
  return std::all_of(texts_.begin(), texts_.end(), [](const auto& entry) {
    const auto text = read(entry.first);
    return text && trim(*text) == trim(entry.second);
  });
}

std::optional<UsersFiles::ChangeTime> UsersFiles::change_time(const fs::path& folder) {
  struct stat status {};
  if (stat(folder.c_str(), &status) != 0) return std::nullopt;
  return ChangeTime{status.st_ctim.tv_sec, status.st_ctim.tv_nsec};
}

}  // namespace deploy::proxy
