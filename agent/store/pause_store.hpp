// Which services are paused: their rollouts wait until somebody resumes them.
#pragma once

#include <string>
#include <vector>

#include "agent/store/database.hpp"

namespace deploy::store {

struct Pause {
  std::string service;  // empty: every service
  std::string reason;
  std::string who;
  domain::Time since{};
};

class PauseStore {
 public:
  explicit PauseStore(Database& database) : database_(database) {}

  /// One that is there already gets the new reason.
  void add(const Pause& pause);
  /// Returns whether there was one.
  bool remove(const std::string& service);
  /// In order of the services' names, that of all services first.
  std::vector<Pause> all();

 private:
  Database& database_;
};

}  // namespace deploy::store
