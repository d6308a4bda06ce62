// What every command gets: where to write, how to look, and the agent. Cheap to copy; what it refers to outlives the
// command.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <ostream>
#include <string_view>

#include "agent/ctl/api_client.hpp"
#include "agent/ctl/environment.hpp"
#include "agent/ctl/render.hpp"

namespace deploy::ctl {

/// What deployctl exits with. Scripts rely on the numbers: docs/cli.md.
enum ExitCode : int {
  exit_done = 0,
  exit_failed = 1,  // of a rollout: and rolled back
  exit_usage = 2,   // or an invalid configuration, or something that the agent refused
  exit_needs_operator = 3,
  exit_cancelled = 4,  // or superseded
  exit_timed_out = 5,
  exit_unreachable = 6,
  exit_changes = 10,  // of plan
  exit_interrupted = 130,
};

enum class Output { table, json };

struct Session {
  std::ostream& out;
  std::ostream& err;
  const Environment& environment;
  Output output = Output::table;
  ApiClient client;

  bool json() const { return output == Output::json; }
  /// For tables on `out`: colours only on a terminal and without NO_COLOR (https://no-color.org).
  Look look() const;
  /// One JSON document, indented, with a line feed.
  void print(const nlohmann::json& value) const;
  /// "deployctl: <message>" on `err`.
  void say(std::string_view message) const;
};

}  // namespace deploy::ctl
