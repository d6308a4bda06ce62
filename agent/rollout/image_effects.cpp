// The effects of steps that get an image or give one up: fetch, build, pull, image, prune.
#include <algorithm>
#include <set>

#include "agent/base/error.hpp"
#include "agent/domain/labels.hpp"
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

Task<Outcome> StepEffects::fetch(Work& work) {
  const auto git = *work.service.source.git;
  auto log = logger(work);
  co_await source_.fetch(git, log);
  std::string wanted = work.rollout.commit;
  if (wanted.empty()) wanted = work.rollout.ref.empty() ? work.service.branch : work.rollout.ref;
  work.rollout.commit = co_await source_.resolve(git, wanted);
  work.rollout.log.clear();
  Outcome outcome;
  outcome.detail = "commit " + work.rollout.commit.substr(0, 7);
  if (work.service.source.image.empty()) {
    const auto hash = config_hash(work.service, resolve_(work.service), site_.key);
    outcome.live_already = co_await is_live(work, revision_name(work.service.name, work.rollout.commit, hash));
  }
  co_return outcome;
}

Task<Outcome> StepEffects::build(Work& work) {
  const auto& git = *work.service.source.git;
  const auto settings = resolve_(work.service);
  domain::Revision revision;
  revision.config_hash = config_hash(work.service, settings, site_.key);
  revision.name = revision_name(work.service.name, work.rollout.commit, revision.config_hash);
  revision.commit = work.rollout.commit;
  revision.image_is_ours = true;

  ports::BuildRequest request;
  request.context = co_await source_.tree(git, work.rollout.commit);
  check_dockerfile(*request.context, git, work.rollout.commit);
  request.dockerfile = git.dockerfile;
  request.target = git.target;
  request.args = settings.build_args;
  request.tag = image_tag(work.service.name, revision.name);
  request.labels = {{domain::labels::instance, site_.instance},
                    {domain::labels::service, work.service.name},
                    {domain::labels::revision, revision.name}};
  auto log = logger(work);
  const auto turn = co_await builds_.lock();
  revision.image = request.tag;
  const auto built = co_await first_of(engine_.build(request, log), clock_.sleep_for(build_deadline));
  if (!built) {
    throw Error(ErrorKind::timed_out, "the build of " + request.tag +
                                          " took longer than 30 min and was stopped; its output: deployctl logs " +
                                          std::to_string(work.rollout.id.value));
  }
  work.rollout.log.clear();
  Outcome outcome;
  outcome.detail = request.tag;
  outcome.record = [this, &work, revision] { adopt_revision(work, revision); };
  co_return outcome;
}

Task<Outcome> StepEffects::pull(Work& work) {
  const auto& asked = work.rollout.image;
  const auto& ref = work.rollout.ref.empty() ? work.service.branch : work.rollout.ref;
  const auto reference = asked.empty() ? expand_image(work.service.source.image, work.rollout.commit, ref) : asked;
  auto log = logger(work);
  const auto before = co_await engine_.inspect_image(reference);
  const auto image = co_await engine_.pull(reference, log);
  work.rollout.log.clear();

  domain::Revision revision;
  revision.config_hash = config_hash(work.service, resolve_(work.service), site_.key);
  revision.name = revision_name(work.service.name, work.rollout.commit.empty() ? image.id : work.rollout.commit,
                                revision.config_hash);
  revision.commit = work.rollout.commit;
  revision.image = pinned(image, reference);
  revision.image_asked = reference;
  revision.image_is_ours = !before || before->id != image.id;
  Outcome outcome;
  outcome.detail = revision.image;
  outcome.live_already = co_await is_live(work, revision.name);
  if (!outcome.live_already) outcome.record = [this, &work, revision] { adopt_revision(work, revision); };
  co_return outcome;
}

Task<Outcome> StepEffects::find_image(Work& work) {
  Outcome outcome;
  outcome.detail = work.revision->image;
  outcome.live_already = co_await is_live(work, work.revision->name);
  const auto image = co_await engine_.inspect_image(work.revision->image);
  if (image) co_return outcome;
  if (work.revision->image_asked.empty()) {
    throw Error(ErrorKind::not_found, "the image " + work.revision->image + " of " + work.revision->name +
                                          " was removed by hand; build it again with: deployctl rollout " +
                                          work.service.name + " --ref " + work.revision->commit);
  }
  auto log = logger(work);
  co_await engine_.pull(work.revision->image, log);
  work.rollout.log.clear();
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
  }
  co_return true;
}

domain::Revision& StepEffects::adopt_revision(Work& work, domain::Revision revision) {
  revision.service = work.service.name;
  revision.config = work.rollout.config;
  const auto known = journal_.revisions.find(revision.service, revision.name);
  if (known) {
    revision.id = known->id;
    revision.promoted = known->promoted;
    revision.image_is_ours = known->image_is_ours || revision.image_is_ours;
    journal_.revisions.set_image(known->id, revision.image);
  } else {
    revision.id = journal_.revisions.add(revision);
  }
  work.rollout.revision = revision.id;
  return work.revision.emplace(std::move(revision));
}

}  // namespace deploy::rollout
