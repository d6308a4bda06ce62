// What a rollout runs beside its own steps: before anything is made, in a new target before the switch, and after it.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace deploy::domain {

struct Hook {
  std::vector<std::string> run;                    // argv; empty: a GET request is sent instead
  std::map<std::string, std::string> environment;  // beside that of the container that it runs in
  std::string in;                                  // before: a container of the users'; empty: one of the hook's own
  std::string save;                  // file that the output of `in` goes to, in the state folder; {service}, {revision}
  int keep = 5;                      // how many files of `save` are kept
  std::vector<std::string> restore;  // what a person would run in that container to read the file back
  std::string host;                  // of the GET request
  std::uint16_t port = 80;
  std::string path;
  std::chrono::milliseconds timeout{300000};
  bool irreversible = false;  // what it does to data, an earlier version may not understand
  bool operator==(const Hook&) const = default;
};

struct Hooks {
  std::vector<Hook> before;  // in a container of the new image, or in one of the users'
  std::vector<Hook> verify;  // in a new target that is healthy and has no traffic yet
  std::vector<Hook> after;   // through the proxy, or in a new target, once it has the traffic
  bool operator==(const Hooks&) const = default;
};

/// For messages: the command, its beginning where it is long, or the URL.
std::string to_text(const Hook& hook);

}  // namespace deploy::domain
