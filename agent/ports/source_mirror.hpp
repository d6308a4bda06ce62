// The users' git repositories, mirrored on our disk.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/async.hpp"
#include "agent/domain/service.hpp"

namespace deploy::ports {

/// One file of a commit's tree.
struct TreeEntry {
  enum class Kind { file, executable, symlink };
  std::string path;  // relative to the folder asked for, with '/'
  Kind kind = Kind::file;
  std::string object;  // git's id of the blob
};

/// A folder of one commit, read from git's objects and not from a work tree. Blocking: call it on the pool. One thread
/// at a time.
class SourceTree {
 public:
  virtual ~SourceTree() = default;
  /// Every file in path order, submodules left out.
  virtual const std::vector<TreeEntry>& entries() const = 0;
  /// The blob's bytes; for a symlink its target. Throws Error.
  virtual std::string load(const TreeEntry& entry) const = 0;
  /// Seconds since 1970 that every file of a build context gets: the commit's time, so that what a web server derives
  /// from it (ETag, Last-Modified) changes with the commit and is the same for each build of it.
  virtual std::int64_t modified() const { return 0; }
};

class SourceMirror {
 public:
  virtual ~SourceMirror() = default;

  /// Brings the mirror up to date with the remote. Error kinds: unreachable, timed_out, invalid (key or host key
  /// refused, repository unknown: the message says which), disk_full. On failure the mirror is as it was.
  virtual Task<void> fetch(domain::GitSource source, std::function<void(std::string_view)> on_progress) = 0;

  /// The full id of the commit that the remote's branch is at, asked without fetching anything. Error kinds as of
  /// fetch, and not_found where the remote has no such branch.
  virtual Task<std::string> tip(domain::GitSource source, std::string branch) = 0;

  /// The message of a commit of the mirror. Throws Error(not_found).
  virtual Task<std::string> message(domain::GitSource source, std::string commit) = 0;

  /// The full commit id (40 hexadecimal digits) of a branch, tag or (abbreviated) commit id in the mirror.
  /// Throws Error(not_found).
  virtual Task<std::string> resolve(domain::GitSource source, std::string ref) = 0;

  /// The folder source.context of the commit. Throws Error(not_found) where the commit or the folder does not exist.
  virtual Task<std::unique_ptr<SourceTree>> tree(domain::GitSource source, std::string commit) = 0;
};

}  // namespace deploy::ports
