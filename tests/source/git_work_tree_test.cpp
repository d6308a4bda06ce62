// A real work tree brought forward along its branch: what is written how, and what is refused.
#include <unistd.h>

#include <catch2/catch_all.hpp>

#include "tests/source/work_tree_fixture.hpp"

using namespace deploy;
using namespace deploy::tests;

TEST_CASE("a work tree is brought forward, and git agrees") {
  WorkTreeSite site;
  site.upstream.write("nginx.conf", "worker_processes 2;\nevents {}\n");
  site.upstream.write("conf.d/new/site.conf", "server {}\n");
  fs::remove(site.upstream.folder() / "run.sh");
  fs::create_symlink("nginx.conf", site.upstream.folder() / "link");
  const auto next = site.push();
  const auto pull = site.pulled(next);
  auto of = site.tree();
  const auto texts = run(of.texts(pull));
  REQUIRE(texts.size() == 1);
  CHECK(texts[0].path == "nginx.conf");
  CHECK(texts[0].before == "worker_processes 1;\n");
  CHECK(texts[0].after == "worker_processes 2;\nevents {}\n");
  CHECK(pull.from == site.first);
  CHECK(pull.to == next);
  CHECK(pull.files == std::vector<std::string>{"conf.d/new/site.conf", "link", "nginx.conf", "run.sh"});
  CHECK(site.read("nginx.conf") == "worker_processes 2;\nevents {}\n");
  CHECK(site.read("conf.d/new/site.conf") == "server {}\n");
  CHECK(fs::read_symlink(site.folder / "link") == "nginx.conf");
  CHECK_FALSE(fs::exists(site.folder / "run.sh"));
  CHECK(site.git({"rev-parse", "HEAD"}) == next);
  CHECK(site.git({"symbolic-ref", "HEAD"}) == "refs/heads/main");
  CHECK(site.git({"diff-index", "HEAD"}).empty());  // without looking at the files: the index has their times
  CHECK(site.git({"status", "--porcelain"}).empty());
  CHECK(site.git({"fsck"}).empty());
  CHECK(site.git({"reflog", "-1", "--format=%gs"}) == "deployctl: fast-forward");
  auto tree = site.tree();
  CHECK(run(tree.contains(next)));
  CHECK(run(tree.contains(site.first)));
  CHECK_FALSE(run(tree.contains(std::string(40, 'a'))));
  // And again: nothing is left to do.
  CHECK(site.prepare(next) == ports::Pull{next, next, {}});
  CHECK(site.prepare(site.first) == ports::Pull{next, next, {}});
}

TEST_CASE("a file keeps its inode, owner and mode, and what is new belongs to the folder's owner") {
  WorkTreeSite site;
  if (::geteuid() != 0) SKIP("only root can have files of others");
  fs::permissions(site.temporary.path(), fs::perms(0755));  // the owner must be able to get there
  for (const auto& entry : fs::recursive_directory_iterator(site.folder)) {
    REQUIRE(::lchown(entry.path().c_str(), 1234, 1235) == 0);
  }
  REQUIRE(::chown(site.folder.c_str(), 1234, 1235) == 0);
  fs::permissions(site.folder / "app/.env", fs::perms::owner_read | fs::perms::owner_write);
  REQUIRE(::chown((site.folder / "nginx.conf").c_str(), 0, 0) == 0);
  const auto before = status_of(site.folder / "app/.env");
  site.upstream.write("app/.env", "DB_PASS=a longer one\n");
  site.upstream.write("nginx.conf", "x\n");
  site.upstream.write("new/file", "n\n");
  fs::permissions(site.upstream.folder() / "run.sh", fs::perms::owner_exec, fs::perm_options::add);
  site.pulled(site.push());
  const auto after = status_of(site.folder / "app/.env");
  CHECK(after.st_ino == before.st_ino);
  CHECK(after.st_mode == before.st_mode);
  CHECK(after.st_uid == 1234);
  CHECK(site.read("app/.env") == "DB_PASS=a longer one\n");
  CHECK(site.read("nginx.conf") == "x\n");
  CHECK(status_of(site.folder / "nginx.conf").st_uid == 0);
  CHECK((status_of(site.folder / "run.sh").st_mode & 0777) == 0755);
  for (const auto* name : {"new", "new/file", ".git/index", ".git/refs/heads/main"}) {
    INFO(name);
    CHECK(status_of(site.folder / name).st_uid == 1234);
    CHECK(status_of(site.folder / name).st_gid == 1235);
  }
  for (const auto& entry : fs::recursive_directory_iterator(site.folder / ".git")) {
    INFO(entry.path());
    CHECK(status_of(entry.path()).st_uid == 1234);
  }
  CHECK(site.git({"status", "--porcelain"}).empty());
}

