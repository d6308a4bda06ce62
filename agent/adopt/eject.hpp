// Gives a host back: what is live as Compose files and upstreams that need no deployctl, and the commands that lead
// there. Pure: nothing is written or run here.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/config/schema.hpp"
#include "agent/domain/service.hpp"

namespace deploy::adopt {

struct LiveService {
  domain::Service settings;  // as its revision keeps them, ${…} unresolved
  std::string image;         // that its containers were made from
  std::vector<std::string> containers;
  std::optional<config::ComposeSource> compose;  // it stands in Compose's files, which go on saying what it is like
  bool left_to_deployctl = false;                // by the profile that init gave it there
  std::string network_key;  // how these files call the shared network; empty: the service is not on it there
};

struct Ejection {
  std::map<std::string, std::string> files;  // by their names in the folder
  std::vector<std::string> commands;         // for a shell, in order; those that begin with # say what is to come
  std::vector<std::string> notes;            // what is not as it was
};

/// `folder`: where the files will be, as the commands name it. Throws Error(invalid) where Nginx runs on this host: it
/// cannot find containers by name.
Ejection eject(const config::AgentConfig& agent, const std::vector<LiveService>& services, const std::string& folder);

}  // namespace deploy::adopt
