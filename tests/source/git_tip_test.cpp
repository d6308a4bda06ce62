// Asking a remote where a branch is, without fetching; and reading what a commit says.
#include <catch2/catch_all.hpp>
#include <filesystem>
#include <fstream>

#include "agent/base/error.hpp"
#include "tests/source/mirror_fixture.hpp"

using namespace std::chrono_literals;
using namespace deploy;
using namespace deploy::tests;

namespace fs = std::filesystem;

TEST_CASE("a branch's tip is asked for without fetching anything") {
  const TempDir folder;
  const TestRepo repo(folder / "repo");
  MirrorUnderTest mirror(folder / "state");
  repo.write("a", "1");
  const std::string first = repo.commit("first");
  repo.git({"branch", "feature/one"});
  repo.git({"tag", "other"});
  const std::string second = repo.commit("second");
  CHECK(mirror.tip(repo.source(), "main") == second);
  CHECK(mirror.tip(repo.source(), "feature/one") == first);
  CHECK(names_below(folder / "state").empty());
  // A tag is no branch, and the end of a branch's name is not its name.
  for (const std::string name : {"other", "one", "none"}) {
    const Error error = error_of([&] { mirror.tip(repo.source(), name); });
    CHECK(error.kind() == ErrorKind::not_found);
    CHECK(error.message() == "cannot fetch " + repo.source().url + ": it has no branch \"" + name +
                                 "\"; check the configured `branch`, and that it was pushed");
  }
}

TEST_CASE("asking for a tip leaves a mirror that is there as it is") {
  const TempDir folder;
  const TestRepo repo(folder / "repo");
  MirrorUnderTest mirror(folder / "state");
  repo.write("a", "1");
  const std::string first = repo.commit("first");
  mirror.fetch(repo.source());
  const auto before = names_below(folder / "state");
  const std::string second = repo.commit("second");
  CHECK(mirror.tip(repo.source(), "main") == second);
  CHECK(names_below(folder / "state") == before);
  CHECK(mirror.resolve(repo.source(), "main") == first);
  fs::remove_all(repo.folder());
  CHECK(error_of([&] { mirror.tip(repo.source(), "main"); }).kind() == ErrorKind::invalid);
  CHECK(names_below(folder / "state") == before);
}

TEST_CASE("a remote that does not say where its branches are is given up soon") {
  const TempDir folder;
  const TestRepo repo(folder / "repo");
  source::GitMirrorOptions options;
  options.folder = folder / "state";
  options.fetch_program = folder / "silent";
  options.tip_deadline = 100ms;
  std::ofstream(options.fetch_program) << "#!/bin/sh\nsleep 60\n";
  fs::permissions(options.fetch_program, fs::perms::owner_all);
  source::HostProcessRunner runner;
  asio::thread_pool pool{1};
  source::GitMirror mirror(options, runner, pool);
  const Error error = error_of([&] { run(mirror.tip(repo.source(), "main")); });
  CHECK(error.kind() == ErrorKind::timed_out);
  CHECK(error.message() == "cannot fetch " + repo.source().url +
                               ": it took longer than 0.1 s and was stopped; check the network to the server, and try "
                               "again");
}

TEST_CASE("a commit of the mirror has its author's message") {
  const TempDir folder;
  const TestRepo repo(folder / "repo");
  MirrorUnderTest mirror(folder / "state");
  const std::string commit = repo.commit("subject\n\nbody\n[skip deploy]");
  mirror.fetch(repo.source());
  CHECK(run(mirror.mirror().message(repo.source(), commit)) == "subject\n\nbody\n[skip deploy]\n");
  for (const std::string& id : {std::string(40, '1'), std::string("main"), commit.substr(0, 8)}) {
    const Error error = error_of([&] { run(mirror.mirror().message(repo.source(), id)); });
    CHECK(error.kind() == ErrorKind::not_found);
    CHECK(error.message() == "there is no commit " + id + " in " + repo.source().url + "; check that it was pushed");
  }
}
