#include "agent/rollout/dump_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <regex>
#include <system_error>
#include <utility>
#include <vector>

#include "agent/base/atomic_file.hpp"
#include "agent/base/error.hpp"

namespace deploy::rollout {

namespace {

namespace fs = std::filesystem;

constexpr mode_t private_file = 0600;
constexpr std::uint64_t sync_bytes = 8 << 20;

std::string quoted(const std::string& word) {
  constexpr std::string_view plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=,@%+";
  if (!word.empty() && word.find_first_not_of(plain) == std::string::npos) return word;
  std::string text = "'";
  for (const char c : word) text += c == '\'' ? "'\\''" : std::string(1, c);
  return text + "'";
}

}  // namespace

DumpFile::DumpFile(fs::path path) : path_(std::move(path)), part_(path_) {
  part_ += ".part";
  std::error_code failure;
  fs::create_directories(path_.parent_path(), failure);
  if (failure) throw file_error("make", path_.parent_path(), failure.value());
  file_ = ::open(part_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, private_file);
  if (file_ < 0) throw file_error("write", part_, errno);
}

DumpFile::~DumpFile() {
  if (file_ < 0) return;
  ::close(file_);
  ::unlink(part_.c_str());
}

void DumpFile::write(std::string_view data) {
  while (!data.empty()) {
    const auto written = ::write(file_, data.data(), data.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw file_error("write", part_, errno);
    const auto count = static_cast<std::size_t>(written);
    data.remove_prefix(count);
    bytes_ += count;
    unsynced_ += count;
  }
  if (unsynced_ >= sync_bytes) sync();
}

void DumpFile::sync() {
  if (::fsync(file_) != 0) throw file_error("write", part_, errno);
  unsynced_ = 0;
}

void DumpFile::finish() {
  sync();
  ::close(std::exchange(file_, -1));
  if (::rename(part_.c_str(), path_.c_str()) != 0) {
    const int error = errno;
    ::unlink(part_.c_str());
    throw file_error("write", path_, error);
  }
  const int folder = ::open(path_.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) throw file_error("read", path_.parent_path(), errno);
  ::fsync(folder);
  ::close(folder);
}

std::string dump_name(const std::string& revision, domain::RolloutId rollout) {
  return revision + "-" + std::to_string(rollout.value);
}

void keep_newest(const fs::path& folder, const std::string& pattern, const std::string& service, int keep,
                 const std::function<bool(domain::RolloutId)>& went_live) {
  const std::string variable = "{revision}";
  const auto at = pattern.find(variable);
  const auto before = pattern.substr(0, at);
  const auto after = pattern.substr(at + variable.size());
  const std::regex ours("^" + service + "-[0-9a-f]{7}-[0-9a-f]{6}-([0-9]{1,18})$");
  std::vector<std::pair<std::int64_t, fs::path>> live;  // by rollout
  std::vector<std::pair<std::int64_t, fs::path>> failed;
  std::error_code failure;
  for (const auto& entry : fs::directory_iterator(folder, failure)) {
    const auto name = entry.path().filename().string();
    if (name.size() <= before.size() + after.size() || !name.starts_with(before) || !name.ends_with(after)) continue;
    const auto middle = name.substr(before.size(), name.size() - before.size() - after.size());
    std::smatch match;
    if (!std::regex_match(middle, match, ours) || !entry.is_regular_file(failure)) continue;
    const auto rollout = std::stoll(match[1].str());
    (went_live(domain::RolloutId{rollout}) ? live : failed).emplace_back(rollout, entry.path());
  }
  for (auto* files : {&live, &failed}) {
    std::sort(files->begin(), files->end(), std::greater<>());
    for (std::size_t i = static_cast<std::size_t>(keep); i < files->size(); ++i) remove_file((*files)[i].second);
  }
}

std::string restore_command(const domain::Hook& hook, const fs::path& file) {
  std::string command = "docker exec -i " + quoted(hook.in);
  for (const auto& word : hook.restore) command += " " + quoted(word);
  return command + " < " + quoted(file.string());
}

}  // namespace deploy::rollout
