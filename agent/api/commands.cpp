#include "agent/api/commands.hpp"

#include <algorithm>
#include <set>

#include "agent/api/queries.hpp"
#include "agent/base/error.hpp"
#include "agent/domain/image_reference.hpp"
#include "agent/rollout/taking_back.hpp"

namespace deploy::api {

namespace {

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

std::string by(const std::string& who) { return who.empty() ? "" : " by " + who; }

std::string name_of(const domain::Rollout& rollout) {
  return "rollout " + std::to_string(rollout.id.value) + " of " + rollout.service;
}

}  // namespace

AcceptedView Commands::rollout(const RolloutRequest& request, const std::string& who) {
  if (request.services.empty()) throw Error(ErrorKind::invalid, "name at least one service to roll out");
  if (!request.ref.empty() && !request.image.empty()) {
    throw Error(ErrorKind::invalid, "a rollout goes to a ref or to an image, not to both");
  }
  if (!request.image.empty() && request.services.size() > 1) {
    throw Error(ErrorKind::invalid, "one image cannot go out on several services; roll them out one by one");
  }
  // Refused here, and not by the rollout's pull, so that a slip of the keyboard leaves no failed rollout behind.
  if (!request.image.empty()) domain::parse_reference(request.image);
  std::vector<store::Job> jobs;
  for (const auto& name : std::set<std::string>(request.services.begin(), request.services.end())) {
    check_configured(services_, name);
    store::Job job;
    job.service = name;
    job.ref = request.ref;
    job.image = request.image;
    job.cause = "deployctl rollout";
    if (!request.ref.empty()) job.cause += " --ref " + request.ref;
    if (!request.image.empty()) job.cause += " --image " + request.image;
    job.cause += by(who);
    jobs.push_back(job);
  }
  return queue(jobs);
}

AcceptedView Commands::rollback(const RollbackRequest& request, const std::string& who) {
  auto back = request.release == 0 ? way_back(request) : way_back_of_release(request);
  std::string cause = "deployctl rollback ";
  if (request.release != 0) {
    cause += "--release " + std::to_string(request.release);
    if (back.jobs.empty()) {
      throw Error(ErrorKind::conflict,
                  "nothing of release " + std::to_string(request.release) +
                      " can be taken back: " + (back.left.empty() ? "nothing of it went live" : joined(back.left)));
    }
  } else {
    cause += "to " + back.jobs.front().revision;
    const auto& job = back.jobs.front();
    const auto irreversible = rollout::irreversible_since(journal_, job.service, job.revision);
    if (!irreversible.empty() && !request.confirmed) {
      throw Error(ErrorKind::conflict, irreversible + "; " + job.revision +
                                           " may not understand the data any more. Go back all the same with: "
                                           "deployctl rollback " +
                                           job.service + " --to " + job.revision + " --yes");
    }
  }
  for (auto& job : back.jobs) job.cause = cause + by(who);
  AcceptedView accepted;
  journal_.transaction([&] {
    if (back.watched && journal_.bakes(*back.watched)) {
      journal_.stop(*back.watched, {domain::Phase::cancelled, "taken back with " + back.jobs.front().cause});
    }
    accepted = queue(back.jobs);
    const auto first = journal_.rollouts.get({accepted.rollouts.front().id});
    for (const auto& reason : back.left) journal_.tell(first, "note", "not taken back: " + reason);
  });
  return accepted;
}

PlanView Commands::plan_rollback(const RollbackRequest& request, rollout::Previews& previews) {
  auto all = request;
  all.confirmed = true;
  const auto back = all.release == 0 ? way_back(all) : way_back_of_release(all);
  PlanView view;
  for (auto& preview : previews.of_rollbacks(back.jobs, back.watched)) {
    view.services.push_back(planned_view(std::move(preview)));
  }
  for (const auto& reason : back.left) view.notes.push_back("not taken back: " + reason);
  return view;
}

Commands::WayBack Commands::way_back(const RollbackRequest& request) {
  check_configured(services_, request.service);
  WayBack back;
  store::Job job;
  job.kind = domain::RolloutKind::rollback;
  job.service = request.service;
  // What bakes, or is being taken back from there, is not live yet: its predecessor is.
  back.watched = baked_one(request.service);
  const bool to_previous = request.to.empty() && back.watched && back.watched->previous;
  job.revision = to_previous ? journal_.revisions.get(*back.watched->previous).name
                             : revision_to_return_to(request.service, request.to).name;
  back.jobs.push_back(std::move(job));
  return back;
}

Commands::WayBack Commands::way_back_of_release(const RollbackRequest& request) {
  const auto name = "release " + std::to_string(request.release);
  if (!request.service.empty() || !request.to.empty()) {
    throw Error(ErrorKind::invalid, "a rollback goes back with a service or with a release, not with both");
  }
  const domain::ReleaseId release{request.release};
  const auto rollouts = journal_.rollouts.of_release(release);
  if (rollouts.empty())
    throw Error(ErrorKind::not_found, "there is no " + name + "; `deployctl show ROLLOUT` names the one of a rollout");
  const bool under_way = std::any_of(rollouts.begin(), rollouts.end(),
                                     [](const auto& rollout) { return !domain::is_final(rollout.phase); });
  if (under_way) throw Error(ErrorKind::conflict, name + " is still under way; wait for its end, or cancel it first");
  auto taken = rollout::take_back(journal_, services_, release, "", request.confirmed);
  if (!taken.irreversible.empty()) {
    throw Error(ErrorKind::conflict, joined(taken.irreversible) +
                                         "; earlier revisions may not understand the data any more. Go back all the "
                                         "same with: deployctl rollback --release " +
                                         std::to_string(request.release) + " --yes");
  }
  WayBack back;
  back.jobs = std::move(taken.jobs);
  back.left = std::move(taken.left);
  return back;
}

/// The service's rollout under way, if it has come as far as its bake, or its hooks after the switch, and not beyond.
std::optional<domain::Rollout> Commands::baked_one(const std::string& service) {
  for (const auto& candidate : journal_.rollouts.unfinished()) {
    if (candidate.service != service) continue;
    bool watched = false;
    bool promoted = false;
    for (const auto& step : journal_.rollouts.steps(candidate.id)) {
      const bool begun = step.state != domain::StepState::pending;
      watched = watched || (begun && rollout::is_watch(step.kind));
      promoted = promoted || (begun && step.kind == domain::StepKind::promote);
    }
    if (watched && !promoted) return candidate;
  }
  return std::nullopt;
}

AcceptedView Commands::cancel(const CancelRequest& request, const std::string& who) {
  const auto rollouts = to_cancel(request);
  const domain::StopWish wish{domain::Phase::cancelled, "cancelled" + by(who)};
  AcceptedView accepted;
  journal_.transaction([&] {
    for (auto rollout : rollouts) {
      accepted.rollouts.push_back({rollout.id.value, rollout.service});
      if (rollout.phase == domain::Phase::queued) {
        journal_.end(rollout, wish.phase, wish.reason);
      } else {
        journal_.stop(rollout, wish);
      }
    }
  });
  on_queued_();
  return accepted;
}

std::vector<domain::Rollout> Commands::to_cancel(const CancelRequest& request) {
  if (request.rollout == 0) check_configured(services_, request.service);
  const auto unfinished = journal_.rollouts.unfinished();
  const auto is_meant = [&](const domain::Rollout& rollout) {
    return request.rollout == 0 ? rollout.service == request.service : rollout.id.value == request.rollout;
  };
  const bool others = std::any_of(unfinished.begin(), unfinished.end(), [&](const domain::Rollout& rollout) {
    return is_meant(rollout) && !journal_.promoted(rollout.id);
  });
  std::vector<domain::Rollout> rollouts;
  for (const auto& rollout : unfinished) {
    if (!is_meant(rollout)) continue;
    // One that only clears away is not what is meant where there is another.
    if (others && journal_.promoted(rollout.id)) continue;
    if (rollout.phase == domain::Phase::undoing || rollout.stop) {
      throw Error(ErrorKind::conflict, name_of(rollout) + " is being undone already");
    }
    if (rollout.phase == domain::Phase::running && !journal_.can_stop(rollout) && !journal_.bakes(rollout)) {
      const auto steps = journal_.rollouts.steps(rollout.id);
      const bool switches = std::any_of(steps.begin(), steps.end(), [](const domain::Step& step) {
        return step.kind == domain::StepKind::switch_traffic && step.state == domain::StepState::running;
      });
      const std::string reached = switches ? " is at its switch, which cannot be cut short; it goes on, or back by "
                                             "itself where that fails. Once it has ended, go back with: "
                                           : " has switched its traffic already and will be finished; go back with: ";
      throw Error(ErrorKind::conflict, name_of(rollout) + reached + "deployctl rollback " + rollout.service);
    }
    rollouts.push_back(rollout);
  }
  if (!rollouts.empty()) return rollouts;
  if (request.rollout == 0)
    throw Error(ErrorKind::conflict, "no rollout of " + request.service + " is queued or under way");
  const auto ended = journal_.rollouts.get(domain::RolloutId{request.rollout});
  throw Error(ErrorKind::conflict, name_of(ended) + " has ended already: " + domain::to_string(ended.phase));
}

PauseView Commands::pause(const PauseRequest& request, const std::string& who) {
  if (!request.service.empty()) check_configured(services_, request.service);
  const store::Pause pause{request.service, request.reason, who, journal_.now()};
  journal_.transaction([&] { journal_.pauses.add(pause); });
  on_queued_();
  return {pause.service, pause.reason, pause.who, domain::iso_time(pause.since)};
}

PauseView Commands::resume(const PauseRequest& request, const std::string& who) {
  if (!request.service.empty()) check_configured(services_, request.service);
  bool was_paused = false;
  journal_.transaction([&] { was_paused = journal_.pauses.remove(request.service); });
  if (!was_paused) {
    const std::string name = request.service.empty() ? "the whole queue" : request.service;
    throw Error(ErrorKind::conflict, name + " is not paused; `deployctl status` shows what is");
  }
  on_queued_();
  return {request.service, "", who, domain::iso_time(journal_.now())};
}

domain::Revision Commands::revision_to_return_to(const std::string& service, const std::string& wanted) {
  const auto live = journal_.targets.live(service);
  const auto live_revision = live.empty() ? std::nullopt : live.front().revision;
  const auto promoted = journal_.revisions.promoted(service);
  std::vector<std::string> names;
  for (const auto& revision : promoted) {
    const bool is_live = live_revision == revision.id;
    if (wanted.empty() ? !is_live : revision.name == wanted) return revision;
    if (!is_live) names.push_back(revision.name);
  }
  if (wanted.empty()) {
    throw Error(ErrorKind::not_found, service + " has no earlier revision to roll back to");
  }
  throw Error(ErrorKind::not_found, service + " cannot be rolled back to \"" + wanted +
                                        "\"; what is left: " + (names.empty() ? "nothing" : joined(names)));
}

AcceptedView Commands::queue(const std::vector<store::Job>& jobs) {
  AcceptedView accepted;
  const auto release = releases_.plan_now(jobs);
  accepted.release = release.value;
  for (const auto& rollout : journal_.rollouts.of_release(release)) {
    accepted.rollouts.push_back({rollout.id.value, rollout.service});
  }
  on_queued_();
  return accepted;
}

}  // namespace deploy::api
