// The effects of steps that look where a commit is and what it changes: fetch.
#include <algorithm>
#include <map>
#include <utility>

#include "agent/base/error.hpp"
#include "agent/rollout/step_effects.hpp"

namespace deploy::rollout {

namespace {

/// How many rollouts are looked at for the newest commits of other repositories.
constexpr int earlier_rollouts_looked_at = 20;

/// Path -> kind and content of those files that are one of `paths`, or below one.
std::map<std::string, std::pair<ports::TreeEntry::Kind, std::string>> files_below(
    const ports::SourceTree& tree, const std::vector<std::string>& paths) {
  std::map<std::string, std::pair<ports::TreeEntry::Kind, std::string>> files;
  for (const auto& entry : tree.entries()) {
    const bool below = std::any_of(paths.begin(), paths.end(), [&](const std::string& path) {
      return entry.path == path || entry.path.starts_with(path + "/");
    });
    if (below) files[entry.path] = {entry.kind, entry.object};
  }
  return files;
}

}  // namespace

Task<Outcome> StepEffects::fetch(Work& work) {
  const auto git = *work.service.source.git;
  const bool only_rebuilds = !work.rollout.others.empty() && work.rollout.ref.empty();
  co_await check_disk("a fetch");
  co_await update_mirror(work, git);
  std::string wanted = work.rollout.commit;
  if (wanted.empty()) wanted = work.rollout.ref.empty() ? work.service.branch : work.rollout.ref;
  const auto others = co_await tips_of_others(work);
  work.rollout.commit = co_await source_.resolve(git, wanted);
  Outcome outcome;
  outcome.record = [&work, others] { work.rollout.others = others; };
  outcome.detail = "commit " + work.rollout.commit.substr(0, 7);
  if (work.service.source.image.empty()) {
    const auto hash = config_hash(work.service, resolve_(work.service), site_.key);
    const auto name = revision_name(work.service.name, work.rollout.commit, hash, others);
    outcome.live_already = co_await is_live(work, name);
    if (!outcome.live_already) {
      const auto commit = only_rebuilds ? std::string() : work.rollout.commit;
      const auto same = co_await live_with_same_files(work, hash, commit, others);
      outcome.live_already = !same.empty();
      if (outcome.live_already) outcome.detail += ": nothing below `paths` differs from " + same;
    }
  }
  co_return outcome;
}

Task<void> StepEffects::update_mirror(Work& work, domain::GitSource git) {
  auto log = logger(work);
  const auto turn = co_await pulls_.lock();
  co_await source_.fetch(std::move(git), log);
  work.rollout.log.clear();
}

/// The newest commits that are known of the repositories that the service is rebuilt by.
domain::Commits StepEffects::known_others(const Work& work) {
  domain::Commits known;
  auto rollouts = journal_.rollouts.history(work.service.name, earlier_rollouts_looked_at);
  std::reverse(rollouts.begin(), rollouts.end());
  for (const auto& rollout : rollouts) {
    if (rollout.id > work.rollout.id) continue;
    for (const auto& [repo, commit] : rollout.others) known[repo] = commit;
  }
  domain::Commits wanted;
  for (const auto& other : work.service.rebuilt_by) {
    if (const auto found = known.find(other.repo); found != known.end()) wanted.insert(*found);
  }
  return wanted;
}

/// The same, and what their branches are at now where they can be asked: a build takes that and not what was pushed.
Task<domain::Commits> StepEffects::tips_of_others(Work& work) {
  auto commits = known_others(work);
  for (const auto& other : work.service.rebuilt_by) {
    if (!other.git) continue;
    std::optional<Error> failure;
    try {
      co_await update_mirror(work, *other.git);
      commits[other.repo] = co_await source_.resolve(*other.git, other.branch);
    } catch (const Error& error) {
      failure = error.with_context("rebuilt_by " + other.repo);
    }
    if (failure) throw *failure;
  }
  co_return commits;
}

Task<bool> StepEffects::same_below(domain::GitSource git, std::vector<std::string> paths, std::string before,
                                   std::string after) {
  if (before == after) co_return true;
  if (paths.empty() || before.empty() || after.empty()) co_return false;
  git.context = ".";
  try {
    const auto old_tree = co_await source_.tree(git, before);
    const auto new_tree = co_await source_.tree(git, after);
    co_return files_below(*old_tree, paths) == files_below(*new_tree, paths);
  } catch (const Error& error) {
    // A commit that was taken out of the repository's history cannot be compared.
    if (error.kind() != ErrorKind::not_found) throw;
  }
  co_return false;
}

/// The live revision, where it has this configuration, and neither the wanted commit (empty: nobody wants another one)
/// nor those of the repositories that the service is rebuilt by differ from its own in a file that is the service's;
/// else empty.
Task<std::string> StepEffects::live_with_same_files(Work& work, std::string hash, std::string commit,
                                                    domain::Commits others) {
  const auto& service = work.service;
  const auto live = journal_.targets.live(service.name);
  if (service.paths.empty() && service.rebuilt_by.empty()) co_return "";
  if (live.empty() || !live.front().revision) co_return "";
  const auto revision = journal_.revisions.get(*live.front().revision);
  if (revision.config_hash != hash || revision.commit.empty()) co_return "";
  if (commit.empty()) commit = revision.commit;
  const bool own_same = co_await same_below(*service.source.git, service.paths, revision.commit, commit);
  if (!own_same) co_return "";
  for (const auto& other : service.rebuilt_by) {
    const auto commit_in = [&](const domain::Commits& commits) {
      const auto found = commits.find(other.repo);
      return found == commits.end() ? std::string() : found->second;
    };
    const auto git = other.git.value_or(domain::GitSource{});
    const bool same = co_await same_below(git, other.paths, commit_in(revision.others), commit_in(others));
    if (!same) co_return "";
  }
  const bool runs = co_await is_live(work, revision.name);
  co_return runs ? revision.name : "";
}

/// The live revision where it has this image and configuration, else the one that is to be: the same image of another
/// repository's newer commit is not worth a rollout.
std::string StepEffects::live_with_same_image(const Work& work, const domain::Revision& wanted) {
  const auto live = journal_.targets.live(work.service.name);
  if (wanted.others.empty() || live.empty() || !live.front().revision) return wanted.name;
  const auto revision = journal_.revisions.get(*live.front().revision);
  return revision.image == wanted.image && revision.config_hash == wanted.config_hash ? revision.name : wanted.name;
}

}  // namespace deploy::rollout
