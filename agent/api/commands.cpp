#include "agent/api/commands.hpp"

#include <algorithm>
#include <set>

#include "agent/base/error.hpp"

namespace deploy::api {

namespace {

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

}  // namespace

AcceptedView Commands::rollout(const RolloutRequest& request) {
  if (request.services.empty()) throw Error(ErrorKind::invalid, "name at least one service to roll out");
  if (!request.ref.empty() && !request.image.empty()) {
    throw Error(ErrorKind::invalid, "a rollout goes to a ref or to an image, not to both");
  }
  if (!request.image.empty() && request.services.size() > 1) {
    throw Error(ErrorKind::invalid, "one image cannot go out on several services; roll them out one by one");
  }
  std::vector<store::Job> jobs;
  for (const auto& name : std::set<std::string>(request.services.begin(), request.services.end())) {
    check_service(name);
    store::Job job;
    job.service = name;
    job.ref = request.ref;
    job.image = request.image;
    job.cause = "deployctl rollout";
    if (!request.ref.empty()) job.cause += " --ref " + request.ref;
    if (!request.image.empty()) job.cause += " --image " + request.image;
    jobs.push_back(job);
  }
  return queue(jobs);
}

AcceptedView Commands::rollback(const RollbackRequest& request) {
  check_service(request.service);
  store::Job job;
  job.kind = domain::RolloutKind::rollback;
  job.service = request.service;
  job.revision = revision_to_return_to(request.service, request.to).name;
  job.cause = "deployctl rollback to " + job.revision;
  return queue({job});
}

void Commands::check_service(const std::string& name) const {
  std::vector<std::string> names;
  for (const auto& service : services_) names.push_back(service.name);
  if (std::find(names.begin(), names.end(), name) != names.end()) return;
  throw Error(ErrorKind::not_found, "there is no service \"" + name + "\"; there are: " + joined(names));
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
