#include "agent/proxy/worker_watch.hpp"

#include <algorithm>
#include <string_view>

namespace deploy::proxy {

Workers workers_of(const std::vector<ports::ProcessEntry>& processes, std::int64_t init) {
  constexpr std::string_view master_title = "nginx: master process";
  constexpr std::string_view worker_title = "nginx: worker process";
  Workers workers;
  for (const auto& process : processes) {
    // The parent may be a small init that passes signals on (docker run --init). A worker that was just forked has its
    // master's title for a moment.
    const bool first = process.pid == init || (process.parent == init && !workers.master);
    if (first && std::string_view(process.title).starts_with(master_title)) workers.master = process;
  }
  if (!workers.master) return workers;
  for (const auto& process : processes) {
    const std::string_view title = process.title;
    if (process.parent != workers.master->pid || !title.starts_with(worker_title)) continue;
    const bool leaving = title.find("is shutting down") != std::string_view::npos;
    (leaving ? workers.shutting_down : workers.accepting).insert(process.pid);
  }
  return workers;
}

void WorkerWatch::saw(const Workers& workers, Time now) {
  std::erase_if(shutting_down_since_, [&](const auto& entry) { return !workers.shutting_down.contains(entry.first); });
  for (const auto pid : workers.shutting_down) shutting_down_since_.emplace(pid, now);
}

bool WorkerWatch::retired(Time now, std::chrono::milliseconds idle_connections_live) const {
  return std::all_of(shutting_down_since_.begin(), shutting_down_since_.end(),
                     [&](const auto& entry) { return now - entry.second > idle_connections_live; });
}

}  // namespace deploy::proxy
