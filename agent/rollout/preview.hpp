// What a rollout or a rollback would do now, without doing it. Reads the database, and a rollout's settings where they
// are, and changes nothing.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "agent/rollout/journal.hpp"
#include "agent/rollout/naming.hpp"
#include "agent/store/job_queue.hpp"

namespace deploy::rollout {

struct Preview {
  std::string service;
  std::string live;      // the revision that is; empty: none
  std::string revision;  // the one that it would go to; empty: known only once commit or image are fetched
  std::string strategy;
  std::vector<std::string> steps;        // in words, in order
  std::vector<std::string> differences;  // between what runs and the configuration, one a line; no value of a variable
  std::vector<std::string> notes;        // what to expect, or what is in the way
};

/// Where the configuration differs from the one that something runs with, by the keys of a service's file. Of
/// environment, labels and build arguments only the names, because values may be secret. Pure.
std::vector<std::string> differences(const domain::Service& running, const domain::Service& configured);

class Previews {
 public:
  /// What somebody changed by hand in the containers of a service, in sentences.
  using DriftOf = std::function<std::vector<std::string>(const std::string& service)>;

  Previews(Journal& journal, const std::vector<domain::Service>& services, Complete complete, Resolve resolve,
           std::string key, DriftOf drift_of)
      : journal_(journal),
        services_(services),
        complete_(std::move(complete)),
        resolve_(std::move(resolve)),
        key_(std::move(key)),
        drift_of_(std::move(drift_of)) {}

  /// Of these services, or of all where none is named, in the order in which they would go out. Names that are not
  /// configured are left out.
  Task<std::vector<Preview>> of(std::vector<std::string> names);

  /// For each service whose live revision runs with other settings, or other values of variables, than a rollout would
  /// give it: the job that brings those and stays at its commit and image. In the order in which they would go out.
  /// `troubles`: why that is not known of a service, a sentence each.
  Task<std::vector<store::Job>> bringing_settings(std::vector<std::string>* troubles);

  /// Of these rollbacks, in the order in which they would go out. `watched`: the rollout, if any, that has switched, is
  /// not promoted, and would be turned round for them.
  std::vector<Preview> of_rollbacks(const std::vector<store::Job>& jobs, const std::optional<domain::Rollout>& watched);

 private:
  Task<Preview> preview(domain::Service service);
  Preview preview_back(const store::Job& job, const std::optional<domain::Rollout>& watched);
  void compare_with(Preview& preview, const domain::Revision& running, const domain::Service& wanted);
  void note_pauses(Preview& preview);

  Journal& journal_;
  const std::vector<domain::Service>& services_;
  Complete complete_;
  Resolve resolve_;
  std::string key_;
  DriftOf drift_of_;
};

}  // namespace deploy::rollout
