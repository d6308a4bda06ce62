#include "agent/proxy/by_name.hpp"

#include <algorithm>

#include "agent/base/error.hpp"
#include "agent/domain/labels.hpp"

namespace deploy::proxy {

Task<ports::SwitchReport> ByName::apply(std::vector<ports::Route>) {
  ports::SwitchReport report;
  report.proxied = false;
  co_return report;
}

Task<ports::SwitchReport> ByName::reload_users_files(std::vector<ports::Route>, ports::UsersChange change) {
  std::exception_ptr failure;
  try {
    co_await change.write();
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure) {
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    std::exception_ptr again;
    try {
      co_await change.put_back();
    } catch (...) {
      again = std::current_exception();
    }
    co_await asio::this_coro::reset_cancellation_state(asio::enable_terminal_cancellation());
    if (!again) throw Error(kind_of(failure), message_of(failure) + "; the earlier files are back");
    throw Error(ErrorKind::in_doubt,
                message_of(failure) + "; putting the earlier files back failed, too: " + message_of(again));
  }
  ports::SwitchReport report;
  report.proxied = false;
  co_return report;
}

Task<bool> ByName::wait_retired_workers(std::chrono::milliseconds) { co_return true; }

Task<int> ByName::workers_shutting_down() { co_return 0; }

Task<std::vector<ports::Endpoint>> ByName::routed() {
  std::vector<ports::Endpoint> endpoints;
  const ports::Labels ours{{domain::labels::instance, instance_}};
  const auto containers = co_await engine_.list(ours);
  for (const auto& container : containers) {
    if (container.name != domain::labels::text(container.labels, domain::labels::service)) continue;
    const auto inspected = co_await engine_.inspect(container.id);
    if (!inspected) continue;
    const auto& networks = inspected->networks;
    const auto found = std::find_if(networks.begin(), networks.end(),
                                    [&](const auto& endpoint) { return endpoint.network == routing_network_; });
    if (found != networks.end()) endpoints.push_back({found->address, 0});
  }
  std::sort(endpoints.begin(), endpoints.end());
  co_return endpoints;
}

}  // namespace deploy::proxy
