// Several files change together or not at all, whatever happens meanwhile.
#include "agent/adopt/change_journal.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <catch2/catch_all.hpp>
#include <fstream>
#include <sstream>

#include "tests/fakes/run.hpp"
#include "tests/fakes/temp_dir.hpp"

namespace deploy::tests {
namespace {

namespace fs = std::filesystem;
using adopt::ChangeJournal;
using adopt::FileChange;
using Texts = std::vector<std::string>;

std::string text_of(const fs::path& file) {
  std::ostringstream text;
  text << std::ifstream(file, std::ios::binary).rdbuf();
  return text.str();
}

ino_t inode_of(const fs::path& file) {
  struct stat status {};
  REQUIRE(stat(file.c_str(), &status) == 0);
  return status.st_ino;
}

/// A user's file, a new one, and a new one in a folder that is not there yet.
struct Files {
  Files() {
    std::ofstream(conf) << "before\n";
    changes = {{(folder / "new").string(), std::nullopt, "new\n", 0600},
               {conf.string(), "before\n", "a longer text than before\n"},
               {inner.string(), std::nullopt, "inner\n"}};
  }
  void check_untouched() const {
    CHECK(text_of(conf) == "before\n");
    CHECK(!fs::exists(folder / "new"));
    CHECK(!fs::exists(inner.parent_path()));
  }
  TempDir folder;
  fs::path conf = folder / "nginx.conf";
  fs::path inner = folder / "deep" / "er" / "file";
  fs::path copies = folder / "copies";
  std::vector<FileChange> changes;
};

}  // namespace

TEST_CASE("all files are written, those that are there in place, and copies of them stay") {
  Files files;
  const auto inode = inode_of(files.conf);
  ChangeJournal journal(files.copies);
  journal.begin(files.changes, {(files.folder / "upstreams").string()});
  files.check_untouched();
  journal.write();
  const auto copies = journal.finish();
  CHECK(text_of(files.conf) == "a longer text than before\n");
  CHECK(inode_of(files.conf) == inode);
  CHECK(text_of(files.inner) == "inner\n");
  CHECK(fs::is_directory(files.folder / "upstreams"));
  CHECK((fs::status(files.folder / "new").permissions() & fs::perms::all) ==
        (fs::perms::owner_read | fs::perms::owner_write));
  CHECK(text_of(fs::path(copies) / "1-nginx.conf") == "before\n");
  CHECK(ChangeJournal(files.copies).undo_interrupted().restored.empty());
}

TEST_CASE("an undo leaves nothing, and neither does the run after one that was cut short") {
  Files files;
  SECTION("undone") {
    ChangeJournal journal(files.copies);
    journal.begin(files.changes, {});
    journal.write();
    journal.undo();
    CHECK(!fs::exists(files.copies));
  }
  SECTION("cut short before anything was written") {
    ChangeJournal(files.copies).begin(files.changes, {});
    CHECK(ChangeJournal(files.copies).undo_interrupted().restored.size() == 3);
  }
  SECTION("cut short after everything was written") {
    {
      ChangeJournal journal(files.copies);
      journal.begin(files.changes, {});
      journal.write();
      journal.mark("nginx");
    }
    const auto found = ChangeJournal(files.copies).undo_interrupted();
    CHECK(found.restored == Texts{(files.folder / "new").string(), files.conf.string(), files.inner.string()});
    CHECK(found.note == "nginx");
    CHECK(!found.kept);
    // Until that is put right, too; but the files are somebody's again.
    std::ofstream(files.conf) << "edited\n";
    const auto again = ChangeJournal(files.copies).undo_interrupted();
    CHECK(again.restored.empty());
    CHECK(again.note == "nginx");
    CHECK(fs::exists(again.list));
    CHECK(text_of(files.conf) == "edited\n");
    ChangeJournal(files.copies).forget_interrupted();
    CHECK(ChangeJournal(files.copies).undo_interrupted().note.empty());
    std::ofstream(files.conf) << "before\n";
  }
  SECTION("undone, and cut short before what was marked is put right, too") {
    {
      ChangeJournal journal(files.copies);
      journal.begin(files.changes, {});
      journal.write();
      journal.mark("nginx");
      journal.undo();
    }
    const auto found = ChangeJournal(files.copies).undo_interrupted();
    CHECK(found.restored.empty());
    CHECK(found.note == "nginx");
  }
  SECTION("undone, with all that was marked") {
    ChangeJournal journal(files.copies);
    journal.begin(files.changes, {});
    journal.write();
    journal.mark("nginx");
    journal.undo();
    journal.forget();
    CHECK(!fs::exists(files.copies));
  }
  SECTION("cut short in the middle of a file") {
    ChangeJournal(files.copies).begin(files.changes, {});
    std::ofstream(files.conf) << "a longer te";
    std::ofstream(files.folder / ".new.tmp") << "ne";
    ChangeJournal(files.copies).undo_interrupted();
    // What was found is kept: it could be somebody's work.
    const auto run = fs::directory_iterator(files.copies)->path();
    CHECK(text_of(run / "1-nginx.conf.found") == "a longer te");
    CHECK(!fs::exists(files.folder / ".new.tmp"));
  }
  files.check_untouched();
}

TEST_CASE("what is kept is not undone by a later run, which hears what is left to do") {
  Files files;
  {
    ChangeJournal journal(files.copies);
    journal.begin(files.changes, {});
    journal.write();
    journal.mark("nginx");
    journal.keep("the containers that are left");
  }
  const auto found = ChangeJournal(files.copies).undo_interrupted();
  CHECK(found.restored.empty());
  CHECK(found.kept);
  CHECK(found.note == "the containers that are left");
  CHECK(text_of(files.conf) == "a longer text than before\n");
  CHECK(text_of(files.inner) == "inner\n");
  ChangeJournal(files.copies).forget_interrupted();
  CHECK(ChangeJournal(files.copies).undo_interrupted().note.empty());
}

TEST_CASE("a file that was changed meanwhile, or cannot be written, stops it before anything is changed") {
  Files files;
  ChangeJournal journal(files.copies);
  SECTION("changed") {
    std::ofstream(files.conf) << "somebody else's\n";
    const auto error = error_of([&] { journal.begin(files.changes, {}); });
    CHECK(error.kind() == ErrorKind::conflict);
    CHECK(error.message() == "nothing was changed: " + files.conf.string() + " was changed meanwhile; run this again");
  }
  SECTION("not writable") {
    // Also root cannot write to a folder, nor below a file.
    files.changes[1].path = files.folder.path().string();
    files.changes[0].path = (files.conf / "below").string();
    const auto error = error_of([&] { journal.begin(files.changes, {}); });
    CHECK(error.kind() == ErrorKind::failed);
    CHECK(error.message().starts_with("nothing was changed: cannot write into " + files.conf.string() + ": "));
    CHECK(error.message().find("; cannot write " + files.folder.path().string() + ": Is a directory") !=
          std::string::npos);
  }
  CHECK(!fs::exists(files.copies));
}

TEST_CASE("a list of an earlier run that cannot be read is not guessed at") {
  Files files;
  fs::create_directories(files.copies / "20260101T000000Z");
  std::ofstream(files.copies / "20260101T000000Z" / "under-way.json") << "{";
  CHECK(error_of([&] { ChangeJournal(files.copies).undo_interrupted(); }).message() ==
        (files.copies / "20260101T000000Z" / "under-way.json").string() +
            " cannot be read: it lists what an earlier run began to change; compare the copies beside it with your "
            "files, "
            "then remove it");
}

}  // namespace deploy::tests
