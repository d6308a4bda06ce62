#include "agent/base/atomic_file.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <atomic>
#include <catch2/catch_all.hpp>
#include <fstream>
#include <thread>
#include <vector>

#include "tests/fakes/run.hpp"
#include "tests/fakes/small_disk.hpp"
#include "tests/fakes/temp_dir.hpp"

using namespace deploy;
using deploy::tests::error_of;
using deploy::tests::on_small_disk;
using deploy::tests::TempDir;

namespace fs = std::filesystem;

namespace {

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename());
  return names;
}

mode_t mode_of(const fs::path& path) {
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  return status.st_mode & 07777;
}

/// While it lives, a file cannot grow beyond this size: a write that stops half-way, without a small file system.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes_max) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    handler_before_ = ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{bytes_max, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    ::signal(SIGXFSZ, handler_before_);
  }

 private:
  rlimit before_{};
  void (*handler_before_)(int) = nullptr;
};

}  // namespace

TEST_CASE("a file is created and replaced with exactly the mode asked for") {
  const TempDir folder;
  const mode_t umask_before = ::umask(077);
  write_atomically(folder / "a.conf", "one", 0644);
  CHECK(read_file(folder / "a.conf", 100) == "one");
  CHECK(mode_of(folder / "a.conf") == 0644);
  write_atomically(folder / "a.conf", "", 0600);
  CHECK(read_file(folder / "a.conf", 100).empty());
  CHECK(mode_of(folder / "a.conf") == 0600);
  CHECK(names_in(folder.path()) == std::vector<std::string>{"a.conf"});
  ::umask(umask_before);
}

TEST_CASE("a reader never sees half a file") {
  const TempDir folder;
  const fs::path path = folder / "a";
  const std::string first(200'000, 'a');
  const std::string second(200'000, 'b');
  write_atomically(path, first, 0600);
  std::atomic<bool> done = false;
  std::atomic<int> torn = 0;
  std::thread reader([&] {
    while (!done) {
      const std::string seen = read_file(path, 1'000'000);
      if (seen != first && seen != second) ++torn;
    }
  });
  for (int i = 0; i < 50; ++i) write_atomically(path, i % 2 == 0 ? second : first, 0600);
  done = true;
  reader.join();
  CHECK(torn == 0);
}

TEST_CASE("what a killed writer left behind is replaced") {
  const TempDir folder;
  std::ofstream(folder / ".a.tmp") << "half of";
  write_atomically(folder / "a", "whole", 0600);
  CHECK(names_in(folder.path()) == std::vector<std::string>{"a"});
}

TEST_CASE("a write that fails half-way leaves the old file and nothing else") {
  const TempDir folder;
  write_atomically(folder / "a", "old", 0600);
  Error error(ErrorKind::failed, "");
  {
    const FileSizeLimit limit(5000);
    error = error_of([&] { write_atomically(folder / "a", std::string(10'000, 'x'), 0600); });
  }
  CHECK(error.message() == "cannot write " + (folder / "a").string() + ": File too large");
  CHECK(read_file(folder / "a", 100) == "old");
  CHECK(names_in(folder.path()) == std::vector<std::string>{"a"});
}

TEST_CASE("a full disk is an error of its own and leaves the old file") {
  const TempDir folder;
  const fs::path path = folder / "a";
  on_small_disk(folder.path(), 64, [&] {
    write_atomically(path, "old", 0600);
    const Error error = error_of([&] { write_atomically(path, std::string(100'000, 'x'), 0600); });
    CHECK(error.kind() == ErrorKind::disk_full);
    CHECK(error.message() ==
          "cannot write " + path.string() + ": No space left on device; free some space and try again");
    CHECK(read_file(path, 100) == "old");
    CHECK(names_in(folder.path()) == std::vector<std::string>{"a"});
  });
}

TEST_CASE("a folder that is not there") {
  const TempDir folder;
  const fs::path path = folder / "none" / "a";
  const Error error = error_of([&] { write_atomically(path, "x", 0600); });
  CHECK(error.kind() == ErrorKind::not_found);
  CHECK(error.message() ==
        "cannot write " + path.string() + ": No such file or directory; create its folder and try again");
}

TEST_CASE("a symbolic link is replaced and what it points to is kept") {
  const TempDir folder;
  write_atomically(folder / "target", "kept", 0600);
  fs::create_symlink("target", folder / "link");
  write_atomically(folder / "link", "new", 0600);
  CHECK_FALSE(fs::is_symlink(folder / "link"));
  CHECK(read_file(folder / "target", 100) == "kept");
}

TEST_CASE("reading what is not there and what is too long") {
  const TempDir folder;
  const std::string path = folder / "a";
  const Error missing = error_of([&] { read_file(path, 10); });
  CHECK(missing.kind() == ErrorKind::not_found);
  CHECK(missing.message() == "cannot read " + path + ": No such file or directory");
  write_atomically(path, "12345678901", 0600);
  const Error longer = error_of([&] { read_file(path, 10); });
  CHECK(longer.kind() == ErrorKind::invalid);
  CHECK(longer.message() == "cannot read " + path + ": it is longer than 10 bytes");
  CHECK(read_file(path, 11) == "12345678901");
}

TEST_CASE("removing says whether there was something to remove") {
  const TempDir folder;
  write_atomically(folder / "a", "x", 0600);
  CHECK(remove_file(folder / "a"));
  CHECK_FALSE(remove_file(folder / "a"));
  const Error error = error_of([&] { remove_file(folder.path()); });
  CHECK(error.message() == "cannot remove " + folder.path().string() + ": Is a directory");
}
