#include "agent/source/git_tree.hpp"

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/source/git_library.hpp"

namespace deploy::source {

namespace {

constexpr std::size_t kAbbreviationMin = 7;
constexpr std::size_t kEntriesMax = 500'000;
constexpr int kDepthMax = 128;
constexpr std::size_t kMessageBytesMax = 64 << 10;
constexpr std::uint64_t kFileBytesMax = 1ULL << 30;

GitRepository open_mirror(const std::string& mirror, const std::string& url) {
  if (!std::filesystem::exists(mirror)) {
    throw Error(ErrorKind::not_found, "the repository " + url + " was not fetched yet; fetch it first");
  }
  return open_bare(mirror);
}

bool is_hexadecimal(std::string_view text) {
  return text.find_first_not_of("0123456789abcdefABCDEF") == std::string_view::npos;
}

GitCommit commit_of(git_repository* repository, std::string_view id) {
  git_oid oid;
  git_commit* found = nullptr;
  if (git_oid_fromstrn(&oid, id.data(), id.size()) != 0) return nullptr;
  if (git_commit_lookup_prefix(&found, repository, &oid, id.size()) != 0) return nullptr;
  return GitCommit(found);
}

/// By its full id. Throws Error(not_found).
GitCommit require_commit(git_repository* repository, const std::string& url, const std::string& id) {
  GitCommit found = id.size() == GIT_OID_HEXSZ ? commit_of(repository, id) : nullptr;
  if (!found) {
    throw Error(ErrorKind::not_found, "there is no commit " + id + " in " + url + "; check that it was pushed");
  }
  return found;
}

/// The commit that a branch or tag leads to; nothing where there is no such reference.
std::string peel(git_repository* repository, const std::string& reference_name) {
  git_reference* found = nullptr;
  if (git_reference_lookup(&found, repository, reference_name.c_str()) != 0) return "";
  const GitReference reference(found);
  git_object* target = nullptr;
  if (git_reference_peel(&target, found, GIT_OBJECT_COMMIT) != 0) {
    throw Error(ErrorKind::invalid,
                reference_name + " names something that is not a commit; give another branch or tag");
  }
  const GitObject commit(target);
  return to_text(*git_object_id(target));
}

/// "a/./b/" -> "a/b"; "." -> "".
std::string normalised(const std::string& folder) {
  std::string result;
  std::string_view rest = folder;
  bool outside = rest.starts_with('/');
  while (!rest.empty()) {
    const auto slash = rest.find('/');
    const std::string_view part = rest.substr(0, slash);
    if (part == "..") outside = true;
    if (!part.empty() && part != ".") result += (result.empty() ? "" : "/") + std::string(part);
    rest.remove_prefix(slash == std::string_view::npos ? rest.size() : slash + 1);
  }
  if (outside) {
    throw Error(ErrorKind::invalid,
                "source.git.context " + folder + " leads out of the repository; name a folder inside it");
  }
  return result;
}

bool is_safe_name(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string_view::npos;
}

class MirrorTree : public ports::SourceTree {
 public:
  MirrorTree(GitRepository repository, const GitTree& root, std::string mirror, std::int64_t modified)
      : repository_(std::move(repository)), mirror_(std::move(mirror)), modified_(modified) {
    add(root.get(), "", 0);
    std::sort(entries_.begin(), entries_.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
  }

  const std::vector<ports::TreeEntry>& entries() const override { return entries_; }

  std::int64_t modified() const override { return modified_; }

  std::string load(const ports::TreeEntry& entry) const override {
    git_oid id;
    git_odb* opened = nullptr;
    if (git_oid_fromstr(&id, entry.object.c_str()) != 0 || git_repository_odb(&opened, repository_.get()) != 0)
      damaged();
    const GitOdb objects(opened);
    std::size_t bytes = 0;
    git_object_t type = GIT_OBJECT_INVALID;
    if (git_odb_read_header(&bytes, &type, opened, &id) != 0) damaged();
    if (bytes > kFileBytesMax) {
      throw Error(ErrorKind::invalid, entry.path + " is larger than 1 GiB; leave it out with .dockerignore");
    }
    git_blob* found = nullptr;
    if (git_blob_lookup(&found, repository_.get(), &id) != 0) damaged();
    const GitBlob blob(found);
    return std::string(static_cast<const char*>(git_blob_rawcontent(found)), bytes);
  }

 private:
  [[noreturn]] void damaged() const {
    throw Error(ErrorKind::failed, "the mirror " + mirror_ + " is damaged (" + git_message() +
                                       "); remove that folder and try again: it is fetched anew then");
  }

  void add(const git_tree* tree, const std::string& prefix, int depth) {
    if (depth > kDepthMax) {
      throw Error(ErrorKind::invalid,
                  "the commit's folders are nested more than 128 deep; set source.git.context to a folder further in");
    }
    const std::size_t count = git_tree_entrycount(tree);
    for (std::size_t i = 0; i < count; ++i) {
      const git_tree_entry* const entry = git_tree_entry_byindex(tree, i);
      const std::string name = git_tree_entry_name(entry);
      if (!is_safe_name(name)) {
        throw Error(ErrorKind::invalid, "the commit holds a file called \"" + prefix + name +
                                            "\", which cannot stand in a build context; rename it");
      }
      switch (git_tree_entry_filemode_raw(entry) & 0170000U) {
        case 0040000:
          add_folder(entry, prefix + name + "/", depth);
          break;
        case 0120000:
          add_file(entry, prefix + name, ports::TreeEntry::Kind::symlink);
          break;
        case 0100000:
          add_file(entry, prefix + name,
                   (git_tree_entry_filemode_raw(entry) & 0100U) != 0 ? ports::TreeEntry::Kind::executable
                                                                     : ports::TreeEntry::Kind::file);
          break;
        default:  // a submodule: its files are in another repository
          break;
      }
    }
  }

  void add_folder(const git_tree_entry* entry, const std::string& prefix, int depth) {
    git_tree* found = nullptr;
    if (git_tree_lookup(&found, repository_.get(), git_tree_entry_id(entry)) != 0) damaged();
    const GitTree tree(found);
    add(found, prefix, depth + 1);
  }

  void add_file(const git_tree_entry* entry, std::string path, ports::TreeEntry::Kind kind) {
    // A small repository can describe more files than any disk holds, by naming one folder many times.
    if (entries_.size() == kEntriesMax) {
      throw Error(ErrorKind::invalid,
                  "the commit holds more than 500,000 files; set source.git.context to a smaller folder");
    }
    entries_.push_back({std::move(path), kind, to_text(*git_tree_entry_id(entry))});
  }

  GitRepository repository_;
  std::string mirror_;
  std::int64_t modified_;
  std::vector<ports::TreeEntry> entries_;
};

}  // namespace

std::string resolve_commit(const std::string& mirror, const std::string& url, const std::string& ref) {
  const GitRepository repository = open_mirror(mirror, url);
  int valid = 0;
  const std::string branch = "refs/heads/" + ref;
  if (ref.find('\0') != std::string::npos || git_reference_name_is_valid(&valid, branch.c_str()) != 0 || valid == 0) {
    throw Error(ErrorKind::invalid,
                "\"" + ref +
                    "\" is not a name that a branch or tag can have; give a branch, a tag, or a commit id "
                    "of at least 7 digits");
  }
  const bool hexadecimal = is_hexadecimal(ref);
  // Whoever can push could name a branch like somebody else's commit.
  const bool full_id = hexadecimal && ref.size() == GIT_OID_HEXSZ;
  if (!full_id) {
    if (std::string commit = peel(repository.get(), branch); !commit.empty()) return commit;
    if (std::string commit = peel(repository.get(), "refs/tags/" + ref); !commit.empty()) return commit;
  }
  if (hexadecimal && ref.size() >= kAbbreviationMin && ref.size() <= GIT_OID_HEXSZ) {
    if (const GitCommit commit = commit_of(repository.get(), ref)) return to_text(*git_commit_id(commit.get()));
  }
  throw Error(ErrorKind::not_found,
              "there is no branch, tag or commit " + ref + " in " + url + "; check the name, and that it was pushed");
}

std::string commit_message(const std::string& mirror, const std::string& url, const std::string& commit) {
  const GitRepository repository = open_mirror(mirror, url);
  const GitCommit found = require_commit(repository.get(), url, commit);
  const char* const text = git_commit_message(found.get());
  return std::string(text == nullptr ? "" : text).substr(0, kMessageBytesMax);
}

std::unique_ptr<ports::SourceTree> open_tree(const std::string& mirror, const std::string& url,
                                             const std::string& commit, const std::string& folder) {
  const std::string path = normalised(folder);
  GitRepository repository = open_mirror(mirror, url);
  const GitCommit found = require_commit(repository.get(), url, commit);
  const std::int64_t modified = std::max<std::int64_t>(0, git_commit_time(found.get()));
  git_tree* opened = nullptr;
  if (git_commit_tree(&opened, found.get()) != 0) {
    throw Error(ErrorKind::failed, "the mirror " + mirror + " is damaged (" + git_message() +
                                       "); remove that folder and try again: it is fetched anew then");
  }
  GitTree root(opened);
  if (!path.empty()) {
    git_tree_entry* entry = nullptr;
    const bool there = git_tree_entry_bypath(&entry, root.get(), path.c_str()) == 0;
    const GitTreeEntry owner(entry);
    git_tree* inner = nullptr;
    if (!there || git_tree_lookup(&inner, repository.get(), git_tree_entry_id(entry)) != 0) {
      throw Error(ErrorKind::not_found,
                  "there is no folder " + path + " in commit " + commit + " of " + url + "; check source.git.context");
    }
    root.reset(inner);
  }
  return std::make_unique<MirrorTree>(std::move(repository), root, mirror, modified);
}

}  // namespace deploy::source
