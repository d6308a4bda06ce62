// Reads and writes single files of a work tree, never through a symbolic link on the way. A file that is there is
// written in place: a container that has it mounted by itself sees the inode and not the name. So a write that is cut
// short leaves a mixture, which is recognised and written over by the next one. Blocking; one thread at a time.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "agent/base/unique_fd.hpp"

namespace deploy::source {

/// What a commit, or the folder, has at a path.
struct FileState {
  enum class Kind { none, file, symlink, other };
  Kind kind = Kind::none;
  std::string content;  // of a symlink its target
  bool executable = false;
  bool same_text(const FileState& other) const { return kind == other.kind && content == other.content; }
};

constexpr std::size_t work_tree_file_bytes_max = 64 << 20;

/// Is this one of the two, or what a write from one to the other, or back, leaves when it is cut short?
bool is_between(const FileState& found, const FileState& one, const FileState& other);

class WorkTreeFiles {
 public:
  /// Throws Error where the folder cannot be opened.
  explicit WorkTreeFiles(const std::filesystem::path& folder);

  /// `path` is relative, and has no "." and ".." in it. Kind::other: a folder or the like, something that is no folder
  /// on the way to it, or a file larger than work_tree_file_bytes_max. Throws Error(failed).
  FileState look(const std::string& path) const;

  /// Makes it be so, and durable. `mode_too`: the right to execute it, as well; a new file always gets it. What is new
  /// belongs to the folder's owner. Throws Error: disk_full, failed.
  void write(const std::string& path, const FileState& wanted, bool mode_too) const;

 private:
  /// The folder that the path's last name is in; nullopt: there is none. `make`: then it is made.
  std::optional<UniqueFd> parent_of(const std::string& path, bool make) const;
  void make_folder(int parent, const std::string& name, const std::string& path) const;
  void write_file(int parent, const std::string& path, const FileState& wanted, bool mode_too) const;
  void remove(int parent, const std::string& path) const;
  [[noreturn]] void fail(const char* verb, const std::string& path, int error_number) const;

  std::filesystem::path folder_;
  UniqueFd root_;
  uid_t owner_ = 0;
  gid_t group_ = 0;
};

}  // namespace deploy::source
