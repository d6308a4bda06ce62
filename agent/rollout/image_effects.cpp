// The effects of steps that get an image or give one up: build, pull, image, prune.
#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "agent/base/error.hpp"
#include "agent/base/text.hpp"
#include "agent/domain/labels.hpp"
#include "agent/rollout/drift.hpp"
#include "agent/rollout/step_effects.hpp"

namespace deploy::rollout {

namespace {

/// repository@sha256:… of the repository that was asked for; the image's id where the engine knows no digest.
std::string pinned(const ports::Image& image, const std::string& reference) {
  const auto name_end =
      reference.find_first_of(":@", reference.rfind('/') == std::string::npos ? 0 : reference.rfind('/'));
  const auto repository = reference.substr(0, name_end);
  for (const auto& digest : image.digests) {
    const auto name = digest.substr(0, digest.find('@'));
    if (name == repository || repository.ends_with("/" + name)) return digest;
  }
  return image.id;
}

constexpr std::chrono::minutes build_deadline{30};
constexpr std::chrono::minutes pull_deadline{30};

void check_dockerfile(const ports::SourceTree& tree, const domain::GitSource& git, const std::string& commit) {
  const auto& entries = tree.entries();
  const bool present = std::any_of(entries.begin(), entries.end(),
                                   [&](const ports::TreeEntry& entry) { return entry.path == git.dockerfile; });
  if (present) return;
  throw Error(ErrorKind::not_found,
              "there is no file " + git.dockerfile + " in folder \"" + git.context + "\" of commit " +
                  commit.substr(0, 7) +
                  "; set source.git.context and source.git.dockerfile to where the Dockerfile is");
}

}  // namespace

/// Nothing big begins on a disk that is nearly full: the old version needs it to go on.
Task<void> StepEffects::check_disk(std::string doing) {
  const auto keep = static_cast<std::uint64_t>(site_.keep_free_bytes);
  const auto check = [&](const std::string& folder, std::uint64_t free, const std::string& advice) {
    if (free >= keep) return;
    throw Error(ErrorKind::disk_full, "only " + human_bytes(free) + " are free for " + folder + ", and " + doing +
                                          " needs disk.keep_free, " + human_bytes(keep) + ", to stay free; " + advice);
  };
  if (keep == 0) co_return;
  if (!site_.state.empty()) {
    std::error_code failure;
    const auto space = std::filesystem::space(site_.state, failure);
    if (!failure)
      check(site_.state.string(), space.available, "free some space, or lower disk.keep_free in agent.yaml");
  }
  const auto engine = co_await engine_.disk_space();
  if (engine) {
    check(engine->folder, engine->free_bytes,
          "`docker system df` shows what takes it, `docker image prune` and `docker builder prune` free some, or lower "
          "disk.keep_free in agent.yaml");
  }
}

Task<ports::Image> StepEffects::pull_image(Work& work, std::string reference) {
  auto log = logger(work);
  const auto turn = co_await pulls_.lock();
  auto image = co_await first_of(engine_.pull(reference, log), clock_.sleep_for(pull_deadline));
  if (!image) {
    throw Error(ErrorKind::timed_out, "the pull of " + reference +
                                          " took longer than 30 min and was stopped; what it got as far as: "
                                          "deployctl logs " +
                                          std::to_string(work.rollout.id.value));
  }
  work.rollout.log.clear();
  co_return std::move(*image);
}

Task<Outcome> StepEffects::build(Work& work) {
  domain::Revision revision;
  revision.config_hash = config_hash(work.service, resolve_(work.service), site_.key);
  revision.name = revision_name(work.service.name, work.rollout.commit, revision.config_hash, work.rollout.others);
  revision.commit = work.rollout.commit;
  revision.others = work.rollout.others;
  revision.image = image_tag(work.service.name, revision.name);
  revision.image_is_ours = true;
  co_await check_disk("a build");
  auto context = co_await context_of(work, work.rollout.commit);
  intend(work, revision);
  co_await make_image(work, *work.revision, std::move(context));
  Outcome outcome;
  outcome.detail = revision.image;
  outcome.record = [this, &work] { journal_.revisions.set_image(*work.revision); };
  co_return outcome;
}

Task<std::shared_ptr<ports::SourceTree>> StepEffects::context_of(Work& work, std::string commit) {
  const auto& git = *work.service.source.git;
  std::shared_ptr<ports::SourceTree> tree = co_await source_.tree(git, commit);
  check_dockerfile(*tree, git, commit);
  co_return tree;
}

/// Builds the revision's image.
Task<void> StepEffects::make_image(Work& work, domain::Revision revision, std::shared_ptr<ports::SourceTree> context) {
  const auto& git = *work.service.source.git;
  ports::BuildRequest request;
  request.context = std::move(context);
  request.dockerfile = git.dockerfile;
  request.target = git.target;
  request.args = resolve_(work.service).build_args;
  request.tag = revision.image;
  request.labels = {{domain::labels::instance, site_.instance},
                    {domain::labels::service, work.service.name},
                    {domain::labels::revision, revision.name}};
  // A step that fetches from another repository looks the same as before to the engine.
  request.from_scratch = !work.service.rebuilt_by.empty();
  auto log = logger(work);
  const auto turn = co_await builds_.lock();
  const auto built = co_await first_of(engine_.build(request, log), clock_.sleep_for(build_deadline));
  if (!built) {
    throw Error(ErrorKind::timed_out, "the build of " + request.tag +
                                          " took longer than 30 min and was stopped; its output: deployctl logs " +
                                          std::to_string(work.rollout.id.value));
  }
  work.rollout.log.clear();
}

Task<Outcome> StepEffects::pull(Work& work) {
  const auto& asked = work.rollout.image;
  const auto& ref = work.rollout.ref.empty() ? work.service.branch : work.rollout.ref;
  const auto reference = asked.empty() ? expand_image(work.service.source.image, work.rollout.commit, ref) : asked;
  co_await check_disk("a pull");
  const auto before = co_await engine_.inspect_image(reference);
  if (!before) journal_.revisions.set_pulled(reference);
  const auto image = co_await pull_image(work, reference);

  work.rollout.others = known_others(work);
  domain::Revision revision;
  revision.config_hash = config_hash(work.service, resolve_(work.service), site_.key);
  revision.name = revision_name(work.service.name, work.rollout.commit.empty() ? image.id : work.rollout.commit,
                                revision.config_hash, work.rollout.others);
  revision.commit = work.rollout.commit;
  revision.others = work.rollout.others;
  revision.image = pinned(image, reference);
  revision.image_asked = reference;
  revision.image_is_ours = journal_.revisions.was_pulled(reference) || (before && before->id != image.id);
  Outcome outcome;
  outcome.detail = revision.image;
  const auto same = live_with_same_image(work, revision);
  outcome.live_already = co_await is_live(work, same);
  if (outcome.live_already) co_return outcome;
  outcome.record = [this, &work, revision] {
    intend(work, revision);
    journal_.revisions.set_image(*work.revision);
  };
  co_return outcome;
}

Task<Outcome> StepEffects::find_image(Work& work) {
  const auto revision = *work.revision;
  Outcome outcome;
  outcome.detail = revision.image;
  outcome.live_already = co_await is_live(work, revision.name);
  if (co_await engine_.inspect_image(revision.image)) co_return outcome;
  outcome.record = [this, revision] { journal_.revisions.set_image(revision); };
  if (!revision.image_asked.empty()) {
    co_await check_disk("a pull");
    co_await pull_image(work, revision.image);
    outcome.detail += ", pulled again";
    co_return outcome;
  }
  if (!work.service.source.git || revision.commit.empty()) {
    throw Error(ErrorKind::not_found,
                "the image " + revision.image + " of " + revision.name +
                    " was removed by hand, and it is not known how to make it again; roll back to "
                    "another revision: deployctl rollback " +
                    work.service.name + " --to REVISION, of those that deployctl history shows");
  }
  if (!work.service.rebuilt_by.empty()) {
    throw Error(ErrorKind::not_found,
                "the image " + revision.image + " of " + revision.name +
                    " was removed by hand, and it cannot be made again as it was, because other repositories took part "
                    "in it (rebuilt_by); roll back to another revision: deployctl rollback " +
                    work.service.name + " --to REVISION, of those that deployctl history shows");
  }
  co_await check_disk("a build");
  co_await update_mirror(work, *work.service.source.git);
  auto context = co_await context_of(work, revision.commit);
  co_await make_image(work, revision, std::move(context));
  outcome.detail += ", built again";
  co_return outcome;
}

Task<Outcome> StepEffects::undo_image(Work& work) {
  Outcome outcome;
  if (!work.revision || work.revision->promoted || !work.revision->image_is_ours) co_return outcome;
  const std::vector<domain::Revision> dropped{*work.revision};
  co_await remove_images(dropped);
  outcome.record = [this, id = work.revision->id] { journal_.revisions.set_pruned(id); };
  co_return outcome;
}

Task<Outcome> StepEffects::prune(Work& work) {
  co_await remove_one_offs(work);
  // The next one catches up. The one that began while this one drained may not have said yet what it needs.
  for (const auto& other : journal_.rollouts.unfinished()) {
    const bool beside = other.service == work.service.name && other.id != work.rollout.id;
    if (beside && other.phase != domain::Phase::queued) co_return Outcome{};
  }
  std::set<domain::RevisionId> kept;
  for (const auto& target : journal_.targets.present()) {
    if (target.revision) kept.insert(*target.revision);
  }
  for (const auto& rollout : journal_.rollouts.unfinished()) {
    if (rollout.revision) kept.insert(*rollout.revision);
  }
  const auto promoted = journal_.revisions.promoted(work.service.name);
  for (std::size_t i = 0; i < promoted.size() && i < static_cast<std::size_t>(work.service.retain); ++i) {
    kept.insert(promoted[i].id);
  }
  std::vector<domain::Revision> dropped;
  for (const auto& revision : journal_.revisions.with_image(work.service.name)) {
    if (!kept.contains(revision.id)) dropped.push_back(revision);
  }
  co_await remove_images(dropped);
  Outcome outcome;
  if (!dropped.empty())
    outcome.detail = "removed " + std::to_string(dropped.size()) + " old revision" + (dropped.size() == 1 ? "" : "s");
  outcome.record = [this, dropped] {
    for (const auto& revision : dropped) journal_.revisions.set_pruned(revision.id);
  };
  co_return outcome;
}

/// Removes the images that are ours and that no other revision, of any service, still names.
Task<void> StepEffects::remove_images(std::vector<domain::Revision> dropped) {
  std::set<std::string> kept;
  for (const auto& revision : journal_.revisions.with_image("")) {
    const bool goes =
        std::any_of(dropped.begin(), dropped.end(), [&](const auto& other) { return other.id == revision.id; });
    if (goes) continue;
    kept.insert(revision.image);
    kept.insert(revision.image_asked);
  }
  for (const auto& revision : dropped) {
    if (!revision.image_is_ours) continue;
    const std::vector<std::string> references{revision.image, revision.image_asked};
    for (const auto& reference : references) {
      if (reference.empty() || kept.contains(reference)) continue;
      co_await engine_.remove_image(reference);
      journal_.revisions.forget_pulled(reference);
    }
  }
}

Task<bool> StepEffects::is_live(Work& work, std::string revision) {
  const auto live = journal_.targets.live(work.service.name);
  if (live.size() != static_cast<std::size_t>(work.service.replicas)) co_return false;
  for (const auto& target : live) {
    if (!target.revision || journal_.revisions.get(*target.revision).name != revision) co_return false;
    const auto container = co_await engine_.inspect(target.container_id);
    if (!container || container->state != "running") co_return false;
    // What somebody changed by hand is put back by a new container.
    const auto changed = changed_by_hand(*container, target, journal_.made_with(target), site_.routing_network);
    if (!changed.empty()) co_return false;
  }
  co_return true;
}

/// Writes down what is about to be made, so that it can be cleared away whatever happens: a revision without an image,
/// unless it has one already.
void StepEffects::intend(Work& work, domain::Revision revision) {
  journal_.transaction([&] {
    revision.service = work.service.name;
    revision.config = work.rollout.config;
    if (const auto known = journal_.revisions.find(revision.service, revision.name)) {
      revision.id = known->id;
      revision.promoted = known->promoted;
      revision.pruned = known->pruned;
      // What was built before says nothing about an image that is pulled now, and the other way round.
      const bool same_source = known->image_asked == revision.image_asked;
      revision.image_is_ours = revision.image_is_ours || (same_source && known->image_is_ours);
    } else {
      revision.pruned = true;
      revision.id = journal_.revisions.add(revision);
    }
    work.rollout.revision = revision.id;
    journal_.rollouts.update(work.rollout);
  });
  work.revision = std::move(revision);
}

}  // namespace deploy::rollout
