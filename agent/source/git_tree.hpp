// Reading a mirror: from a name to a commit, from a commit to the files of a folder. Blocking; one thread at a time.
#pragma once

#include <memory>
#include <string>

#include "agent/ports/source_mirror.hpp"

namespace deploy::source {

/// The commit's full id. `url` is for messages. Throws Error: not_found, invalid.
std::string resolve_commit(const std::string& mirror, const std::string& url, const std::string& ref);

/// The message of the commit with this full id, at most 64 KiB of it. Throws Error(not_found).
std::string commit_message(const std::string& mirror, const std::string& url, const std::string& commit);

/// The files of `folder` ("." is all) in this commit. Throws Error: not_found, invalid (a folder outside of the
/// repository, or a tree with names or sizes that no honest repository has).
std::unique_ptr<ports::SourceTree> open_tree(const std::string& mirror, const std::string& url,
                                             const std::string& commit, const std::string& folder);

}  // namespace deploy::source
