// What the tests of config changes share: a host with a config repo.
#pragma once

#include <string>
#include <vector>

#include "tests/agent_world/world.hpp"

namespace deploy::tests {

inline const std::string before_it = commit_of('a');

inline domain::ConfigRepo infra() {
  domain::ConfigRepo config;
  config.repo = "you/infra";
  config.folder = "/srv/app";
  config.git.url = "file:///infra";
  return config;
}

/// A host whose folder is at one commit.
struct Host : World {
  Host() {
    config_repo = infra();
    work_tree.head = before_it;
    work_tree.files_of = before_it;
  }
};

inline domain::ConfigChange last_of(Agent& agent) { return agent.journal.configs.last_ended().value(); }

/// "applied: …", as events tell it.
inline std::vector<std::string> ends(Agent& agent) {
  std::vector<std::string> texts;
  for (const auto& event : agent.events.after(0, {}, 1000)) {
    if (event.kind == "config.ended") texts.push_back(event.text);
  }
  return texts;
}

}  // namespace deploy::tests
