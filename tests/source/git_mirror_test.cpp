#include "agent/source/git_mirror.hpp"

#include <unistd.h>

#include <catch2/catch_all.hpp>
#include <fstream>

#include "agent/base/async.hpp"
#include "agent/base/error.hpp"
#include "tests/fakes/small_disk.hpp"
#include "tests/source/mirror_fixture.hpp"

using namespace std::chrono_literals;
using namespace deploy;
using namespace deploy::tests;

namespace fs = std::filesystem;

namespace {

/// A program that ignores its arguments, in place of the helper.
std::string make_program(const fs::path& path, std::string_view text) {
  std::ofstream(path) << text;
  fs::permissions(path, fs::perms::owner_all);
  return path.string();
}

std::vector<std::string> names_with(const fs::path& folder, const std::string& part) {
  std::vector<std::string> found;
  for (const auto& name : names_below(folder)) {
    if (name.find(part) != std::string::npos) found.push_back(name);
  }
  return found;
}

}  // namespace

TEST_CASE("a mirror is made, and follows branches and tags that move and go") {
  const TempDir folder;
  const TestRepo repo(folder / "repo");
  MirrorUnderTest mirror(folder / "state");
  repo.write("a", "1");
  const std::string first = repo.commit("first");
  repo.git({"branch", "feature"});
  repo.git({"tag", "v1"});

  const auto progress = mirror.fetch(repo.source());
  REQUIRE_FALSE(progress.empty());
  CHECK(progress.back().starts_with("received 3 of 3 objects, 0.0 MB"));
  CHECK(mirror.resolve(repo.source(), "main") == first);
  CHECK(mirror.resolve(repo.source(), "feature") == first);
  CHECK(mirror.resolve(repo.source(), "v1") == first);

  // main is rewritten, feature becomes a folder, v1 moves.
  repo.write("a", "2");
  repo.git({"add", "--all"});
  repo.git({"commit", "--quiet", "--amend", "--message", "rewritten"});
  const std::string second = repo.git({"rev-parse", "HEAD"});
  repo.git({"branch", "-D", "feature"});
  repo.git({"branch", "feature/one"});
  repo.git({"tag", "--force", "--annotate", "--message", "moved", "v1"});
  mirror.fetch(repo.source());
  CHECK(mirror.resolve(repo.source(), "main") == second);
  CHECK(mirror.resolve(repo.source(), "feature/one") == second);
  CHECK(mirror.resolve(repo.source(), "v1") == second);
  CHECK(error_of([&] { mirror.resolve(repo.source(), "feature"); }).kind() == ErrorKind::not_found);
  // What was live before can still be read: a rollback may need it.
  CHECK(mirror.resolve(repo.source(), first) == first);
  CHECK(names_below(folder / "state").front() == mirror.mirror_of(repo.source().url).filename());
  CHECK(names_with(folder / "state", ".home").empty());
}

TEST_CASE("names resolve to a branch, then a tag, then a commit, and to nothing else") {
  const TempDir folder;
  const TestRepo repo(folder / "repo");
  MirrorUnderTest mirror(folder / "state");
  repo.write("a", "1");
  const std::string first = repo.commit("first");
  repo.write("a", "2");
  const std::string second = repo.commit("second");
  repo.git({"tag", "both", first});
  repo.git({"branch", "both", second});
  repo.git({"update-ref", "refs/heads/" + first, second});  // somebody names a branch like a commit
  repo.git({"tag", "file", first + ":a"});
  mirror.fetch(repo.source());

  CHECK(mirror.resolve(repo.source(), "both") == second);
  CHECK(mirror.resolve(repo.source(), first) == first);
  CHECK(mirror.resolve(repo.source(), first.substr(0, 7)) == first);

  const std::string url = repo.source().url;
  const std::string unknown(40, '0');
  for (const std::string& name : {first.substr(0, 6), std::string("none"), unknown}) {
    const Error error = error_of([&] { mirror.resolve(repo.source(), name); });
    CHECK(error.kind() == ErrorKind::not_found);
    CHECK(error.message() ==
          "there is no branch, tag or commit " + name + " in " + url + "; check the name, and that it was pushed");
  }
  for (const std::string name : {"main~1", "main^", "@{upstream}", "main:a", "..", "main..both", "", "a b", "-",
                                 "main.lock", ":/first", "a\\b"}) {
    CAPTURE(name);
    const Error error = error_of([&] { mirror.resolve(repo.source(), name); });
    if (name == "-") {  // git itself allows it as a name
      CHECK(error.kind() == ErrorKind::not_found);
      continue;
    }
    CHECK(error.kind() == ErrorKind::invalid);
    CHECK(error.message() ==
          "\"" + name +
              "\" is not a name that a branch or tag can have; give a branch, a tag, or a commit id of at "
              "least 7 digits");
  }
  const Error not_a_commit = error_of([&] { mirror.resolve(repo.source(), "file"); });
  CHECK(not_a_commit.kind() == ErrorKind::invalid);
  CHECK(not_a_commit.message() == "refs/tags/file names something that is not a commit; give another branch or tag");
}

