#include "agent/source/git_work_tree.hpp"

#include <utility>

#include "agent/base/error.hpp"
#include "agent/source/work_tree_repository.hpp"

namespace deploy::source {

namespace {

namespace fs = std::filesystem;
using Kind = FileState::Kind;

constexpr std::size_t files_named_max = 10;
constexpr std::size_t text_bytes_max = 1 << 20;

std::string listed(const std::vector<std::string>& files) {
  std::string text;
  for (std::size_t at = 0; at < files.size() && at < files_named_max; ++at) text += (at == 0 ? "" : ", ") + files[at];
  if (files.size() > files_named_max) text += " and " + std::to_string(files.size() - files_named_max) + " more";
  return text;
}

/// Throws Error(conflict) where the pull would lose what somebody did by hand.
void require_untouched(const domain::ConfigRepo& config, const WorkTreeRepository& repository,
                       const ChangedFiles& files) {
  const WorkTreeFiles folder(config.folder);
  std::vector<std::string> changed;
  std::vector<std::string> unknown;
  for (const auto& [path, file] : files) {
    const auto found = folder.look(path);
    const bool as_committed =
        found.same_text(repository.load(file.from, path)) && repository.is_staged(path, file.from);
    if (!as_committed) (file.from.mode == 0 ? unknown : changed).push_back(path);
  }
  std::string text;
  if (!changed.empty()) {
    text = "the pull would overwrite what was changed by hand in " + config.folder + ": " + listed(changed) +
           "; commit and push it, or put it back: git show HEAD:FILE > FILE there keeps the file that a container may "
           "have mounted, git checkout does not";
  }
  if (!unknown.empty()) {
    text += (text.empty() ? "" : "; ") + std::string("the pull would overwrite files in ") + config.folder +
            " that git does not know: " + listed(unknown) + "; move them away";
  }
  if (!text.empty()) throw Error(ErrorKind::conflict, text);
}

std::vector<std::string> names_of(const ChangedFiles& files) {
  std::vector<std::string> names;
  for (const auto& [path, file] : files) names.push_back(path);
  return names;
}

GitRepository open_mirror_of(const domain::ConfigRepo& config, const fs::path& mirror) {
  if (!fs::exists(mirror)) {
    throw Error(ErrorKind::not_found, "the repository " + config.git.url + " was not fetched yet; fetch it first");
  }
  return open_bare(mirror.string());
}

/// Does `to` go on from `from`? Throws Error(not_found) where the mirror lacks `to`.
bool goes_on(git_repository* mirror, const domain::ConfigRepo& config, const std::string& from, const std::string& to) {
  git_oid old_tip;
  git_oid new_tip;
  git_commit* found = nullptr;
  if (git_oid_fromstr(&new_tip, to.c_str()) != 0 || git_commit_lookup(&found, mirror, &new_tip) != 0) {
    throw Error(ErrorKind::not_found,
                "there is no commit " + to + " in " + config.git.url + "; check that it was pushed");
  }
  const GitCommit owner(found);
  git_commit* base = nullptr;
  if (git_oid_fromstr(&old_tip, from.c_str()) != 0 || git_commit_lookup(&base, mirror, &old_tip) != 0) return false;
  const GitCommit base_owner(base);
  return git_graph_descendant_of(mirror, &new_tip, &old_tip) == 1;
}

ports::Pull prepare_pull(const domain::ConfigRepo& config, const fs::path& mirror_path, const std::string& to) {
  const WorkTreeRepository repository(config);
  const auto from = repository.head();
  ports::Pull nothing{from, from, {}};
  if (repository.holds(to)) return nothing;
  repository.require_quiet();
  const auto mirror = open_mirror_of(config, mirror_path);
  if (!goes_on(mirror.get(), config, from, to)) {
    throw Error(ErrorKind::conflict, config.folder + " is at " + from.substr(0, 7) + ", and " + config.branch + " of " +
                                         config.repo + " (" + to.substr(0, 7) +
                                         ") does not go on from there: somebody committed in the folder, or rewrote "
                                         "the branch; bring them together by hand");
  }
  const auto files = changed_files(mirror.get(), from, to);
  require_untouched(config, repository, files);
  repository.bring(mirror.get(), from, to);
  for (const auto& [path, file] : files) repository.load(file.to, path);  // what cannot be written is said now
  ports::Pull pull{from, to, names_of(files)};
  return pull;
}

std::vector<ports::TextChange> texts_of(const domain::ConfigRepo& config, const ports::Pull& pull) {
  const WorkTreeRepository repository(config);
  std::vector<ports::TextChange> texts;
  for (const auto& [path, file] : changed_files(repository.get(), pull.from, pull.to)) {
    auto before = repository.load(file.from, path);
    auto after = repository.load(file.to, path);
    const bool files = before.kind == Kind::file && after.kind == Kind::file;
    const bool small = before.content.size() <= text_bytes_max && after.content.size() <= text_bytes_max;
    if (files && small) texts.push_back({path, std::move(before.content), std::move(after.content)});
  }
  return texts;
}

void write_side(const domain::ConfigRepo& config, const ports::Pull& pull, bool new_side) {
  const WorkTreeRepository repository(config);
  const WorkTreeFiles folder(config.folder);
  for (const auto& [path, file] : changed_files(repository.get(), pull.from, pull.to)) {
    folder.write(path, repository.load(new_side ? file.to : file.from, path), file.mode_differs());
  }
}

void put_old_side_back(const domain::ConfigRepo& config, const ports::Pull& pull) {
  const WorkTreeRepository repository(config);
  const WorkTreeFiles folder(config.folder);
  std::vector<std::string> foreign;
  for (const auto& [path, file] : changed_files(repository.get(), pull.from, pull.to)) {
    const auto found = folder.look(path);
    if (!is_between(found, repository.load(file.from, path), repository.load(file.to, path))) foreign.push_back(path);
  }
  if (!foreign.empty()) {
    throw Error(ErrorKind::conflict, "somebody changed in " + config.folder + " what " + pull.to.substr(0, 7) +
                                         " changes, while it was being pulled: " + listed(foreign) +
                                         "; nothing was put back: compare it with git diff there");
  }
  write_side(config, pull, false);
}

void keep_pull(const domain::ConfigRepo& config, const ports::Pull& pull, fs::file_time_type locks_before) {
  const WorkTreeRepository repository(config);
  repository.remove_locks(locks_before);
  repository.set_index(changed_files(repository.get(), pull.from, pull.to));
  repository.move_branch(pull.from, pull.to);
}

}  // namespace

GitWorkTree::GitWorkTree(domain::ConfigRepo config, fs::path mirror, asio::thread_pool& pool)
    : config_(std::move(config)), mirror_(std::move(mirror)), pool_(pool) {
  start_git_library();
  git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 0);
  git_libgit2_opts(GIT_OPT_ENABLE_FSYNC_GITDIR, 1);
}