TEST_CASE("what somebody changed by hand, or added, is not written over") {
  WorkTreeSite site;
  site.upstream.write("nginx.conf", "worker_processes 2;\n");
  site.upstream.write("app/.env", "DB_PASS=new\n");
  site.upstream.write("site.conf", "server {}\n");
  const auto next = site.push();
  const std::string by_hand =
      "; commit and push it, or put it back: git show HEAD:FILE > FILE there keeps the file that a container may have "
      "mounted, git checkout does not";
  SECTION("a file of the pull that was changed") {
    site.edit("nginx.conf", "worker_processes 3;\n");
    site.edit("app/.env", "DB_PASS=mine\n");
    CHECK(site.refusal(next) ==
          "the pull would overwrite what was changed by hand in DIR: app/.env, nginx.conf" + by_hand);
    CHECK(site.read("nginx.conf") == "worker_processes 3;\n");
  }
  SECTION("one that was removed") {
    fs::remove(site.folder / "nginx.conf");
    CHECK(site.refusal(next) == "the pull would overwrite what was changed by hand in DIR: nginx.conf" + by_hand);
  }
  SECTION("one that was changed and staged, and changed back") {
    site.edit("nginx.conf", "worker_processes 3;\n");
    site.git({"add", "nginx.conf"});
    site.edit("nginx.conf", "worker_processes 1;\n");
    CHECK(site.refusal(next) == "the pull would overwrite what was changed by hand in DIR: nginx.conf" + by_hand);
  }
  SECTION("a file that git does not know, ignored or not, or a folder") {
    const bool folder = GENERATE(false, true);
    site.edit(".git/info/exclude", "site.conf\n");
    if (folder) {
      fs::create_directory(site.folder / "site.conf");
    } else {
      site.edit("site.conf", "mine\n");
    }
    CHECK(site.refusal(next) ==
          "the pull would overwrite files in DIR that git does not know: site.conf; move them away");
  }
  SECTION("both") {
    site.edit("nginx.conf", "mine\n");
    site.edit("site.conf", "mine\n");
    CHECK(site.refusal(next) == "the pull would overwrite what was changed by hand in DIR: nginx.conf" + by_hand +
                                    "; the pull would overwrite files in DIR that git does not know: site.conf; move "
                                    "them away");
  }
  SECTION("a folder that became a link: nothing is written where it leads") {
    fs::rename(site.folder / "app", site.folder / "elsewhere");
    fs::create_directory_symlink("elsewhere", site.folder / "app");
    CHECK(site.refusal(next) == "the pull would overwrite what was changed by hand in DIR: app/.env" + by_hand);
  }
  CHECK(site.git({"rev-parse", "HEAD"}) == site.first);
}

TEST_CASE("what the pull does not touch may be as it is") {
  WorkTreeSite site;
  site.edit("app/.env", "DB_PASS=mine\n");
  site.edit("untracked", "mine\n");
  site.upstream.write("nginx.conf", "worker_processes 2;\n");
  site.pulled(site.push());
  CHECK(site.read("nginx.conf") == "worker_processes 2;\n");
  CHECK(site.read("app/.env") == "DB_PASS=mine\n");
  CHECK(site.git({"status", "--porcelain"}) == "M app/.env\n?? untracked");
}

