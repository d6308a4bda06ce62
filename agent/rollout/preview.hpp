// What a rollout would do now, without doing it.
#pragma once

#include <string>
#include <vector>

#include "agent/rollout/journal.hpp"
#include "agent/rollout/naming.hpp"

namespace deploy::rollout {

struct Preview {
  std::string service;
  std::string live;  // the revision that is; empty: none
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
  Previews(Journal& journal, const std::vector<domain::Service>& services, Resolve resolve, std::string key)
      : journal_(journal), services_(services), resolve_(std::move(resolve)), key_(std::move(key)) {}

  /// Of these services, or of all where none is named, in the order in which they would go out. Names that are not
  /// configured are left out.
  std::vector<Preview> of(const std::vector<std::string>& names);

 private:
  Preview preview(const domain::Service& service);

  Journal& journal_;
  const std::vector<domain::Service>& services_;
  Resolve resolve_;
  std::string key_;
};

}  // namespace deploy::rollout