TEST_CASE("a tree has the files of its folder in path order") {
  const TempDir folder;
  const TestRepo repo(folder / "repo");
  MirrorUnderTest mirror(folder / "state");
  repo.write("app/a.b", "1");
  repo.write("app/a/c", "two");
  repo.write("app/run", "#!");
  repo.write("other", "not in app");
  repo.write("app/big", std::string(3'000'000, 'x') + '\0');
  fs::permissions(repo.folder() / "app/run", fs::perms::owner_exec, fs::perm_options::add);
  fs::create_symlink("../other", repo.folder() / "app/link");
  repo.commit("first");
  repo.git({"update-index", "--add", "--cacheinfo", "160000," + std::string(40, '1') + ",app/submodule"});
  repo.git({"commit", "--quiet", "--message", "with a submodule"});
  const std::string commit = repo.git({"rev-parse", "HEAD"});
  mirror.fetch(repo.source());

  auto source = repo.source();
  source.context = "./app/";
  const auto tree = mirror.tree(source, commit);
  using Kind = ports::TreeEntry::Kind;
  std::vector<std::pair<std::string, Kind>> seen;
  for (const auto& entry : tree->entries()) seen.emplace_back(entry.path, entry.kind);
  CHECK(seen == std::vector<std::pair<std::string, Kind>>{{"a.b", Kind::file},
                                                          {"a/c", Kind::file},
                                                          {"big", Kind::file},
                                                          {"link", Kind::symlink},
                                                          {"run", Kind::executable}});
  CHECK(tree->load(tree->entries()[1]) == "two");
  CHECK(tree->load(tree->entries()[2]) == std::string(3'000'000, 'x') + '\0');
  CHECK(tree->load(tree->entries()[3]) == "../other");
  CHECK(tree->modified() == 1700000000);

  source.context = ".";
  CHECK(mirror.tree(source, commit)->entries().size() == 6);
}

TEST_CASE("a tree that does not exist says so") {
  const TempDir folder;
  const TestRepo repo(folder / "repo");
  MirrorUnderTest mirror(folder / "state");
  repo.write("a", "1");
  const std::string commit = repo.commit("first");
  auto source = repo.source();

  CHECK(error_of([&] { mirror.resolve(source, "main"); }).message() ==
        "the repository " + source.url + " was not fetched yet; fetch it first");
  mirror.fetch(source);

  const std::string unknown(40, '0');
  CHECK(error_of([&] { mirror.tree(source, unknown); }).message() ==
        "there is no commit " + unknown + " in " + source.url + "; check that it was pushed");
  for (const std::string context : {"none", "a"}) {
    source.context = context;
    const Error error = error_of([&] { mirror.tree(source, commit); });
    CHECK(error.kind() == ErrorKind::not_found);
    CHECK(error.message() == "there is no folder " + context + " in commit " + commit + " of " + source.url +
                                 "; check source.git.context");
  }
  for (const std::string context : {"..", "a/../../b", "/etc"}) {
    source.context = context;
    const Error error = error_of([&] { mirror.tree(source, commit); });
    CHECK(error.kind() == ErrorKind::invalid);
    CHECK(error.message() == "source.git.context " + context + " leads out of the repository; name a folder inside it");
  }
}

TEST_CASE("a tree with a name that leads elsewhere is refused") {
  const TempDir folder;
  const TestRepo repo(folder / "repo");
  MirrorUnderTest mirror(folder / "state");
  repo.write("a", "1");
  repo.commit("first");
  // git mktree refuses "..", so the object is written as it is.
  const std::string blob = repo.git({"rev-parse", "HEAD:a"});
  std::string bytes;
  for (std::size_t i = 0; i < blob.size(); i += 2)
    bytes += static_cast<char>(std::stoi(blob.substr(i, 2), nullptr, 16));
  std::ofstream(folder / "object", std::ios::binary) << "100644 .." << '\0' << bytes;
  const std::string tree = repo.git({"hash-object", "-t", "tree", "-w", "--literally", folder / "object"});
  const std::string commit = repo.git({"commit-tree", tree, "-m", "bad"});
  repo.git({"update-ref", "refs/heads/bad", commit});
  mirror.fetch(repo.source());
  const Error error = error_of([&] { mirror.tree(repo.source(), commit); });
  CHECK(error.kind() == ErrorKind::invalid);
  CHECK(error.message() == "the commit holds a file called \"..\", which cannot stand in a build context; rename it");
}

