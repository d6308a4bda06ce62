// Who gets each service's requests: the one place that changes what Nginx routes. One change at a time, whoever asks:
// the switch of a rollout, its undo, or the reconciler.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/base/async.hpp"
#include "agent/domain/service.hpp"
#include "agent/ports/upstream_proxy.hpp"
#include "agent/rollout/journal.hpp"

namespace deploy::rollout {

class Traffic {
 public:
  using Endpoints = std::map<std::string, std::uint16_t>;

  Traffic(asio::any_io_executor executor, ports::UpstreamProxy& proxy, Journal& journal,
          const std::vector<domain::Service>& services)
      : proxy_(proxy), journal_(journal), services_(services), one_change_(executor) {}

  /// Routes the service's requests to these targets and to nobody else. Proved when it returns; errors as
  /// UpstreamProxy::apply. Those that wait for their turn together are made with one reload; where that fails, each
  /// is made alone, so that nobody pays for another's mistake. The caller writes it down with TargetStore::set_routed,
  /// in a transaction of its own.
  Task<ports::SwitchReport> route(std::string service, std::vector<domain::TargetId> targets);

  /// The same where `begin` says so once it is this change's turn; returns whether it did. It has written
  /// them down as routed by then.
  Task<bool> route_if(std::function<bool()> begin, std::string service, std::vector<domain::TargetId> targets);

  /// As UpstreamProxy::reload_users_files, with the routes as they are; no other change is made meanwhile.
  Task<ports::SwitchReport> reload_users_files(ports::UsersChange change);

  /// Lets the next change do without a test of its own, as UpstreamProxy::rehearse.
  Task<void> rehearse();

  /// Makes Nginx route as was last proved or written down. `at_start`: and as a switch wants that was under way when
  /// the agent ended, because Nginx may have it already.
  Task<ports::SwitchReport> restore(bool at_start);

  /// Address -> port of everything that upstream files name, whether or not the journal knows it.
  Task<Endpoints> endpoints();

  /// Who gets the service's requests, as last proved by this agent, else as written down.
  std::vector<domain::TargetId> routed(const std::string& service);

  /// How many workers of Nginx finish what they have and take nothing new.
  Task<int> workers_shutting_down() { return proxy_.workers_shutting_down(); }

  Task<bool> wait_retired_workers(std::chrono::milliseconds limit) { return proxy_.wait_retired_workers(limit); }

 private:
  /// Service -> its targets, where that differs from the database.
  using Routed = std::map<std::string, std::vector<domain::TargetId>>;

  /// A change that waits for its turn, or was taken along by another.
  struct Request {
    std::string service;
    std::vector<domain::TargetId> targets;
    std::optional<ports::SwitchReport> report;  // once it is made
  };

  Task<void> change_together(std::shared_ptr<Request> first);
  Task<ports::SwitchReport> change(Routed wanted);
  std::vector<ports::Route> routes(const Routed& wanted);
  Routed switches_in_doubt();

  ports::UpstreamProxy& proxy_;
  Journal& journal_;
  const std::vector<domain::Service>& services_;
  AsyncMutex one_change_;
  std::list<std::weak_ptr<Request>> waiting_;  // a request whose coroutine was cancelled is gone
  /// What was proved and may not have been written down yet: another service's change must not take it back.
  Routed proved_;
};

}  // namespace deploy::rollout
