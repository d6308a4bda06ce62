// An UpstreamProxy without Nginx: remembers the routes that are live and every change, and fails where it is told to.
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/base/error.hpp"
#include "agent/ports/clock.hpp"
#include "agent/ports/upstream_proxy.hpp"

namespace deploy::tests {

class FakeProxy final : public ports::UpstreamProxy {
 public:
  /// What new requests get.
  std::vector<ports::Route> live;
  /// Every set of routes that was live, in order; a call that changed nothing adds none.
  std::vector<std::vector<ports::Route>> history;
  int apply_calls = 0;
  int wait_calls = 0;
  int rehearse_calls = 0;
  /// Errors of the next calls of apply that would change something: thrown before the effect, as the real one does.
  std::deque<Error> fail_before;
  /// Thrown after the effect: the switch is done, and the caller never learns it (the agent was killed).
  std::deque<Error> fail_after;
  /// Files that were changed by hand, until the next call that changes something.
  std::vector<std::string> edited;
  /// Answers of the next calls of wait_retired_workers; true where there is none.
  std::deque<bool> retired;
  /// Answers of the next calls of workers_shutting_down; 0 where there is none.
  std::deque<int> shutting_down;
  /// Hears "proxy.apply.before", "proxy.apply.after", "proxy.reload.before", "proxy.reload.written",
  /// "proxy.reload.after" and "proxy.wait"; may throw.
  std::function<void(std::string_view point)> on_point;
  std::vector<std::string> notes;
  bool proxied = true;  // false: as where there is no proxy
  /// How long a change takes, where there is a clock.
  std::chrono::milliseconds takes{0};
  ports::Clock* clock = nullptr;

  Task<ports::SwitchReport> apply(std::vector<ports::Route> routes) override {
    ++apply_calls;
    reach("proxy.apply.before");
    if (clock != nullptr) co_await clock->sleep_for(takes);
    ports::SwitchReport report;
    report.proxied = proxied;
    report.changed = proxied && live != routes;
    if (report.changed) report.test = std::chrono::milliseconds{0};
    if (report.changed) {
      if (auto error = take(fail_before)) throw *error;
    }
    report.notes = notes;
    if (!report.changed) report.edited = edited;
    if (report.changed) {
      edited.clear();
      live = std::move(routes);
      history.push_back(live);
    }
    reach("proxy.apply.after");
    if (report.changed) {
      if (auto error = take(fail_after)) throw *error;
    }
    co_return report;
  }

  int reload_calls = 0;
  /// Errors of the next calls of reload_users_files: before it lets anything be written, and after that, once the
  /// files were put back.
  std::deque<Error> fail_before_writing;
  std::deque<Error> fail_loading;
  std::function<std::optional<Error>()> refuses;  // what was written

  Task<ports::SwitchReport> reload_users_files(std::vector<ports::Route> routes, ports::UsersChange change) override {
    ++reload_calls;
    reach("proxy.reload.before");
    if (clock != nullptr) co_await clock->sleep_for(takes);
    if (auto error = take(fail_before_writing)) throw *error;
    std::optional<Error> failure = take(fail_loading);
    try {
      co_await change.write();
    } catch (const Error& error) {
      failure = error;
    }
    reach("proxy.reload.written");
    if (!failure && refuses) failure = refuses();
    if (failure) {
      co_await change.put_back();
      throw *failure;
    }
    live = std::move(routes);
    ports::SwitchReport report;
    report.proxied = proxied;
    report.changed = proxied;
    report.notes = notes;
    reach("proxy.reload.after");
    co_return report;
  }

  Task<void> rehearse() override {
    ++rehearse_calls;
    co_return;
  }

  Task<bool> wait_retired_workers(std::chrono::milliseconds) override {
    ++wait_calls;
    reach("proxy.wait");
    co_return take(retired).value_or(true);
  }

  Task<int> workers_shutting_down() override { co_return take(shutting_down).value_or(0); }

  Task<std::vector<ports::Endpoint>> routed() override {
    std::set<ports::Endpoint> targets;
    for (const auto& route : live) targets.insert(route.targets.begin(), route.targets.end());
    std::vector<ports::Endpoint> all(targets.begin(), targets.end());
    co_return all;
  }

  /// The live targets of a service; empty where it has no route.
  std::vector<ports::Endpoint> targets(std::string_view service) const {
    const auto found =
        std::find_if(live.begin(), live.end(), [&](const auto& route) { return route.service == service; });
    return found == live.end() ? std::vector<ports::Endpoint>{} : found->targets;
  }

 private:
  void reach(std::string_view point) const {
    if (on_point) on_point(point);
  }
  template <class T>
  static std::optional<T> take(std::deque<T>& queue) {
    if (queue.empty()) return std::nullopt;
    std::optional<T> first(std::move(queue.front()));
    queue.pop_front();
    return first;
  }
};

}  // namespace deploy::tests