TEST_CASE("a tree that describes more files than can be is refused") {
  const TempDir folder;
  const TestRepo repo(folder / "repo");
  MirrorUnderTest mirror(folder / "state");
  repo.write("a", "1");
  repo.commit("first");
  // Eight levels of ten times the same folder: a hundred million files in nine objects.
  std::string below = repo.git({"rev-parse", "HEAD^{tree}"});
  for (int level = 0; level < 8; ++level) {
    std::ofstream list(folder / "list");
    for (int i = 0; i < 10; ++i) list << "040000 tree " << below << "\t" << i << "\n";
    list.close();
    below = run_program({"sh", "-c", "git -C \"$0\" mktree < \"$1\"", repo.folder(), folder / "list"});
  }
  const std::string commit = repo.git({"commit-tree", below, "-m", "bomb"});
  repo.git({"update-ref", "refs/heads/bomb", commit});
  mirror.fetch(repo.source());
  const Error error = error_of([&] { mirror.tree(repo.source(), commit); });
  CHECK(error.kind() == ErrorKind::invalid);
  CHECK(error.message() == "the commit holds more than 500,000 files; set source.git.context to a smaller folder");
}

TEST_CASE("a repository that is not there leaves no mirror") {
  const TempDir folder;
  MirrorUnderTest mirror(folder / "state");
  domain::GitSource source;
  source.url = "file://" + (folder / "none").string();
  const Error error = error_of([&] { mirror.fetch(source); });
  CHECK(error.kind() == ErrorKind::invalid);
  CHECK(error.message() ==
        "cannot fetch " + source.url +
            ": there is no repository that can be read; check the path and its permissions (failed to "
            "resolve path '" +
            (folder / "none").string() + "': No such file or directory)");
  CHECK(names_below(folder / "state").empty());
}

TEST_CASE("a local repository of another user can be fetched") {
  if (::geteuid() != 0) SKIP("needs root");
  const TempDir folder;
  const TestRepo repo(folder / "repo");
  repo.write("a", "1");
  const std::string commit = repo.commit("first");
  run_program({"chown", "--recursive", "65534:65534", repo.folder()});
  MirrorUnderTest mirror(folder / "state");
  mirror.fetch(repo.source());
  CHECK(mirror.resolve(repo.source(), "main") == commit);
}

TEST_CASE("a damaged mirror is made anew") {
  const TempDir folder;
  const TestRepo repo(folder / "repo");
  MirrorUnderTest mirror(folder / "state");
  repo.write("a", "1");
  const std::string commit = repo.commit("first");
  mirror.fetch(repo.source());
  const fs::path path = mirror.mirror_of(repo.source().url);

  SECTION("without its HEAD") { fs::remove(path / "HEAD"); }
  SECTION("with an empty branch, as after a power cut") { std::ofstream(path / "refs/heads/main", std::ios::trunc); }
  SECTION("without its objects") { fs::remove_all(path / "objects"); }
  SECTION("without its packs") {
    fs::remove_all(path / "objects/pack");
    fs::create_directories(path / "objects/pack");
  }
  SECTION("with a file in its place") {
    fs::remove_all(path);
    std::ofstream(path) << "not a folder";
  }
  const auto progress = mirror.fetch(repo.source());
  REQUIRE_FALSE(progress.empty());
  CHECK(progress.front() == "the mirror is damaged and is fetched anew");
  CHECK(mirror.resolve(repo.source(), "main") == commit);
  CHECK(mirror.tree(repo.source(), commit)->entries().size() == 1);
}

TEST_CASE("what a killed fetch left behind is removed and does not hold up the next") {
  const TempDir folder;
  const TestRepo repo(folder / "repo");
  MirrorUnderTest mirror(folder / "state");
  repo.write("a", "1");
  repo.commit("first");
  mirror.fetch(repo.source());
  const fs::path path = mirror.mirror_of(repo.source().url);
  std::ofstream(path / "refs/heads/main.lock") << "half";
  std::ofstream(path / "objects/pack/pack_git2_abcdef") << "half";
  repo.write("a", "2");
  const std::string second = repo.commit("second");
  mirror.fetch(repo.source());
  CHECK(mirror.resolve(repo.source(), "main") == second);
  CHECK(names_with(path, ".lock").empty());
  CHECK(names_with(path, "_git2_").empty());
}