TEST_CASE("what is no fast-forward, or not ready for one, is refused") {
  WorkTreeSite site;
  site.upstream.write("nginx.conf", "worker_processes 2;\n");
  SECTION("a commit of the host's own") {
    site.edit("run.sh", "mine\n");
    site.git({"commit", "--quiet", "--all", "--message", "mine"});
    const auto own = site.git({"rev-parse", "HEAD"});
    const auto next = site.push();
    CHECK(site.refusal(next) == "DIR is at " + own.substr(0, 7) + ", and main of you/infra (" + next.substr(0, 7) +
                                    ") does not go on from there: somebody committed in the folder, or rewrote the "
                                    "branch; bring them together by hand");
  }
  SECTION("a branch that was rewritten") {
    site.upstream.git({"add", "--all"});
    site.upstream.git({"commit", "--quiet", "--amend", "--message", "rewritten"});
    const auto next = site.push();
    CHECK(site.refusal(next).starts_with("DIR is at " + site.first.substr(0, 7) + ", and main of you/infra ("));
  }
  SECTION("another branch") {
    site.git({"checkout", "--quiet", "-b", "other"});
    CHECK(site.refusal(site.push()) ==
          "DIR has the branch \"other\" checked out and not \"main\"; git -C DIR checkout main, or correct "
          "config_repo.branch");
  }
  SECTION("no branch") {
    site.git({"checkout", "--quiet", "--detach"});
    CHECK(site.refusal(site.push()) ==
          "DIR has no branch checked out; git -C DIR checkout main, or correct config_repo.branch");
  }
  SECTION("a merge under way") {
    site.edit(".git/MERGE_HEAD", site.first + "\n");
    CHECK(site.refusal(site.push()) ==
          "DIR is in the middle of a merge, rebase or the like; finish or abort that first (git status)");
  }
  SECTION("a submodule") {
    site.upstream.git({"update-index", "--add", "--cacheinfo", "160000," + site.first + ",sub"});
    site.upstream.git({"commit", "--quiet", "--message", "sub"});
    const auto next = site.upstream.git({"rev-parse", "HEAD"});
    site.mirror.fetch(site.config.git);
    CHECK(site.refusal(next) ==
          "the pull changes the submodule sub, and submodules are not pulled; put its files into the repository "
          "itself, or pull by hand");
  }
  SECTION("a file that becomes a folder") {
    fs::remove(site.upstream.folder() / "run.sh");
    site.upstream.write("run.sh/inner", "x\n");
    CHECK(site.refusal(site.push()) ==
          "the pull makes a folder of the file run.sh, or the other way round; pull by hand");
  }
  SECTION("a file that would be written elsewhere") {
    const auto blob = site.upstream.git({"rev-parse", "HEAD:nginx.conf"});
    std::string tree("100644 ..\0", 10);
    for (std::size_t at = 0; at < blob.size(); at += 2) {
      tree += static_cast<char>(std::stoi(blob.substr(at, 2), nullptr, 16));
    }
    std::ofstream(site.temporary / "tree", std::ios::binary) << tree;
    const auto id =
        site.upstream.git({"hash-object", "-t", "tree", "--literally", "-w", (site.temporary / "tree").string()});
    const auto next = site.upstream.git({"commit-tree", id, "-p", site.first, "-m", "evil"});
    site.upstream.git({"update-ref", "refs/heads/main", next});
    site.mirror.fetch(site.config.git);
    CHECK(site.refusal(next) == "the pull holds a file called \"..\", which is not written; rename it");
  }
  SECTION("too much in a file") {
    site.upstream.write("large", std::string((64 << 20) + 1, 'x'));
    CHECK(site.refusal(site.push()) == "large has more than 64 MiB; pull by hand");
  }
  SECTION("too many files") {
    for (int number = 0; number <= 10'000; ++number) site.upstream.write("many/" + std::to_string(number), "");
    CHECK(site.refusal(site.push()) == "the pull changes more than 10,000 files; pull by hand");
  }
  SECTION("a commit that is not there") {
    site.push();
    const std::string nowhere(40, 'a');
    CHECK(site.refusal(nowhere) ==
          "there is no commit " + nowhere + " in " + site.config.git.url + "; check that it was pushed");
  }
  CHECK(site.read("nginx.conf") == "worker_processes 1;\n");
}

TEST_CASE("a folder that is no work tree is named, with what to do") {
  WorkTreeSite site;
  const auto next = site.push();
  SECTION("no repository") {
    fs::remove_all(site.folder / ".git");
    CHECK(site.refusal(next) ==
          "DIR is not the root of a git work tree; clone you/infra there, or correct config_repo.folder");
  }
  SECTION("a folder inside of one") {
    site.config.folder = (site.folder / "app").string();
    CHECK(site.refusal(next) ==
          "DIR/app is not the root of a git work tree; clone you/infra there, or correct config_repo.folder");
  }
  SECTION("files elsewhere") {
    fs::create_directory(site.temporary / "elsewhere");
    site.git({"config", "core.worktree", (site.temporary / "elsewhere").string()});
    CHECK(site.refusal(next) ==
          "DIR has its files elsewhere, or none at all (core.worktree, core.bare in its .git/config); name the folder "
          "that they are in");
  }
  SECTION("nothing committed") {
    fs::remove_all(site.folder);
    run_program({"git", "init", "--quiet", "--initial-branch=main", site.folder.string()});
    CHECK(site.refusal(next) == "DIR has no commit on the branch \"main\" yet; pull once by hand");
  }
  SECTION("never fetched") {
    fs::remove_all(site.temporary / "git");
    site.upstream.write("nginx.conf", "worker_processes 2;\n");
    CHECK(site.refusal(site.upstream.commit("next")) ==
          "the repository " + site.config.git.url + " was not fetched yet; fetch it first");
  }
}
