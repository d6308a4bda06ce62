#include "agent/rollout/poller.hpp"

#include <algorithm>
#include <utility>

#include "agent/rollout/naming.hpp"
#include "agent/rollout/take_up.hpp"

namespace deploy::rollout {

namespace {

using domain::Trigger;

bool varies_with_commit(const std::string& image) { return image.find("{sha}") != std::string::npos; }

/// The tag decides and not the commit. A workflow that ended well is known of a commit only.
bool goes_by_image(const domain::Service& service) {
  const auto& image = service.source.image;
  return !image.empty() && !varies_with_commit(image) && service.trigger != Trigger::workflow_run;
}

std::string short_commit(const std::string& commit) { return commit.substr(0, 7); }

/// "main of you/backend"
std::string branch_of(const Followed& followed) { return followed.branch + " of " + followed.repo; }

Followed own_of(const domain::Service& service) {
  Followed own{service.name, service.repo, service.branch, service.trigger, service.workflows, service.source.git};
  return own;
}

Followed other_of(const domain::Service& service, const domain::OtherRepository& other) {
  Followed followed{service.name, other.repo, other.branch, other.trigger, other.workflows, other.git};
  return followed;
}

}  // namespace

/// Asks what `answers` does not hold yet, and remembers an error like an answer.
template <class T>
Task<T> Poller::asked_once(Answers<T>& answers, std::string key, Task<T> question) {
  auto known = answers.find(key);
  if (known == answers.end()) {
    Answer<T> answer;
    try {
      answer.value = co_await std::move(question);
    } catch (const Error& error) {
      answer.error = error;
    }
    known = answers.emplace(std::move(key), std::move(answer)).first;
  }
  if (known->second.error) throw Error(*known->second.error);
  co_return *known->second.value;
}

Task<void> Poller::run() {
  for (;;) {
    co_await pass();
    co_await clock_.sleep_for(every_);
  }
}

Task<void> Poller::pass() {
  found_.clear();
  missed_.clear();
  tips_.clear();
  runs_.clear();
  digests_.clear();
  for (const auto& service : services_) co_await look_at(service);
  queue_missed();
  if (ports_.configs != nullptr) co_await look_at_configuration();
  notes_ = std::exchange(found_, {});
  ++passes_;
}

std::vector<std::string> Poller::notes() const {
  std::vector<std::string> all;
  for (const auto& [subject, text] : notes_) {
    if (std::find(all.begin(), all.end(), text) == all.end()) all.push_back(text);
  }
  return all;
}

/// In the log it is once while it lasts, in whatever words, and once where several services share it.
void Poller::note(const std::string& subject, const std::string& text) {
  const bool shared =
      std::any_of(found_.begin(), found_.end(), [&](const auto& other) { return other.second == text; });
  found_.emplace(subject, text);
  if (!shared && !notes_.contains(subject)) complain_(text);
}

Task<void> Poller::look_at(domain::Service service) {
  if (!is_polled(service)) co_return;
  if (service.trigger != Trigger::manual && !service.repo.empty()) co_await look(service.name, missed_by(service));
  for (const auto& other : service.rebuilt_by) {
    co_await look(service.name + " " + other.repo, rebuild_missed(service, other_of(service, other)));
  }
}

Task<void> Poller::look(std::string subject, Task<std::optional<store::Job>> at) {
  try {
    const auto before = jobs_.last_id();
    auto job = co_await std::move(at);
    if (job) missed_.push_back({std::move(*job), before});
  } catch (const Error& error) {
    const auto kind = error.transient() ? "transient" : error_kind_name(error.kind());
    note(subject + " " + kind, "polling: " + error.message());
  }
}

Task<void> Poller::look_at_configuration() {
  try {
    const auto commit = co_await ports_.configs->missed();
    const auto cause = commit ? ports_.configs->queue_missed(*commit) : "";
    if (!cause.empty()) tell_("configuration: " + cause);
  } catch (const Error& error) {
    const auto kind = error.transient() ? "transient" : error_kind_name(error.kind());
    note("config_repo " + kind, "polling: " + error.message());
  }
}

/// Together, so that they go out together and in order.
void Poller::queue_missed() {
  std::vector<std::string> added;
  try {
    journal_.transaction([&] {
      // Whoever told of something meanwhile knows better than an answer from before.
      std::erase_if(missed_, [this](const Missed& missed) {
        const auto& service = missed.job.service;
        return journal_.is_paused(service) || jobs_.came_after(missed.after, service);
      });
      for (const auto& missed : missed_) {
        jobs_.add(missed.job, clock_.now());
        added.push_back(missed.job.service + ": " + missed.job.cause);
      }
    });
  } catch (const Error& error) {
    note("queue", "polling: what was found could not be written down: " + error.message());
    return;
  }
  for (const auto& text : added) tell_(text);
  if (!added.empty()) on_found_();
}

/// What was never rolled out, only taken up as it was, waits for somebody who wants it: an event or a person.
bool Poller::is_polled(const domain::Service& service) {
  const auto last = journal_.rollouts.history(service.name, 1);
  return !journal_.is_paused(service.name) && !last.empty() && last.front().cause != taken_up_cause;
}

/// Something of the service is on its way that does not say yet what it brings.
bool Poller::finds_out_still(const domain::Service& service, bool by_image) {
  for (const auto& job : jobs_.waiting()) {
    if (job.service == service.name && (by_image ? job.image : job.commit).empty()) return true;
  }
  const auto unfinished = journal_.rollouts.unfinished();
  return std::any_of(unfinished.begin(), unfinished.end(), [&](const domain::Rollout& rollout) {
    return rollout.service == service.name && rollout.kind == domain::RolloutKind::deploy && !rollout.revision &&
           (by_image ? rollout.image : rollout.commit).empty();
  });
}

std::optional<domain::Revision> Poller::live_revision(const std::string& service) {
  const auto live = journal_.targets.live(service);
  if (live.empty() || !live.front().revision) return std::nullopt;
  return journal_.revisions.get(*live.front().revision);
}

bool Poller::was_tried(const domain::Service& service, const std::string& commit) {
  const auto waiting = jobs_.waiting();
  const bool waits = std::any_of(waiting.begin(), waiting.end(), [&](const store::Job& job) {
    return job.service == service.name && job.commit == commit;
  });
  const auto live = live_revision(service.name);
  return waits || (live && live->commit == commit) || was_skipped(own_of(service), commit) ||
         journal_.rollouts.was_tried(service.name, commit);
}

bool Poller::was_skipped(const Followed& followed, const std::string& commit) {
  const auto skipped = skipped_.find(followed.service + " " + followed.repo);
  return skipped != skipped_.end() && skipped->second == commit;
}

bool Poller::was_tried_image(const domain::Service& service, const domain::Reference& image) {
  const auto waiting = jobs_.waiting();
  const bool waits = std::any_of(waiting.begin(), waiting.end(), [&](const store::Job& job) {
    return job.service == service.name && job.image == to_string(image);
  });
  const auto live = live_revision(service.name);
  return waits || (live && live->image.ends_with("@" + image.digest)) ||
         journal_.rollouts.was_tried_digest(service.name, image.digest);
}

Task<std::optional<store::Job>> Poller::missed_by(domain::Service service) {
  const bool by_image = goes_by_image(service);
  if (finds_out_still(service, by_image)) co_return std::nullopt;
  if (by_image) co_return co_await moved_image(service);
  const auto own = own_of(service);
  const auto tip = co_await tip_of(own);
  if (!tip || was_tried(service, tip->commit)) co_return std::nullopt;
  if (!co_await may_go_out(own, *tip)) co_return std::nullopt;
  if (!co_await image_is_there(service, tip->commit)) co_return std::nullopt;
  store::Job job;
  job.service = service.name;
  job.commit = tip->commit;
  job.ref = service.branch;
  job.cause = "poll: " + branch_of(own) + " is at " + short_commit(tip->commit);
  co_return job;
}

/// Of a repository that the service is rebuilt by.
Task<std::optional<store::Job>> Poller::rebuild_missed(domain::Service service, Followed other) {
  const auto waiting = jobs_.waiting();
  const auto unfinished = journal_.rollouts.unfinished();
  const bool on_its_way =
      std::any_of(waiting.begin(), waiting.end(), [&](const store::Job& job) { return job.service == service.name; }) ||
      std::any_of(unfinished.begin(), unfinished.end(),
                  [&](const domain::Rollout& rollout) { return rollout.service == service.name && !rollout.revision; });
  // It asks for the tip itself, or will be found to have gone without it.
  if (on_its_way) co_return std::nullopt;
  const auto tip = co_await tip_of(other);
  if (!tip || was_skipped(other, tip->commit)) co_return std::nullopt;
  if (journal_.rollouts.was_tried_with(service.name, other.repo, tip->commit)) co_return std::nullopt;
  if (!co_await may_go_out(other, *tip)) co_return std::nullopt;
  store::Job job;
  job.service = service.name;
  job.others = {{other.repo, tip->commit}};
  job.cause = "poll: " + branch_of(other) + ", which rebuilds " + service.name + ", is at " + short_commit(tip->commit);
  co_return job;
}

Task<std::optional<store::Job>> Poller::moved_image(domain::Service service) {
  auto image = domain::parse_reference(expand_image(service.source.image, "", service.branch));
  if (!image.digest.empty()) co_return std::nullopt;  // cannot move
  const auto asked = to_string(image);
  image.digest = co_await asked_once(digests_, asked, ports_.engine.remote_digest(asked));
  if (was_tried_image(service, image)) co_return std::nullopt;
  store::Job job;
  job.service = service.name;
  job.ref = service.branch;
  job.image = to_string(image);  // what was seen, wherever the tag goes until then
  job.cause = "poll: " + asked + " is at " + image.digest.substr(0, image.digest.find(':') + 8);
  co_return job;
}

/// Nullopt where only GitHub could tell, and there is nothing to ask it with.
Task<std::optional<ports::BranchTip>> Poller::tip_of(Followed followed) {
  if (followed.git) {
    const auto& git = *followed.git;
    auto question = [](ports::SourceMirror& source, domain::GitSource of,
                       std::string branch) -> Task<ports::BranchTip> {
      ports::BranchTip tip;
      tip.commit = co_await source.tip(std::move(of), std::move(branch));
      co_return tip;
    };
    const auto key = git.url + " " + followed.branch;
    auto asking = question(ports_.source, git, followed.branch);
    co_return co_await asked_once(tips_, key, std::move(asking));
  }
  if (ports_.github == nullptr) {
    note("token " + followed.service + " " + followed.repo,
         followed.service + ": the tip of " + branch_of(followed) + " is not known" +
             (followed.trigger == Trigger::workflow_run ? " to be green" : "") +
             ": asking GitHub for it needs a token; name one in agent.yaml under github.token");
    co_return std::nullopt;
  }
  const auto key = followed.repo + " " + followed.branch;
  auto asking = ports_.github->branch_tip(followed.repo, followed.branch);
  co_return co_await asked_once(tips_, key, std::move(asking));
}

/// What the gate asks of an event, asked of a tip.
Task<bool> Poller::may_go_out(Followed followed, ports::BranchTip tip) {
  std::string message;
  if (followed.trigger == Trigger::workflow_run) {
    const auto green = co_await green_message(followed, tip.commit);
    if (!green) co_return false;
    message = *green;
  } else {
    message = co_await message_of_tip(followed, tip);
  }
  if (domain::asks_to_skip(message)) {
    skipped_[followed.service + " " + followed.repo] = tip.commit;
    tell_(followed.service + ": " + short_commit(tip.commit) + " on " + branch_of(followed) +
          " is not deployed: its message says " + std::string(domain::skip_mark));
    co_return false;
  }
  co_return true;
}

/// An image that is not there yet is looked for again at the next pass; a rollout would fail, and count as tried.
Task<bool> Poller::image_is_there(domain::Service service, std::string commit) {
  if (!varies_with_commit(service.source.image)) co_return true;
  const auto reference = expand_image(service.source.image, commit, service.branch);
  try {
    co_await asked_once(digests_, reference, ports_.engine.remote_digest(reference));
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::not_found) throw;
    co_return false;
  }
  co_return true;
}

