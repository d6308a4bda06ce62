// Proof that a target is healthy.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "agent/base/async.hpp"
#include "agent/domain/service.hpp"

namespace deploy::ports {

/// Where a target can be reached: a fixed address of the routing network.
struct Endpoint {
  std::string address;  // IPv4, dotted
  std::uint16_t port = 0;
  auto operator<=>(const Endpoint&) const = default;
};

struct Verdict {
  bool healthy = false;
  std::string reason;  // one line: the last answer, or why the container cannot become healthy any more
};

class HealthProber {
 public:
  virtual ~HealthProber() = default;
  /// Probes until the target is proved healthy, cannot become so any more (its container ended or restarted), or the
  /// check's deadline passes. `on_note` hears of each new answer once. Never throws for an unhealthy target.
  virtual Task<Verdict> prove(std::string container_id, Endpoint endpoint, domain::HealthCheck check,
                              std::function<void(std::string_view)> on_note) = 0;

  /// One GET http://<host>:<port><path>, by a host's name or address; healthy where it is answered 2xx within
  /// `timeout`. Redirects are not followed. Throws Error(cancelled) alone.
  virtual Task<Verdict> ask(std::string host, std::uint16_t port, std::string path,
                            std::chrono::milliseconds timeout) = 0;
};

}  // namespace deploy::ports
