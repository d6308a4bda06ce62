#include "agent/config/files_read.hpp"

#include <algorithm>
#include <set>

#include "agent/base/atomic_file.hpp"
#include "agent/base/text.hpp"

namespace deploy::config {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t hashed_bytes_max = 1 << 20;  // no more is read of a file of ours

/// Empty where it cannot be read.
std::string hash_of(const fs::path& file) {
  try {
    return sha256_hex(read_file(file, hashed_bytes_max));
  } catch (const Error&) {
    return "";
  }
}

}  // namespace

std::vector<fs::path> service_files(const fs::path& folder, std::error_code& problem) {
  std::vector<fs::path> files;
  fs::directory_iterator entries(folder, problem);
  for (; !problem && entries != fs::directory_iterator(); entries.increment(problem)) {
    auto name = entries->path().filename().string();
    auto extension = entries->path().extension();
    if (name.starts_with('.') || (extension != ".yaml" && extension != ".yml" && extension != ".json")) continue;
    files.push_back(entries->path());
  }
  std::ranges::sort(files);
  return files;
}

FilesRead::FilesRead(fs::path agent_yaml, fs::path services)
    : agent_yaml_(std::move(agent_yaml)), services_(std::move(services)), read_(look()) {
  for (const auto& [file, time] : read_) hashes_[file] = hash_of(file);
}

std::vector<fs::path> FilesRead::changed() const {
  const auto now = look();
  std::set<fs::path> files;
  for (const auto& [file, time] : read_) {
    const auto found = now.find(file);
    const bool written = found == now.end() || found->second != time;
    if (written && (found == now.end() || hash_of(file) != hashes_.at(file))) files.insert(file);
  }
  for (const auto& [file, time] : now) {
    if (!read_.contains(file)) files.insert(file);
  }
  return {files.begin(), files.end()};
}

FilesRead::Times FilesRead::look() const {
  std::error_code problem;  // what cannot be looked at counts as removed
  auto files = service_files(services_, problem);
  files.push_back(agent_yaml_);
  Times times;
  for (const auto& file : files) {
    const auto time = fs::last_write_time(file, problem);
    if (!problem) times.emplace(file, time);
  }
  return times;
}

}  // namespace deploy::config
