// The folder of upstream files on the host, which is mounted into Nginx's container. Only files that carry our header
// are ever replaced or removed. Files are small: reading and writing them blocks for some milliseconds.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "agent/proxy/upstream_file.hpp"

namespace deploy::proxy {

class UpstreamFolder {
 public:
  explicit UpstreamFolder(std::filesystem::path path) : path_(std::move(path)) {}

  const std::filesystem::path& path() const noexcept { return path_; }

  /// Our files as they are now. Throws Error(not_found) where the folder does not exist.
  FileMap own_files() const;

  /// Makes our files be exactly these; the one with the generation is written last. Each file is replaced atomically.
  /// What somebody changed by hand is kept as NAME.edited before; returns a sentence for each. Throws Error: conflict
  /// (a file of that name is not ours; nothing was written), disk_full, failed.
  std::vector<std::string> replace(const FileMap& wanted) const;

  /// Somebody removed upstream files, and an Nginx whose configuration names an upstream that is not there does not
  /// start: while it is down, writes those of `wanted` that are missing. They have a line that no other file has,
  /// so that none of them is taken for one that was proved, and a later call may replace them. The file with ports to
  /// listen on is not written blindly, and nothing is while a change is interrupted. Errors as replace().
  void write_missing(const FileMap& wanted) const;

  /// Keeps a copy of the files that a change is about to replace, until forget(). It survives the agent, so that an
  /// interrupted change can be undone. Errors as replace().
  void remember(const FileMap& files) const;
  /// What was remembered; nullopt where no change was interrupted. Throws Error(invalid) where it cannot be read.
  std::optional<FileMap> remembered() const;
  void forget() const;

  /// Removes what a killed agent left half-written. Nothing of ours is being written while this is called.
  void discard_unfinished() const;

 private:
  std::string keep(const std::string& name, const std::string& text) const;

  std::filesystem::path path_;
};

}  // namespace deploy::proxy
