// Finds what no webhook told of: GitHub does not send again what came while deployd was away, and a box behind NAT gets
// no webhooks at all. At the start and then regularly it compares what should be live with what is or was tried, and
// puts what was missed into the queue that deliveries go into:
//
//   on: push, on: registry_package   the tip of the branch; where the image's name does not vary with the commit, the
//                                    digest that its tag has at the registry
//   on: workflow_run                 the tip of the branch, once GitHub has a green run for it
//   rebuilt_by                       the same of the other repositories
//   config_repo                      the tip of the branch (see config_changes)
//
// What was tried once, whatever came of it, is not tried again: a version that failed, or that a person took back,
// stays away until there is a newer one. Services that are paused, and those that were never rolled out, are left
// alone.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/base/async.hpp"
#include "agent/base/error.hpp"
#include "agent/domain/image_reference.hpp"
#include "agent/domain/service.hpp"
#include "agent/ports/clock.hpp"
#include "agent/ports/container_engine.hpp"
#include "agent/ports/github.hpp"
#include "agent/ports/source_mirror.hpp"
#include "agent/rollout/config_changes.hpp"
#include "agent/rollout/journal.hpp"
#include "agent/store/job_queue.hpp"

namespace deploy::rollout {

/// Where polling looks.
struct PollPorts {
  ports::ContainerEngine& engine;
  ports::SourceMirror& source;
  ports::GitHub* github = nullptr;   // null: there is no token to ask it with
  ConfigChanges* configs = nullptr;  // null: this host's configuration is in no repository
};

/// A branch of a repository that the service follows: its own, or one that it is rebuilt by.
struct Followed {
  std::string service;
  std::string repo;
  std::string branch;
  domain::Trigger trigger = domain::Trigger::push;
  std::vector<std::string> workflows;
  std::optional<domain::GitSource> git;  // none: GitHub is asked
};

class Poller {
 public:
  using Say = std::function<void(const std::string& message)>;

  /// `on_found` is called when there is something new in the queue; `tell` hears of what was found, `complain` of each
  /// trouble once while it lasts.
  Poller(PollPorts ports, ports::Clock& clock, Journal& journal, store::Database& database,
         const std::vector<domain::Service>& services, std::chrono::milliseconds every, std::function<void()> on_found,
         Say tell, Say complain)
      : ports_(ports),
        clock_(clock),
        journal_(journal),
        jobs_(database),
        services_(services),
        every_(every),
        on_found_(std::move(on_found)),
        tell_(std::move(tell)),
        complain_(std::move(complain)) {}

  /// Runs until it is cancelled.
  Task<void> run();

  /// One look at every service and at the configuration. Troubles are kept and not thrown.
  Task<void> pass();

  /// How many there were.
  int passes() const noexcept { return passes_; }

  /// What could not be asked, or not be known, as of the last pass.
  std::vector<std::string> notes() const;

 private:
  /// What was asked once in this pass is not asked again for another service.
  template <class T>
  struct Answer {
    std::optional<T> value;
    std::optional<Error> error;
  };
  template <class T>
  using Answers = std::map<std::string, Answer<T>>;

  template <class T>
  static Task<T> asked_once(Answers<T>& answers, std::string key, Task<T> question);

  struct Missed {
    store::Job job;
    std::int64_t after = 0;  // the newest job when its service was looked at
  };

  Task<void> look_at(domain::Service service);
  Task<void> look(std::string subject, Task<std::optional<store::Job>> at);
  Task<void> look_at_configuration();
  Task<std::optional<store::Job>> missed_by(domain::Service service);
  Task<std::optional<store::Job>> rebuild_missed(domain::Service service, Followed other);
  Task<std::optional<store::Job>> moved_image(domain::Service service);
  Task<std::optional<ports::BranchTip>> tip_of(Followed followed);
  Task<bool> may_go_out(Followed followed, ports::BranchTip tip);
  Task<bool> image_is_there(domain::Service service, std::string commit);
  Task<std::optional<std::string>> green_message(Followed followed, std::string commit);
  Task<std::string> message_of_tip(Followed followed, ports::BranchTip tip);
  void queue_missed();

  bool is_polled(const domain::Service& service);
  bool finds_out_still(const domain::Service& service, bool by_image);
  bool was_tried(const domain::Service& service, const std::string& commit);
  bool was_skipped(const Followed& followed, const std::string& commit);
  bool was_tried_image(const domain::Service& service, const domain::Reference& image);
  std::optional<domain::Revision> live_revision(const std::string& service);
  void note(const std::string& subject, const std::string& text);

  PollPorts ports_;
  ports::Clock& clock_;
  Journal& journal_;
  store::JobQueue jobs_;
  const std::vector<domain::Service>& services_;
  std::chrono::milliseconds every_;
  std::function<void()> on_found_;
  Say tell_;
  Say complain_;
  int passes_ = 0;
  std::map<std::string, std::string> notes_;    // subject -> sentence
  std::map<std::string, std::string> skipped_;  // service and repository -> the commit whose message asks for that

  // Of the pass under way.
  std::map<std::string, std::string> found_;  // as notes_
  std::vector<Missed> missed_;
  Answers<ports::BranchTip> tips_;
  Answers<std::vector<domain::WorkflowRun>> runs_;
  Answers<std::string> digests_;
};

}  // namespace deploy::rollout
