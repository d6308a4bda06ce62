// A work tree whose pull was cut short, or is taken back: whatever was written, the earlier files come back.
#include <unistd.h>

#include <catch2/catch_all.hpp>

#include "agent/source/work_tree_files.hpp"
#include "tests/fakes/small_disk.hpp"
#include "tests/source/work_tree_fixture.hpp"

using namespace deploy;
using namespace deploy::tests;
using source::FileState;
using Kind = source::FileState::Kind;

namespace {

/// A pull of each kind of change.
struct Pulled : WorkTreeSite {
  Pulled() {
    upstream.write("nginx.conf", "worker_processes 2;\nevents {}\n");
    upstream.write("app/.env", "P=x\n");
    upstream.write("new/site.conf", "server {}\n");
    fs::remove(upstream.folder() / "run.sh");
    fs::create_symlink("nginx.conf", upstream.folder() / "link");
    pull = prepare(push());
  }
  void write() {
    auto of = tree();
    run(of.write(pull));
  }
  void put_back() {
    auto of = tree();
    run(of.put_back(pull));
  }
  void keep() {
    auto of = tree();
    run(of.keep(pull));
  }
  void check_as_before() {
    CHECK(git({"rev-parse", "HEAD"}) == first);
    CHECK(git({"status", "--porcelain"}).empty());
    CHECK(read("nginx.conf") == "worker_processes 1;\n");
    CHECK(read("run.sh") == "echo\n");
    CHECK_FALSE(fs::exists(folder / "new/site.conf"));
  }

  ports::Pull pull;
};

}  // namespace

TEST_CASE("what was written is put back, and can be written again") {
  Pulled site;
  const auto inode = status_of(site.folder / "nginx.conf").st_ino;
  site.write();
  site.write();
  CHECK(site.read("nginx.conf") == "worker_processes 2;\nevents {}\n");
  site.put_back();
  site.put_back();
  site.check_as_before();
  CHECK(status_of(site.folder / "nginx.conf").st_ino == inode);
  site.write();
  site.keep();
  CHECK(site.git({"status", "--porcelain"}).empty());
  CHECK(site.git({"rev-parse", "HEAD"}) == site.pull.to);
  CHECK(status_of(site.folder / "nginx.conf").st_ino == inode);
}

TEST_CASE("a write that was cut short anywhere in a file is put back") {
  Pulled site;
  const std::string before = "worker_processes 1;\n";
  const std::string after = "worker_processes 2;\nevents {}\n";
  for (std::size_t at = 0; at <= after.size(); ++at) {
    INFO(at);
    site.edit("nginx.conf", after.substr(0, at) + (at < before.size() ? before.substr(at) : ""));
    site.put_back();
    site.check_as_before();
  }
  const std::string shorter = "P=x\n";
  const std::string longer = "DB_PASS=old\n";
  for (std::size_t at = 0; at <= shorter.size(); ++at) {
    site.edit("app/.env", shorter.substr(0, at) + longer.substr(at));
    site.put_back();
    site.check_as_before();
  }
  // A file that is made anew: its beginning.
  fs::create_directories(site.folder / "new");
  site.edit("new/site.conf", "serv");
  site.put_back();
  site.check_as_before();
}

TEST_CASE("what somebody wrote meanwhile is not lost, and nothing else is touched") {
  Pulled site;
  site.write();
  SECTION("a text") { site.edit("nginx.conf", "mine\n"); }
  SECTION("a folder in place of a link") {
    fs::remove(site.folder / "link");
    fs::create_directory(site.folder / "link");
  }
  SECTION("an empty file") { site.edit("nginx.conf", ""); }
  const auto error = error_of([&] { site.put_back(); });
  CHECK(error.kind() == ErrorKind::conflict);
  const std::string file = fs::is_directory(site.folder / "link") ? "link" : "nginx.conf";
  CHECK(error.message() == "somebody changed in " + site.folder.string() + " what " + site.pull.to.substr(0, 7) +
                               " changes, while it was being pulled: " + file +
                               "; nothing was put back: compare it with git diff there");
  CHECK(site.read("new/site.conf") == "server {}\n");
}

TEST_CASE("keeping goes on where it was cut short") {
  Pulled site;
  site.write();
  SECTION("the index was written, the branch not") {
    site.keep();
    site.git({"update-ref", "refs/heads/main", site.first});
  }
  SECTION("git's locks were left behind") {
    for (const auto* lock : {".git/index.lock", ".git/refs/heads/main.lock"}) {
      site.edit(lock, "");
      fs::last_write_time(site.folder / lock, fs::file_time_type::clock::now() - std::chrono::seconds(1));
    }
  }
  SECTION("all was done") { site.keep(); }
  site.keep();
  CHECK(site.git({"rev-parse", "HEAD"}) == site.pull.to);
  CHECK(site.git({"status", "--porcelain"}).empty());
}

TEST_CASE("a lock of somebody who is at work in the folder is left alone") {
  Pulled site;
  site.write();
  auto of = site.tree();
  site.edit(".git/index.lock", "");
  fs::last_write_time(site.folder / ".git/index.lock", fs::file_time_type::clock::now() + std::chrono::seconds(1));
  const auto error = error_of([&] { run(of.keep(site.pull)); });
  CHECK(error.transient());
  CHECK(error.message() == "cannot write the index in " + site.folder.string() +
                               ": the index is locked; this might be due to a concurrent or crashed process; if no git "
                               "is at work there, remove the *.lock files of its .git");
  CHECK(fs::exists(site.folder / ".git/index.lock"));
}

TEST_CASE("a branch that somebody moved meanwhile is left alone") {
  Pulled site;
  site.write();
  site.git({"commit", "--quiet", "--allow-empty", "--message", "mine"});
  const auto own = site.git({"rev-parse", "HEAD"});
  const auto error = error_of([&] { site.keep(); });
  CHECK(error.message() == site.folder.string() + " has another commit on \"main\" now: somebody committed while " +
                               site.pull.to.substr(0, 7) + " was pulled; `git status` shows what differs");
  CHECK(site.git({"rev-parse", "HEAD"}) == own);
}

TEST_CASE("a file is not begun where the disk has no room for the new text") {
  if (::geteuid() != 0) SKIP("only root can mount");
  const TempDir folder;
  on_small_disk(folder.path(), 64, [&] {
    const source::WorkTreeFiles files(folder.path());
    const FileState before{Kind::file, std::string(16384, 'a'), false};
    const FileState after{Kind::file, std::string(100000, 'b'), false};
    files.write("nginx.conf", before, false);
    const auto error = error_of([&] { files.write("nginx.conf", after, false); });
    CHECK(error.kind() == ErrorKind::disk_full);
    CHECK(error.message() == "cannot write " + (folder / "nginx.conf").string() +
                                 ": No space left on device; free some space and try again");
    CHECK(files.look("nginx.conf").content == before.content);
  });
}
