// What the tests of a work tree share: an upstream repository, a clone of it on the host, and the mirror between them.
#pragma once

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "agent/base/atomic_file.hpp"
#include "agent/source/git_work_tree.hpp"
#include "tests/source/mirror_fixture.hpp"

namespace deploy::tests {

namespace fs = std::filesystem;

inline struct stat status_of(const fs::path& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) throw std::runtime_error("there is no " + path.string());
  return status;
}

struct WorkTreeSite {
  WorkTreeSite() {
    upstream.write("nginx.conf", "worker_processes 1;\n");
    upstream.write("app/.env", "DB_PASS=old\n");
    upstream.write("run.sh", "echo\n");
    first = upstream.commit("first");
    run_program({"git", "clone", "--quiet", upstream.folder().string(), folder.string()});
    config.repo = "you/infra";
    config.folder = folder.string();
    config.git = upstream.source();
  }

  std::string read(const std::string& path) const { return read_file(folder / path, 1 << 20); }
  void edit(const std::string& path, const std::string& text) const { std::ofstream(folder / path) << text; }
  std::string git(std::vector<std::string> arguments) const {
    std::vector<std::string> argv{"git",         "-C", folder.string(),           "-c", "safe.directory=*", "-c",
                                  "user.name=A", "-c", "user.email=a@example.org"};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    return run_program(std::move(argv));
  }
  /// Commits what was written upstream, and fetches it.
  std::string push(const std::string& message = "next") {
    auto commit = upstream.commit(message);
    mirror.fetch(config.git);
    return commit;
  }
  source::GitWorkTree tree() { return {config, mirror.mirror_of(config.git.url), pool}; }
  ports::Pull prepare(const std::string& commit) {
    auto of = tree();
    return run(of.prepare(commit));
  }
  ports::Pull pulled(const std::string& commit) {
    auto of = tree();
    auto pull = run(of.prepare(commit));
    run(of.write(pull));
    run(of.keep(pull));
    return pull;
  }
  std::string refusal(const std::string& commit) {
    const auto error = error_of([&] { prepare(commit); });
    auto text = error.message();
    for (auto at = text.find(folder.string()); at != std::string::npos; at = text.find(folder.string())) {
      text.replace(at, folder.string().size(), "DIR");
    }
    return text;
  }

  TempDir temporary;
  TestRepo upstream{temporary / "upstream"};
  fs::path folder = temporary / "app";
  MirrorUnderTest mirror{temporary / "git"};
  asio::thread_pool pool{1};
  domain::ConfigRepo config;
  std::string first;
};

}  // namespace deploy::tests
