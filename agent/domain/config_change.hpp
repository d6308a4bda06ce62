// The repository that holds the users' own files of this host (compose, Nginx, env), and a config change: one attempt
// to bring the host's work tree of it to the tip of its branch.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "agent/domain/ids.hpp"
#include "agent/domain/service.hpp"

namespace deploy::domain {

/// As `config_repo` in agent.yaml describes it.
struct ConfigRepo {
  std::string repo;  // owner/name as GitHub names it
  std::string branch = "main";
  std::string folder;      // the root of a git work tree on this host
  GitSource git;           // its address and how to get in; nothing of it is built
  bool rolls_out = false;  // services whose settings it changes are rolled out; else that is left to a person
  bool operator==(const ConfigRepo&) const = default;
};

enum class ConfigPhase {
  queued,
  running,  // until it is proved; the files are one side or the other, or in between
  keeping,  // Nginx proved to serve with the new files; the work tree's branch follows them
  applied,
  refused,         // nothing was changed
  rolled_back,     // the files are as they were before, and Nginx serves with them
  superseded,      // a newer push took its place before it began
  needs_operator,  // putting back failed, too
};

struct ConfigChange {
  std::int64_t id = 0;  // 0: not stored yet
  std::chrono::system_clock::time_point created{};
  std::optional<DeliveryId> delivery;  // none: polling found it
  std::string cause;                   // who or what asked for it, in words
  std::string commit;                  // that was seen at the tip
  std::string from;                    // what the work tree was at; empty: not begun
  std::string to;                      // what it was brought to
  ConfigPhase phase = ConfigPhase::queued;
  std::string reason;  // what became of it, in words; empty while it is not final
  int attempts = 0;    // how often it was begun: more than once where deployd ended meanwhile
  std::optional<std::chrono::system_clock::time_point> finished;
};

bool is_final(ConfigPhase phase);

/// Stored and printed names; the strings never change.
std::string to_string(ConfigPhase phase);
std::optional<ConfigPhase> config_phase_from(const std::string& name);

}  // namespace deploy::domain
