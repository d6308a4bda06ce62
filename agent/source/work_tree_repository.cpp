#include "agent/source/work_tree_repository.hpp"

#include <fcntl.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <string_view>

namespace deploy::source {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t changed_files_max = 10'000;
constexpr std::size_t pack_bytes_max = 256 << 20;
constexpr std::uint32_t link_mode = 0120000;
constexpr std::uint32_t kind_bits = 0170000;
constexpr std::uint32_t submodule_mode = 0160000;

/// While it lives, this thread makes files as their owner, where the process is root.
class AsOwner {
 public:
  explicit AsOwner(const fs::path& folder) {
    struct stat status {};
    if (::geteuid() != 0 || ::stat(folder.c_str(), &status) != 0) return;
    group_ = ::setfsgid(status.st_gid);
    user_ = ::setfsuid(status.st_uid);
    changed_ = true;
  }
  ~AsOwner() {
    if (!changed_) return;
    ::setfsuid(static_cast<uid_t>(user_));
    ::setfsgid(static_cast<gid_t>(group_));
  }
  AsOwner(const AsOwner&) = delete;
  AsOwner& operator=(const AsOwner&) = delete;

 private:
  int user_ = 0;
  int group_ = 0;
  bool changed_ = false;
};

/// Whoever can push could name a file so that it is written elsewhere.
bool is_safe_path(std::string_view path) {
  for (std::size_t at = 0; at <= path.size();) {
    const auto end = std::min(path.find('/', at), path.size());
    std::string part(path.substr(at, end - at));
    std::transform(part.begin(), part.end(), part.begin(), [](unsigned char c) { return std::tolower(c); });
    if (part.empty() || part == "." || part == ".." || part == ".git") return false;
    at = end + 1;
  }
  return true;
}

GitTree tree_of(git_repository* repository, const std::string& commit) {
  git_oid id;
  git_commit* found = nullptr;
  if (git_oid_fromstr(&id, commit.c_str()) != 0 || git_commit_lookup(&found, repository, &id) != 0) {
    throw Error(ErrorKind::not_found, "there is no commit " + commit + " (" + git_message() + ")");
  }
  const GitCommit owner(found);
  git_tree* tree = nullptr;
  if (git_commit_tree(&tree, found) != 0) {
    throw Error(ErrorKind::failed, "commit " + commit + " cannot be read: " + git_message());
  }
  return GitTree(tree);
}

void add_changed(ChangedFiles& files, const git_diff_file& file, bool is_new) {
  const std::string path = file.path;
  if (!is_safe_path(path)) {
    throw Error(ErrorKind::conflict, "the pull holds a file called \"" + path + "\", which is not written; rename it");
  }
  if ((file.mode & kind_bits) == submodule_mode) {
    throw Error(ErrorKind::conflict, "the pull changes the submodule " + path + ", and submodules are not pulled; " +
                                         "put its files into the repository itself, or pull by hand");
  }
  auto& entry = files[path];
  (is_new ? entry.to : entry.from) = {file.id, file.mode};
}

/// A file that becomes a folder cannot be both while it is not known which of the two it will be.
void require_no_folder_of_a_file(const ChangedFiles& files) {
  for (const auto& [path, file] : files) {
    for (auto slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
      const auto folder = path.substr(0, slash);
      if (!files.contains(folder)) continue;
      throw Error(ErrorKind::conflict,
                  "the pull makes a folder of the file " + folder + ", or the other way round; pull by hand");
    }
  }
}

}  // namespace

ChangedFiles changed_files(git_repository* repository, const std::string& from, const std::string& to) {
  const auto before = tree_of(repository, from);
  const auto after = tree_of(repository, to);
  git_diff* made = nullptr;
  if (git_diff_tree_to_tree(&made, repository, before.get(), after.get(), nullptr) != 0) {
    throw Error(ErrorKind::failed, "commits " + from + " and " + to + " cannot be compared: " + git_message());
  }
  const GitDiff diff(made);
  const auto count = git_diff_num_deltas(made);
  if (count > changed_files_max) {
    throw Error(ErrorKind::conflict, "the pull changes more than 10,000 files; pull by hand");
  }
  ChangedFiles files;
  for (std::size_t at = 0; at < count; ++at) {
    const auto* delta = git_diff_get_delta(made, at);
    if (delta->status != GIT_DELTA_ADDED) add_changed(files, delta->old_file, false);
    if (delta->status != GIT_DELTA_DELETED) add_changed(files, delta->new_file, true);
  }
  require_no_folder_of_a_file(files);
  return files;
}