Task<bool> GitWorkTree::contains(std::string commit) {
  auto work = [this, commit] { return WorkTreeRepository(config_).holds(commit); };
  co_return co_await offload(pool_, work);
}

Task<ports::Pull> GitWorkTree::prepare(std::string commit) {
  auto work = [this, commit] { return prepare_pull(config_, mirror_, commit); };
  co_return co_await offload(pool_, work);
}

Task<ports::Pull> GitWorkTree::recall(std::string from, std::string to) {
  auto work = [this, from, to] {
    const WorkTreeRepository repository(config_);
    ports::Pull pull{from, to, names_of(changed_files(repository.get(), from, to))};
    return pull;
  };
  co_return co_await offload(pool_, work);
}

Task<std::vector<ports::TextChange>> GitWorkTree::texts(ports::Pull pull) {
  auto work = [this, pull] { return texts_of(config_, pull); };
  co_return co_await offload(pool_, work);
}

Task<void> GitWorkTree::write(ports::Pull pull) {
  auto work = [this, pull] { write_side(config_, pull, true); };
  co_await offload(pool_, work);
}

Task<void> GitWorkTree::put_back(ports::Pull pull) {
  auto work = [this, pull] { put_old_side_back(config_, pull); };
  co_await offload(pool_, work);
}

Task<void> GitWorkTree::keep(ports::Pull pull) {
  auto work = [this, pull] { keep_pull(config_, pull, made_); };
  co_await offload(pool_, work);
}

}  // namespace deploy::source
