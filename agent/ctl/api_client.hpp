// The agent's API as the command line uses it: typed calls over the agent's unix socket.
// Every call throws Error. `unreachable` means that no agent answered, and its message says what to do; `invalid`,
// `not_found` and `conflict` are the agent's refusals with its message as it is; everything else the agent reports is
// `failed`. Copyable; one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "agent/api/views.hpp"
#include "agent/base/async.hpp"
#include "agent/http/client.hpp"

namespace deploy::ctl {

class ApiClient {
 public:
  using OnEvent = std::function<void(const api::EventView&)>;
  using OnText = std::function<void(std::string_view)>;

  explicit ApiClient(std::string socket);

  Task<api::VersionView> version();
  Task<api::StatusView> status();
  Task<api::LiveServicesView> live();
  /// Newest first; an empty service is every service.
  Task<api::PlanView> plan(std::vector<std::string> services);
  Task<api::PlanView> plan_rollback(api::RollbackRequest request);
  Task<api::HistoryView> history(std::string service, int limit);
  Task<api::RolloutView> rollout(std::int64_t id);
  Task<api::AcceptedView> start(api::RolloutRequest request);
  Task<api::AcceptedView> roll_back(api::RollbackRequest request);
  Task<api::AcceptedView> cancel(api::CancelRequest request);
  Task<api::PauseView> pause(api::PauseRequest request);
  Task<api::PauseView> resume(api::PauseRequest request);

  /// Hands over the release's events after `after`, as they happen; returns when the release has ended, or earlier when
  /// the agent ends the stream because it stops.
  Task<void> follow_events(std::int64_t release, std::int64_t after, OnEvent on_event);

  /// A service's container lines: the last `tail` of them, and with `follow` all that come.
  Task<void> service_log(std::string service, int tail, bool follow, OnText on_text);
  /// A rollout's build output and the lines of its containers.
  Task<void> rollout_log(std::int64_t id, bool follow, OnText on_text);

 private:
  Task<http::Response> get(std::string target);
  Task<http::Response> post(std::string target, std::string body);
  Task<http::Response> send(http::Request request);
  Task<void> stream(std::string target, OnText on_text);
  Error explained(const Error& error) const;
  void check(const http::Response& response) const;
  template <class View>
  View parsed(const std::string& body) const;

  http::Client http_;
};

}  // namespace deploy::ctl
