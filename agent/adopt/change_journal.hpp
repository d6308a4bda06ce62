// Writes several files of different owners as one change: all of them, or none. Before the first is touched, a copy of
// each and a list of them are on the disk, so that a run that is cut short is undone by the next one. Files that are
// there are written in place, because a file that is mounted alone is its inode; new ones appear as a whole. Blocking;
// one thread.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "agent/adopt/file_change.hpp"

namespace deploy::adopt {

class ChangeJournal {
 public:
  /// `folder`: where copies and lists are kept, made with mode 0700 when it is needed.
  explicit ChangeJournal(std::filesystem::path folder) : folder_(std::move(folder)) {}

  struct Interrupted {
    std::vector<std::string> restored;  // files that are as they were before
    std::string note;                   // what was said with mark() or keep()
    bool kept = false;                  // the run had come as far as keep()
    std::string list;                   // the file in which the note is
  };
  /// Undoes what an earlier run left half-done; nothing where none did. Its note is returned until
  /// forget_interrupted(). Throws Error where it cannot.
  Interrupted undo_interrupted();
  /// What the note of an earlier run tells of is put right, too.
  void forget_interrupted();

  /// Throws Error, and has changed nothing: failed (a file cannot be written; all of them are named), conflict (one is
  /// not as `before` says any more).
  void begin(const std::vector<FileChange>& files, const std::vector<std::string>& folders);
  /// Throws Error; undo() is for the caller.
  void write();
  /// Kept until the end, for the run after one that is cut short.
  void mark(const std::string& note);
  /// Puts the files back. What was marked is kept for a later run until forget().
  void undo();
  void forget();
  /// From here on the files stay as they are, and a later run only hears of this note.
  void keep(const std::string& note);
  /// Returns the folder with the copies of what was before; empty where nothing was there before.
  std::string finish();

 private:
  struct Entry {
    std::string path;
    bool existed = false;
    std::string copy;  // file name in the run's folder
  };
  void save() const;
  std::vector<std::filesystem::path> unfinished_runs() const;
  void load(const std::filesystem::path& run);
  void restore(bool keep_what_was_found);

  std::filesystem::path folder_;
  std::filesystem::path run_;  // of this change
  std::vector<FileChange> files_;
  std::vector<Entry> entries_;
  std::vector<std::string> made_folders_;
  std::string note_;
  bool kept_ = false;
};

}  // namespace deploy::adopt
