#include "agent/store/rollout_log.hpp"

#include <fstream>
#include <system_error>
#include <utility>

namespace deploy::store {

RolloutLog::RolloutLog(std::filesystem::path folder, std::function<void()> on_append)
    : folder_(std::move(folder)), on_append_(std::move(on_append)) {
  std::filesystem::create_directories(folder_);
}

void RolloutLog::append(domain::RolloutId rollout, std::string_view line) {
  const auto file = file_of(rollout);
  std::error_code none;
  const auto size = std::filesystem::file_size(file, none);
  if (none) {
    std::filesystem::remove(file_of(domain::RolloutId{rollout.value - files_max}), none);
  } else if (size > file_bytes_max) {
    return;
  }
  std::ofstream out(file, std::ios::app | std::ios::binary);
  out << line << '\n';
  out.close();
  if (!none && size + line.size() + 1 > file_bytes_max) {
    std::ofstream(file, std::ios::app) << "(the rest is left out: the log is longer than 4 MiB)\n";
  }
  on_append_();
}

std::string RolloutLog::read(domain::RolloutId rollout, std::size_t offset, std::size_t bytes_max) const {
  std::ifstream in(file_of(rollout), std::ios::binary);
  in.seekg(static_cast<std::streamoff>(offset));
  std::string part(bytes_max, '\0');
  in.read(part.data(), static_cast<std::streamsize>(bytes_max));
  part.resize(static_cast<std::size_t>(in.gcount()));
  return part;
}

std::filesystem::path RolloutLog::file_of(domain::RolloutId rollout) const {
  return folder_ / ("rollout-" + std::to_string(rollout.value) + ".log");
}

}  // namespace deploy::store
