// What git keeps in a work tree's .git folder, opened: what is checked out, what two commits differ in, the index, the
// branch. Blocking; one thread at a time. Included by this module's .cpp files only.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "agent/domain/config_change.hpp"
#include "agent/source/git_library.hpp"
#include "agent/source/work_tree_files.hpp"

namespace deploy::source {

/// A file that two commits differ in.
struct ChangedFile {
  struct Side {
    git_oid id{};
    std::uint32_t mode = 0;  // as git writes it; 0: there is none
  };
  Side from;
  Side to;
  bool mode_differs() const { return from.mode != to.mode; }
};

/// By path.
using ChangedFiles = std::map<std::string, ChangedFile>;

/// Throws Error: conflict for what is not done here (submodules, names that no honest repository has, too much of it),
/// failed where the repository is damaged.
ChangedFiles changed_files(git_repository* repository, const std::string& from, const std::string& to);

class WorkTreeRepository {
 public:
  /// Throws Error(invalid) where the folder is not the root of a work tree with the branch checked out.
  explicit WorkTreeRepository(const domain::ConfigRepo& config);

  git_repository* get() const noexcept { return repository_.get(); }
  /// The commit that the branch is at.
  std::string head() const;
  bool has(const std::string& commit) const;
  /// Whether the commit is what the branch is at, or comes before it.
  bool holds(const std::string& commit) const;

  /// Throws Error(conflict) while a merge, a rebase or the like is under way.
  void require_quiet() const;
  /// Whether the index has this side at the path.
  bool is_staged(const std::string& path, const ChangedFile::Side& side) const;

  /// Brings what `to` has beyond `from`, as one pack. Throws Error: conflict (too much), disk_full, failed.
  void bring(git_repository* mirror, const std::string& from, const std::string& to) const;
  FileState load(const ChangedFile::Side& side, const std::string& path) const;

  /// The index follows the files as they are now, and the branch the commit. `locks_before`: what a killed process
  /// left locked before then is unlocked.
  void set_index(const ChangedFiles& files) const;
  void move_branch(const std::string& from, const std::string& to) const;
  void remove_locks(std::filesystem::file_time_type before) const;

 private:
  [[noreturn]] void fail(ErrorKind kind, const std::string& what) const;
  /// `result` is libgit2's.
  [[noreturn]] void fail_writing(const std::string& what, int result = -1) const;
  void require_branch();

  const domain::ConfigRepo& config_;
  GitRepository repository_;
  std::string branch_;  // refs/heads/…
  git_oid head_{};
};

}  // namespace deploy::source
