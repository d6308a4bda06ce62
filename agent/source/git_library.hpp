// libgit2's handles as C++ owners, and its errors as ours. Included by this module's .cpp files only.
// libgit2 keeps its last error per thread: ask for it on the thread that made the call.
#pragma once

#include <git2.h>

#include <memory>
#include <string>

#include "agent/base/error.hpp"

namespace deploy::source {

template <auto Free>
struct GitFree {
  template <class T>
  void operator()(T* handle) const noexcept {
    Free(handle);
  }
};

using GitRepository = std::unique_ptr<git_repository, GitFree<git_repository_free>>;
using GitRemote = std::unique_ptr<git_remote, GitFree<git_remote_free>>;
using GitReference = std::unique_ptr<git_reference, GitFree<git_reference_free>>;
using GitObject = std::unique_ptr<git_object, GitFree<git_object_free>>;
using GitCommit = std::unique_ptr<git_commit, GitFree<git_commit_free>>;
using GitTree = std::unique_ptr<git_tree, GitFree<git_tree_free>>;
using GitTreeEntry = std::unique_ptr<git_tree_entry, GitFree<git_tree_entry_free>>;
using GitBlob = std::unique_ptr<git_blob, GitFree<git_blob_free>>;
using GitDiff = std::unique_ptr<git_diff, GitFree<git_diff_free>>;
using GitIndex = std::unique_ptr<git_index, GitFree<git_index_free>>;
using GitPackBuilder = std::unique_ptr<git_packbuilder, GitFree<git_packbuilder_free>>;
using GitRevwalk = std::unique_ptr<git_revwalk, GitFree<git_revwalk_free>>;
using GitOdb = std::unique_ptr<git_odb, GitFree<git_odb_free>>;

/// Makes libgit2 ready for the rest of the process; to be called before anything else of it, any number of times. It is
/// not ended sooner, because a pool's threads hold its memory until they end. It reads no configuration of the user or
/// the system: an insteadOf or a proxy there would lead somewhere else than the address says.
void start_git_library();

/// libgit2's words for the last failure on this thread.
std::string git_message();

/// Opens a bare repository. Throws Error(failed).
GitRepository open_bare(const std::string& path);

/// 40 hexadecimal digits.
std::string to_text(const git_oid& id);

}  // namespace deploy::source
