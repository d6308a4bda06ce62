// Nginx's worker processes, told apart by their titles: which still accept connections, which are on their way out.
// Source: nginx.org "Controlling nginx"; the titles are those that ngx_setproctitle writes.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "agent/ports/container_engine.hpp"

namespace deploy::proxy {

struct Workers {
  std::optional<ports::ProcessEntry> master;
  std::set<std::int64_t> accepting;      // process ids
  std::set<std::int64_t> shutting_down;  // finish what they have and take no new connection
};

/// Sorts a container's processes. `init` is the id of the container's first process: only its Nginx counts, not one
/// that somebody started beside it.
Workers workers_of(const std::vector<ports::ProcessEntry>& processes, std::int64_t init);

/// Remembers since when each worker has been shutting down.
class WorkerWatch {
 public:
  using Time = std::chrono::steady_clock::time_point;

  void saw(const Workers& workers, Time now);

  /// True when no worker that is shutting down can take another request: none is left, or each was first seen shutting
  /// down longer ago than `idle_connections_live`.
  bool retired(Time now, std::chrono::milliseconds idle_connections_live) const;

 private:
  std::map<std::int64_t, Time> shutting_down_since_;
};

}  // namespace deploy::proxy
