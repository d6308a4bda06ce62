// What the agent tells the process that fetches, and what that process answers: one JSON object a line, on standard
// input and output. Everything goes this way, because other users can read a process's arguments. Both ends are the
// same binary, so the form may change with any version.
#pragma once

#include <cstdint>
#include <string>
#include <variant>

#include "agent/base/error.hpp"

namespace deploy::source {

struct FetchJob {
  std::string url;
  std::string mirror;           // path of the bare repository; made where there is none
  std::string ssh_key;          // path; empty: none
  std::string ssh_known_hosts;  // path; empty: none
  std::string token;            // for https; empty: none
  std::string tip_of;           // a branch: its commit is asked for, and nothing is fetched; empty: fetch
};

struct FetchProgress {
  std::string text;
};
struct FetchDone {
  std::string tip;  // the commit that was asked for
};
struct FetchFailed {
  Error error;
  bool mirror_damaged = false;  // removing the mirror and fetching again may help
};
using FetchLine = std::variant<FetchProgress, FetchDone, FetchFailed>;

std::string to_line(const FetchJob& job);
std::string to_line(const FetchLine& line);

/// Both throw Error(failed) where the text is not what the other end writes.
FetchJob job_from_line(const std::string& text);
FetchLine fetch_line_from(const std::string& text);

}  // namespace deploy::source
