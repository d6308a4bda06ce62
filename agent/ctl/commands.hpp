// The commands, one coroutine each: they print, and return the exit code. What they throw is printed by run().
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agent/ctl/session.hpp"

namespace deploy::ctl {

struct WaitOptions {
  bool detach = false;                               // do not wait at all
  std::optional<std::chrono::milliseconds> timeout;  // none: as long as it takes
};

struct RolloutOptions {
  std::vector<std::string> services;
  std::string ref;
  std::string image;
  WaitOptions wait;
};

struct RollbackOptions {
  std::string service;
  std::string to;            // a revision; empty: the one before
  std::int64_t release = 0;  // in place of a service
  bool yes = false;
  bool plan = false;  // say what it would do, and do nothing
  WaitOptions wait;
};

struct CancelOptions {
  std::string subject;  // a service's name, or a rollout's number
  WaitOptions wait;
};

struct PauseOptions {
  std::string service;  // empty: every service
  std::string reason;
};

struct HistoryOptions {
  std::string service;  // empty: every service
  int limit = 20;
};

struct LogOptions {
  std::string subject;  // a service's name, or a rollout's number
  bool follow = false;
  std::optional<int> tail;  // of a service; none: 100
};

struct InitOptions {
  std::vector<std::string> folders;
  std::string config;                 // agent.yaml, there or not
  std::string engine;                 // of a new agent.yaml; empty: this host's
  std::string state;                  // of a new agent.yaml
  std::string nginx;                  // the container; empty: the one that there is
  std::vector<std::string> services;  // besides those that are found
  std::vector<std::string> not_services;
  bool write = false;
  bool patch = false;
  bool recreate_nginx = false;  // the answer to that question
};

Task<int> rollout(Session session, RolloutOptions options);
Task<int> rollback(Session session, RollbackOptions options);

/// Waits until they have been undone; done when each ended as cancelled.
Task<int> cancel(Session session, CancelOptions options);
Task<int> pause(Session session, PauseOptions options);
Task<int> resume(Session session, std::string service);

/// What rollouts would do; exit_changes where the configuration differs from what runs.
Task<int> plan(Session session, std::vector<std::string> services);
/// What a rollback would do; exit_changes where that is anything.
Task<int> plan_rollback(Session session, RollbackOptions options);

Task<int> status(Session session);
Task<int> history(Session session, HistoryOptions options);
Task<int> show(Session session, std::int64_t rollout);
Task<int> version(Session session);

Task<int> logs(Session session, LogOptions options);

/// Needs no agent.
/// `schema`: "agent" or "service" prints that JSON Schema instead.
Task<int> validate(Session session, std::string agent_yaml, std::string schema);

/// Needs no agent, but says whether there is one. Done when there is no problem.
Task<int> doctor(Session session, std::string agent_yaml);

struct EjectOptions {
  std::string config;                    // agent.yaml
  std::string into = "deployctl-eject";  // a folder that is made
};

/// Writes what gives the host back, and says how; changes nothing else.
Task<int> eject(Session session, EjectOptions options);

/// Proposes a configuration from what runs, and writes it; needs no agent.
Task<int> init(Session session, InitOptions options);

}  // namespace deploy::ctl