WorkTreeRepository::WorkTreeRepository(const domain::ConfigRepo& config)
    : config_(config), branch_("refs/heads/" + config.branch) {
  git_repository* opened = nullptr;
  const int result = git_repository_open_ext(&opened, config.folder.c_str(), GIT_REPOSITORY_OPEN_NO_SEARCH, nullptr);
  if (result == GIT_ENOTFOUND) {
    fail(ErrorKind::invalid,
         "is not the root of a git work tree; clone " + config.repo + " there, or correct config_repo.folder");
  }
  if (result != 0) fail(ErrorKind::invalid, "cannot be opened by git: " + git_message());
  repository_.reset(opened);
  std::error_code problem;
  const auto* root = git_repository_workdir(opened);
  if (root == nullptr || !fs::equivalent(root, config.folder, problem)) {
    fail(ErrorKind::invalid,
         "has its files elsewhere, or none at all (core.worktree, core.bare in its .git/config); "
         "name the folder that they are in");
  }
  require_branch();
}

void WorkTreeRepository::require_branch() {
  const auto advice = "git -C " + config_.folder + " checkout " + config_.branch + ", or correct config_repo.branch";
  git_reference* found = nullptr;
  if (git_reference_lookup(&found, get(), "HEAD") != 0) fail(ErrorKind::invalid, "has no HEAD: " + git_message());
  const GitReference head(found);
  const char* const target = git_reference_symbolic_target(found);
  const std::string name = target == nullptr ? "" : target;
  if (name != branch_) {
    constexpr std::string_view branches = "refs/heads/";
    fail(ErrorKind::invalid, (name.starts_with(branches) ? "has the branch \"" + name.substr(branches.size()) +
                                                               "\" checked out and not \"" + config_.branch + "\"; "
                                                         : std::string("has no branch checked out; ")) +
                                 advice);
  }
  if (git_reference_name_to_id(&head_, get(), branch_.c_str()) != 0) {
    fail(ErrorKind::invalid, "has no commit on the branch \"" + config_.branch + "\" yet; pull once by hand");
  }
}

void WorkTreeRepository::fail(ErrorKind kind, const std::string& what) const {
  throw Error(kind, config_.folder + " " + what);
}

void WorkTreeRepository::fail_writing(const std::string& what, int result) const {
  const auto reason = git_message();
  if (result == GIT_ELOCKED) {
    throw Error(ErrorKind::unreachable, "cannot " + what + " in " + config_.folder + ": " + reason +
                                            "; if no git is at work there, remove the *.lock files of its .git");
  }
  const bool full = reason.find("No space left on device") != std::string::npos;
  throw Error(full ? ErrorKind::disk_full : ErrorKind::failed,
              "cannot " + what + " in " + config_.folder + ": " + reason +
                  (full ? "; free some space and push again" : "; all of .git must belong to the folder's owner"));
}

std::string WorkTreeRepository::head() const { return to_text(head_); }

bool WorkTreeRepository::has(const std::string& commit) const {
  git_oid id;
  git_odb* opened = nullptr;
  if (git_oid_fromstr(&id, commit.c_str()) != 0 || git_repository_odb(&opened, get()) != 0) return false;
  const GitOdb objects(opened);
  return git_odb_exists(opened, &id) == 1;
}

bool WorkTreeRepository::holds(const std::string& commit) const {
  git_oid id;
  if (!has(commit) || git_oid_fromstr(&id, commit.c_str()) != 0) return false;
  return git_oid_equal(&id, &head_) != 0 || git_graph_descendant_of(get(), &head_, &id) == 1;
}

void WorkTreeRepository::require_quiet() const {
  if (git_repository_state(get()) == GIT_REPOSITORY_STATE_NONE) return;
  fail(ErrorKind::conflict, "is in the middle of a merge, rebase or the like; finish or abort that first (git status)");
}

bool WorkTreeRepository::is_staged(const std::string& path, const ChangedFile::Side& side) const {
  git_index* opened = nullptr;
  if (git_repository_index(&opened, get()) != 0)
    fail(ErrorKind::invalid, "has an index that cannot be read: " + git_message());
  const GitIndex index(opened);
  const auto* entry = git_index_get_bypath(opened, path.c_str(), 0);
  if (side.mode == 0) return entry == nullptr;
  return entry != nullptr && git_oid_equal(&entry->id, &side.id) != 0;
}

void WorkTreeRepository::bring(git_repository* mirror, const std::string& from, const std::string& to) const {
  if (has(to)) return;
  git_packbuilder* builder = nullptr;
  git_revwalk* walk = nullptr;
  git_oid old_tip;
  git_oid new_tip;
  const bool begun = git_packbuilder_new(&builder, mirror) == 0 && git_revwalk_new(&walk, mirror) == 0 &&
                     git_oid_fromstr(&old_tip, from.c_str()) == 0 && git_oid_fromstr(&new_tip, to.c_str()) == 0;
  const GitPackBuilder builder_owner(builder);
  const GitRevwalk walk_owner(walk);
  std::string pack;
  const auto append = [](void* part, std::size_t size, void* payload) -> int {
    auto& whole = *static_cast<std::string*>(payload);
    if (whole.size() + size > pack_bytes_max) return GIT_EUSER;
    whole.append(static_cast<const char*>(part), size);
    return 0;
  };
  const bool packed = begun && git_revwalk_push(walk, &new_tip) == 0 && git_revwalk_hide(walk, &old_tip) == 0 &&
                      git_packbuilder_insert_walk(builder, walk) == 0;
  const int written = packed ? git_packbuilder_foreach(builder, append, &pack) : -1;
  if (written == GIT_EUSER) {
    throw Error(ErrorKind::conflict, "the pull brings more than 256 MiB; pull by hand");
  }
  if (written != 0)
    throw Error(ErrorKind::failed, "the mirror of " + config_.repo + " cannot be read: " + git_message());

  const AsOwner owner(git_repository_commondir(get()));
  git_odb* opened = nullptr;
  git_odb_writepack* writer = nullptr;
  git_indexer_progress progress{};
  bool kept = git_repository_odb(&opened, get()) == 0;
  const GitOdb objects(opened);
  kept = kept && git_odb_write_pack(&writer, opened, nullptr, nullptr) == 0;
  kept = kept && writer->append(writer, pack.data(), pack.size(), &progress) == 0 &&
         writer->commit(writer, &progress) == 0;
  const std::unique_ptr<git_odb_writepack, void (*)(git_odb_writepack*)> writer_owner(
      writer, [](git_odb_writepack* of) { of->free(of); });
  if (!kept) fail_writing("keep the new commits");
  git_odb_refresh(opened);
}

