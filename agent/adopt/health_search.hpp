// Which health check a service can have: one that the version which serves now passes. What it fails is not proposed,
// and the note says what was answered.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "agent/adopt/service_finder.hpp"
#include "agent/base/async.hpp"

namespace deploy::adopt {

struct HttpAnswer {
  int status = 0;  // 0: there was none
  std::string body;
  std::string problem;  // why there was none
};

/// How a container that runs is asked. Neither throws; each has a deadline of its own.
struct HealthQuestions {
  std::function<Task<HttpAnswer>(std::string address, std::uint16_t port, std::string path)> get;
  std::function<Task<bool>(std::string address, std::uint16_t port)> accepts;  // a TCP connection
};

struct FoundHealth {
  std::string http;                         // the path
  std::map<std::string, std::string> json;  // JSON pointer -> wanted value, as YAML
  bool tcp = false;                         // the port alone
  bool docker = false;                      // its HEALTHCHECK
  std::vector<std::string> notes;
};

/// `address`: the container's on a network of this host.
Task<FoundHealth> search_health(FoundService service, std::string address, HealthQuestions questions);

}  // namespace deploy::adopt
