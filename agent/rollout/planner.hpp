// Plans a rollout when it starts: its configuration, its new targets with their addresses, and its steps, stored in one
// transaction.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "agent/rollout/journal.hpp"
#include "agent/rollout/naming.hpp"
#include "agent/rollout/work.hpp"
#include "strategies/strategy.hpp"

namespace deploy::rollout {

/// Gives a free address of the routing network. `taken`: those of all targets present. Throws Error where none is left.
using NextAddress = std::function<std::string(const std::set<std::string>& taken)>;

class Planner {
 public:
  Planner(Journal& journal, const std::vector<domain::Service>& services, Complete complete, NextAddress next_address)
      : journal_(journal),
        services_(services),
        complete_(std::move(complete)),
        next_address_(std::move(next_address)) {}

  /// The queued rollout becomes running, with the steps that get its image, unless somebody ends it while its settings
  /// are read. Throws Error where it cannot begin: its service is no longer configured, has nothing to build or pull,
  /// or its settings cannot be read.
  Task<void> start(domain::Rollout& rollout);

  /// Adds the steps that replace the service's targets, by what is live now. Once. Throws Error where there is no
  /// address left for a new target.
  void plan_targets(Work& work);

  /// A started rollout as its stored configuration and revision say.
  Work load(const domain::Rollout& rollout);

 private:
  Task<domain::Service> service_for(domain::Rollout rollout);
  std::vector<domain::Target> add_targets(const domain::Rollout& rollout, const domain::Service& service);

  Journal& journal_;
  const std::vector<domain::Service>& services_;
  Complete complete_;
  NextAddress next_address_;
};

/// What the strategy and the service's hooks make of it: from so many live targets to the wanted ones. Pure.
std::vector<strategies::PlannedStep> planned_steps(const domain::Service& service, int live, domain::RolloutKind kind);

/// The hooks that steps of this kind run; nullptr: they run none.
const std::vector<domain::Hook>* hooks_of(const domain::Hooks& hooks, domain::StepKind kind);

/// What people would not expect of a rollout, with how long it will take as far as that is known; may be empty.
std::string warning_of(Journal& journal, const domain::Service& service);

/// What has to happen before there is an image: fetch, build, pull or image. Pure. Throws Error(invalid).
std::vector<domain::StepKind> source_steps(const domain::Rollout& rollout, const domain::Service& service);

}  // namespace deploy::rollout
