// A folder on this host that is a git work tree of the users' own: their compose, Nginx and env files. It is only ever
// brought forward along its branch, and never over what somebody changed in it by hand.
#pragma once

#include <string>
#include <vector>

#include "agent/base/async.hpp"
#include "agent/ports/upstream_proxy.hpp"

namespace deploy::ports {

/// From what the work tree is at to a commit that descends from it.
struct Pull {
  std::string from;                // 40 hexadecimal digits, as `to`
  std::string to;                  // the same as `from`: there is nothing to pull
  std::vector<std::string> files;  // what differs, relative to the folder, in order
  bool operator==(const Pull&) const = default;
};

/// One call at a time. Errors name the folder. Every call can be repeated after it was cut short.
class WorkTree {
 public:
  virtual ~WorkTree() = default;

  /// Whether the commit is what the work tree is at, or comes before that. Throws Error(invalid) where the folder is no
  /// git work tree that has the branch checked out.
  virtual Task<bool> contains(std::string commit) = 0;

  /// Gets the commit from the mirror, and looks whether the work tree can be brought forward to it. Changes no file.
  /// Throws Error: invalid as contains(); conflict where it is not a fast-forward, where the pull would touch a file
  /// that somebody changed or added, or what it cannot write; not_found where the mirror has no such commit.
  virtual Task<Pull> prepare(std::string commit) = 0;

  /// The pull of these two commits again, without looking at the files.
  virtual Task<Pull> recall(std::string from, std::string to) = 0;

  /// Of those files that both commits have, and that are no larger than a configuration file is (1 MiB).
  virtual Task<std::vector<TextChange>> texts(Pull pull) = 0;

  /// Writes what the pull changes; the branch stays. A file that is there keeps its inode, owner and mode, so that a
  /// container that has it mounted sees the new text. Errors: disk_full, failed.
  virtual Task<void> write(Pull pull) = 0;

  /// Writes it as it was, whatever of `write` was done. Throws Error(conflict), having changed nothing, where a file
  /// holds neither side's text nor a mixture that a cut-short write leaves.
  virtual Task<void> put_back(Pull pull) = 0;

  /// The branch and the index follow the files that were written. Errors: unreachable while somebody else's git is at
  /// work there, conflict where the branch was moved meanwhile, disk_full, failed.
  virtual Task<void> keep(Pull pull) = 0;
};

}  // namespace deploy::ports
