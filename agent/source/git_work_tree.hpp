// ports::WorkTree on libgit2: a folder of the users', whose commits come from the mirror of its repository. No filter,
// hook or submodule is run or looked at: files are what the commits' blobs hold, byte for byte. Where this program is
// root, what git keeps in .git is written as the owner of that folder, so that people can go on with git there.
// Owned by the daemon; its calls are made on the io_context's thread and work on the pool.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "agent/domain/config_change.hpp"
#include "agent/ports/work_tree.hpp"

namespace deploy::source {

class GitWorkTree final : public ports::WorkTree {
 public:
  /// `mirror` is fetched by somebody else, before prepare(). The pool outlives this. libgit2 looks at the owner of no
  /// repository in this process from here on: the operator named the folder, and it may belong to anybody.
  GitWorkTree(domain::ConfigRepo config, std::filesystem::path mirror, asio::thread_pool& pool);

  Task<bool> contains(std::string commit) override;
  Task<ports::Pull> prepare(std::string commit) override;
  Task<ports::Pull> recall(std::string from, std::string to) override;
  Task<std::vector<ports::TextChange>> texts(ports::Pull pull) override;
  Task<void> write(ports::Pull pull) override;
  Task<void> put_back(ports::Pull pull) override;
  Task<void> keep(ports::Pull pull) override;

 private:
  domain::ConfigRepo config_;
  std::filesystem::path mirror_;
  asio::thread_pool& pool_;
  std::filesystem::file_time_type made_ = std::filesystem::file_time_type::clock::now();
};

}  // namespace deploy::source
