// The long output of rollouts (builds, pulls), one file each beside the database. What decides anything is in the
// database; this is for people. Files are limited in size and in number.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "agent/domain/ids.hpp"

namespace deploy::store {

class RolloutLog {
 public:
  static constexpr std::uintmax_t file_bytes_max = 4 << 20;
  static constexpr std::int64_t files_max = 500;

  /// Creates the folder. `on_append` is called after each line.
  RolloutLog(std::filesystem::path folder, std::function<void()> on_append);

  /// Adds a line. A disk that is full loses the line, not the rollout.
  void append(domain::RolloutId rollout, std::string_view line);
  /// What is there from `offset` on, at most `bytes_max`; empty where there is nothing.
  std::string read(domain::RolloutId rollout, std::size_t offset, std::size_t bytes_max) const;

 private:
  std::filesystem::path file_of(domain::RolloutId rollout) const;

  std::filesystem::path folder_;
  std::function<void()> on_append_;
};

}  // namespace deploy::store