/// The message of the commit, as a green run of one of the service's workflows tells it; nullopt: there is none.
Task<std::optional<std::string>> Poller::green_message(Followed followed, std::string commit) {
  if (ports_.github == nullptr) {
    note("token " + followed.service + " " + followed.repo,
         followed.service + ": " + short_commit(commit) + ", the tip of " + branch_of(followed) +
             ", is not known to be green: asking GitHub for its workflow runs needs a token; "
             "name one in agent.yaml under github.token, or roll it out: deployctl rollout " +
             followed.service);
    co_return std::nullopt;
  }
  const auto key = followed.repo + " " + followed.branch + " " + commit;
  auto asking = ports_.github->green_runs(followed.repo, followed.branch, commit);
  const auto runs = co_await asked_once(runs_, key, std::move(asking));
  const auto green = std::find_if(runs.begin(), runs.end(), [&](const domain::WorkflowRun& run) {
    return domain::why_not_green(run).empty() && run.head_sha == commit && run.head_branch == followed.branch &&
           domain::allows_workflow(followed.workflows, run.path);
  });
  if (green == runs.end()) co_return std::nullopt;
  co_return green->message;
}

Task<std::string> Poller::message_of_tip(Followed followed, ports::BranchTip tip) {
  if (!followed.git) co_return tip.message;
  const auto quiet = [](std::string_view) {};
  co_await ports_.source.fetch(*followed.git, quiet);
  co_return co_await ports_.source.message(*followed.git, tip.commit);
}

}  // namespace deploy::rollout
