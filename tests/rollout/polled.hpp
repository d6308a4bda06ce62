// What the tests of polling share: an agent that looks when it is told to.
#pragma once

#include <string>
#include <vector>

#include "agent/rollout/poller.hpp"
#include "tests/agent_world/world.hpp"

namespace deploy::tests {

inline domain::Service polled(const std::string& name) {
  auto service = service_named(name);
  service.repo = "you/" + name;
  return service;
}

inline void move_branch(World& world, const std::string& name, char commit) {
  world.source.refs["file:///" + name + " main"] = commit_of(commit);
}

/// An agent that polls when it is told to.
struct Polled {
  explicit Polled(World& of, ports::GitHub* github = nullptr)
      : world(of),
        agent(of),
        poller(
            {of.engine, of.source, github}, of.clock, agent.journal, agent.database, of.services,
            std::chrono::minutes(5), [this] { agent.dispatcher.wake(); },
            [this](const std::string& message) { told.push_back(message); },
            [this](const std::string& message) { complaints.push_back(message); }) {}

  void push(const std::string& name, char commit) {
    move_branch(world, name, commit);
    agent.push({name}, commit);
    agent.work();
  }
  /// One look, and all that comes of it.
  void poll() {
    run_virtual(world.clock, poller.pass());
    agent.work();
  }

  World& world;
  Agent agent;
  rollout::Poller poller;
  std::vector<std::string> told;
  std::vector<std::string> complaints;
};

}  // namespace deploy::tests
