// What the mirror's tests share: a real repository made by the git command, and a mirror beside it.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/source/git_mirror.hpp"
#include "agent/source/host_process_runner.hpp"
#include "tests/fakes/run.hpp"
#include "tests/fakes/temp_dir.hpp"

namespace deploy::tests {

/// Runs a program to its end; throws where it fails. Returns its output without the last line's end.
std::string run_program(std::vector<std::string> argv, std::map<std::string, std::string> environment = {});

/// A repository with a work tree, in `folder`.
class TestRepo {
 public:
  explicit TestRepo(std::filesystem::path folder);

  std::string git(std::vector<std::string> arguments) const;
  void write(const std::string& path, std::string_view content) const;
  /// Adds everything and commits. Returns the commit's id.
  std::string commit(const std::string& message) const;

  const std::filesystem::path& folder() const noexcept { return folder_; }
  domain::GitSource source() const;

 private:
  std::filesystem::path folder_;
};

/// Stands in for deployd, which the mirror runs as `deployd git-fetch`.
inline const std::string git_fetch_helper = DEPLOY_BINARY_DIR "/git_fetch_helper";

/// A mirror on an io_context of its own for each call.
class MirrorUnderTest {
 public:
  explicit MirrorUnderTest(std::filesystem::path folder, std::chrono::milliseconds deadline = std::chrono::seconds(60),
                           std::string program = git_fetch_helper);

  /// Returns the progress lines.
  std::vector<std::string> fetch(domain::GitSource source);
  std::string tip(domain::GitSource source, std::string branch);
  std::string resolve(domain::GitSource source, std::string ref);
  std::unique_ptr<ports::SourceTree> tree(domain::GitSource source, std::string commit);

  std::filesystem::path mirror_of(const std::string& url) const { return mirror_.mirror_of(url); }
  source::GitMirror& mirror() noexcept { return mirror_; }

 private:
  source::HostProcessRunner runner_;
  asio::thread_pool pool_{1};
  source::GitMirror mirror_;
};

/// Every name below a folder, relative, in order; none where there is no such folder.
std::vector<std::string> names_below(const std::filesystem::path& folder);

}  // namespace deploy::tests
