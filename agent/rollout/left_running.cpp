#include "agent/rollout/left_running.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "agent/base/atomic_file.hpp"
#include "agent/base/error.hpp"
#include "agent/rollout/take_up.hpp"

namespace deploy::rollout {

namespace {

constexpr std::size_t list_bytes_max = 1 << 20;
constexpr std::uint64_t port_max = 65535;

}  // namespace

std::vector<LeftRunning::Entry> LeftRunning::entries() const {
  std::error_code failure;
  if (!std::filesystem::exists(site_.list, failure)) return {};
  const auto list = nlohmann::json::parse(read_file(site_.list, list_bytes_max), nullptr, false);
  std::vector<Entry> all;
  bool valid = list.is_array();
  for (const auto& entry : valid ? list : nlohmann::json::array()) {
    const auto member = [&entry](const char* key) {
      return entry.is_object() && entry.contains(key) ? entry.at(key) : nlohmann::json();
    };
    const auto service = member("service");
    const auto port = member("port");
    valid = valid && service.is_string() && port.is_number_unsigned() && port.get<std::uint64_t>() <= port_max;
    if (valid) all.push_back({service.get<std::string>(), port.get<std::uint16_t>()});
  }
  if (valid) return all;
  throw Error(ErrorKind::invalid,
              site_.list.string() +
                  " is not what `deployctl init` writes, a list of {\"service\", \"port\"}; correct it, or remove it "
                  "where no port of this host waits for Nginx");
}

std::vector<std::uint16_t> LeftRunning::ports_of(const domain::Target& target) const {
  std::vector<std::uint16_t> ports;
  if (target.container_id.empty() || journal_.rollouts.get(target.rollout).cause != taken_up_cause) return ports;
  for (const auto& entry : entries()) {
    if (entry.service == target.service) ports.push_back(entry.port);
  }
  return ports;
}

Task<bool> LeftRunning::give_address_back(domain::Target target) {
  const auto container = co_await engine_.inspect(target.container_id);
  if (!container || container->state != "running") co_return false;
  const auto endpoint = std::find_if(container->networks.begin(), container->networks.end(),
                                     [this](const auto& other) { return other.network == site_.routing_network; });
  const bool is_there = endpoint != container->networks.end();
  if (is_there && endpoint->address != target.address) co_return true;  // done before
  // Between the two calls it reaches no service: nothing may come in between.
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  if (is_there) co_await engine_.disconnect(container->id, site_.routing_network);
  const ports::NetworkEndpoint any_address{site_.routing_network, "", {}, site_.links};
  co_await engine_.connect(container->id, any_address);
  co_await asio::this_coro::reset_cancellation_state(asio::enable_terminal_cancellation());
  co_return true;
}

Task<std::vector<std::string>> LeftRunning::still_answered() {
  std::vector<std::string> lines;
  const auto all = entries();
  for (const auto& entry : all) {
    const auto taken_up = journal_.rollouts.newest_of_cause(entry.service, taken_up_cause);
    if (!taken_up) continue;
    const auto targets = journal_.targets.of_rollout(taken_up->id);
    for (const auto& target : targets) {
      if (target.state != domain::TargetState::gone) continue;
      const auto container = co_await engine_.inspect(target.container_id);
      if (!container || container->state != "running") continue;
      lines.push_back(
          fmt::format("port {} of this host is still answered by {}, with the version from before the first rollout: "
                      "run `deployctl init DIR --write`",
                      entry.port, container->name));
    }
  }
  co_return lines;
}

std::string note_of_left_running(const std::string& container, const std::vector<std::uint16_t>& ports) {
  const bool one = ports.size() == 1;
  return fmt::format(
      "the container {} goes on answering on {} {} of this host, with the version from before; `deployctl init DIR "
      "--write` gives the {} to Nginx and ends it",
      container, one ? "port" : "the ports", fmt::join(ports, ", "), one ? "port" : "ports");
}

}  // namespace deploy::rollout