TEST_CASE("a fetch that takes too long is stopped and leaves nothing") {
  const TempDir folder;
  const TestRepo repo(folder / "repo");
  // It makes what a real one would have on disk by then.
  const std::string program = make_program(folder / "slow",
                                           "#!/bin/sh\nread job\nm=${job#*mirror\\\":\\\"}; m=${m%%\\\"*}\nmkdir -p "
                                           "\"$m\"\ntouch \"$m/half\"\nsleep 1000\n");
  MirrorUnderTest mirror(folder / "state", 500ms, program);
  const Error error = error_of([&] { mirror.fetch(repo.source()); });
  CHECK(error.kind() == ErrorKind::timed_out);
  CHECK(error.message() ==
        "cannot fetch " + repo.source().url +
            ": it took longer than 0.5 s and was stopped; check the network to the server, and try again");
  CHECK(names_below(folder / "state").empty());
}

TEST_CASE("the secrets of a fetch are not in the child's arguments or environment") {
  const TempDir folder;
  const std::string program = make_program(
      folder / "spy",
      "#!/bin/sh\ntr '\\0' ' ' < /proc/$$/cmdline > \"${0%/*}/arguments\"\nenv | grep -v '^DEPLOY_TEST_TOKEN=' > "
      "\"${0%/*}/environment\"\ncat > \"${0%/*}/input\"\necho '{\"done\":\"\"}'\n");
  MirrorUnderTest mirror(folder / "state", 20s, program);
  domain::GitSource source;
  source.url = "https://git.example/a";
  source.token_env = "DEPLOY_TEST_TOKEN";
  ::setenv("DEPLOY_TEST_TOKEN", "very-secret", 1);
  mirror.fetch(source);
  ::unsetenv("DEPLOY_TEST_TOKEN");
  CHECK(run_program({"grep", "-c", "very-secret", folder / "input"}) == "1");
  CHECK_THROWS(run_program({"grep", "very-secret", folder / "arguments", folder / "environment"}));
}

TEST_CASE("two fetches of one repository go one after the other") {
  const TempDir folder;
  const std::string program = make_program(
      folder / "exclusive",
      "#!/bin/sh\nmkdir \"${0%/*}/held\" || exit 1\nsleep 0.1\nrmdir \"${0%/*}/held\"\necho '{\"done\":\"\"}'\n");
  MirrorUnderTest mirror(folder / "state", 20s, program);
  domain::GitSource source;
  source.url = "file:///srv/a";
  std::vector<std::string> failures;
  run([](MirrorUnderTest* under_test, domain::GitSource of, std::vector<std::string>* failed) -> Task<void> {
    TaskGroup group(co_await asio::this_coro::executor,
                    [failed](const std::string&, std::exception_ptr cause) { failed->push_back(message_of(cause)); });
    for (int i = 0; i < 3; ++i) group.spawn("fetch", under_test->mirror().fetch(of, {}));
    co_await group.wait();
  }(&mirror, source, &failures));
  CHECK(failures == std::vector<std::string>{});
}

TEST_CASE("a full disk is said to be full, and the mirror stays as it was") {
  if (::geteuid() != 0) SKIP("needs root");
  const TempDir folder;
  const TestRepo repo(folder / "repo");
  repo.write("a", "1");
  const std::string first = repo.commit("first");
  fs::create_directory(folder / "state");
  on_small_disk(folder / "state", 512, [&] {
    MirrorUnderTest mirror(folder / "state");
    const fs::path path = mirror.mirror_of(repo.source().url);
    const std::string message = "cannot fetch " + repo.source().url + ": cannot write " + path.string() +
                                ": No space left on device; free some space and try again";
    // Random bytes, so that packing does not make them few.
    run_program({"dd", "if=/dev/urandom", "of=" + (repo.folder() / "big").string(), "bs=1M", "count=2", "status=none"});

    SECTION("while it is cloned") {
      repo.commit("big");
      const Error error = error_of([&] { mirror.fetch(repo.source()); });
      CHECK(error.kind() == ErrorKind::disk_full);
      CHECK(error.message() == message);
      CHECK(names_below(folder / "state").empty());
    }
    SECTION("while it is brought up to date") {
      fs::rename(repo.folder() / "big", folder / "aside");
      mirror.fetch(repo.source());
      const auto before = names_below(path);
      fs::rename(folder / "aside", repo.folder() / "big");
      repo.commit("big");
      const Error error = error_of([&] { mirror.fetch(repo.source()); });
      CHECK(error.kind() == ErrorKind::disk_full);
      CHECK(error.message() == message);
      CHECK(mirror.resolve(repo.source(), "main") == first);
      CHECK(names_below(path) == before);
    }
  });
}