FileState WorkTreeRepository::load(const ChangedFile::Side& side, const std::string& path) const {
  FileState state;
  if (side.mode == 0) return state;
  git_blob* found = nullptr;
  if (git_blob_lookup(&found, get(), &side.id) != 0) {
    fail(ErrorKind::failed, "lacks the content of " + path + " (" + git_message() + "); git fsck there says more");
  }
  const GitBlob blob(found);
  const auto size = git_blob_rawsize(found);
  if (size > work_tree_file_bytes_max) {
    throw Error(ErrorKind::conflict, path + " has more than 64 MiB; pull by hand");
  }
  state.kind = (side.mode & kind_bits) == link_mode ? FileState::Kind::symlink : FileState::Kind::file;
  state.executable = (side.mode & 0100U) != 0;
  state.content.assign(static_cast<const char*>(git_blob_rawcontent(found)), static_cast<std::size_t>(size));
  return state;
}

void WorkTreeRepository::set_index(const ChangedFiles& files) const {
  git_index* opened = nullptr;
  if (git_repository_index(&opened, get()) != 0) fail_writing("read the index");
  const GitIndex index(opened);
  for (const auto& [path, file] : files) {
    if (file.to.mode == 0) {
      git_index_remove(opened, path.c_str(), 0);
      continue;
    }
    git_index_entry entry{};
    entry.path = path.c_str();
    entry.id = file.to.id;
    entry.mode = file.to.mode;
    struct stat status {};
    if (::lstat((fs::path(config_.folder) / path).c_str(), &status) == 0) {
      // As git has it, so that a plain `git diff` need not read the file to know that it is unchanged.
      entry.ctime = {static_cast<std::int32_t>(status.st_ctim.tv_sec),
                     static_cast<std::uint32_t>(status.st_ctim.tv_nsec)};
      entry.mtime = {static_cast<std::int32_t>(status.st_mtim.tv_sec),
                     static_cast<std::uint32_t>(status.st_mtim.tv_nsec)};
      entry.dev = static_cast<std::uint32_t>(status.st_dev);
      entry.ino = static_cast<std::uint32_t>(status.st_ino);
      entry.uid = status.st_uid;
      entry.gid = status.st_gid;
      entry.file_size = static_cast<std::uint32_t>(status.st_size);
    }
    if (git_index_add(opened, &entry) != 0) fail_writing("write the index");
  }
  const AsOwner owner(git_repository_path(get()));
  if (const int result = git_index_write(opened)) fail_writing("write the index", result);
}

void WorkTreeRepository::move_branch(const std::string& from, const std::string& to) const {
  git_oid old_tip;
  git_oid new_tip;
  git_oid_fromstr(&old_tip, from.c_str());
  git_oid_fromstr(&new_tip, to.c_str());
  if (git_oid_equal(&head_, &new_tip) != 0) return;
  const AsOwner owner(git_repository_commondir(get()));
  git_reference* moved = nullptr;
  const int result =
      git_reference_create_matching(&moved, get(), branch_.c_str(), &new_tip, 1, &old_tip, "deployctl: fast-forward");
  const GitReference reference(moved);
  if (result == GIT_EMODIFIED) {
    fail(ErrorKind::conflict, "has another commit on \"" + config_.branch + "\" now: somebody committed while " +
                                  to.substr(0, 7) + " was pulled; `git status` shows what differs");
  }
  if (result != 0) fail_writing("move the branch \"" + config_.branch + "\"", result);
}

void WorkTreeRepository::remove_locks(fs::file_time_type before) const {
  const fs::path own = git_repository_path(get());
  const fs::path common = git_repository_commondir(get());
  for (const auto& lock : {own / "index.lock", own / "HEAD.lock", common / (branch_ + ".lock")}) {
    std::error_code none;
    const auto written = fs::last_write_time(lock, none);
    if (!none && written < before) fs::remove(lock, none);
  }
}

}  // namespace deploy::source
