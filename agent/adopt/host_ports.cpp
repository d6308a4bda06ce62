#include "agent/adopt/host_ports.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "agent/proxy/routing.hpp"

namespace deploy::adopt {

namespace {

std::vector<const InspectedContainer*> holders_of(const Survey& survey, std::uint16_t port) {
  std::vector<const InspectedContainer*> holders;
  for (const auto& container : survey.containers) {
    const auto& ports = container.settings.ports;
    if (std::ranges::any_of(ports, [&](const auto& own) { return own.host == port; })) holders.push_back(&container);
  }
  return holders;
}

/// Has it one of the routing network's fixed addresses?
bool has_target_address(const Survey& survey, const InspectedContainer& container) {
  const auto known = container.addresses.find(survey.routing_network);
  return known != container.addresses.end() &&
         proxy::RoutingPlan(survey.routing_subnet).is_target_address(known->second);
}

/// It was taken up, and its service's first rollout has come as far as to have it give its address back.
bool is_left_running(const Survey& survey, const InspectedContainer& container, const std::string& service) {
  const bool taken_up = std::ranges::any_of(survey.taken_up, [&](const TakenUp& entry) {
    return entry.service == service && entry.container == container.id;
  });
  const bool replaced = std::ranges::any_of(survey.containers, [&](const auto& other) {
    return other.ours && other.ours_for == service && has_target_address(survey, other);
  });
  return taken_up && replaced && !container.ours && !has_target_address(survey, container);
}

void add_holder(std::vector<PortHolder>& holders, const InspectedContainer& container, std::uint16_t port) {
  const auto known = std::ranges::find(holders, container.id, &PortHolder::id);
  if (known != holders.end()) return known->ports.push_back(port);
  holders.push_back({container.id, container.name, {port}, container.settings.stop_grace_period});
}

std::string server_of(const Survey& survey, const WaitingPort& port) {
  const auto known = survey.upstreams.find(port.service);
  const auto& upstream = known == survey.upstreams.end() || known->second.empty() ? port.service : known->second;
  return fmt::format(R"(server {{
    listen {};
    client_max_body_size 0;
    location / {{
        proxy_pass http://{};
        proxy_http_version 1.1;
        proxy_set_header Host $http_host;
        proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $deployctl_connection;
        proxy_read_timeout 1h;
        proxy_send_timeout 1h;
    }}
}}
)",
                     port.host, upstream);
}

}  // namespace

PortHandOver hand_over_ports(const Survey& survey) {
  PortHandOver out;
  for (const auto& port : survey.waiting_ports) {
    auto holders = holders_of(survey, port.host);
    // Where no Compose file defines Nginx, its owner gives it the port.
    const auto nginx_has_it = std::erase_if(
        holders, [&](const auto* holder) { return survey.nginx && holder->id == survey.nginx->container.id; });
    const bool ready = std::ranges::all_of(
        holders, [&](const auto* holder) { return is_left_running(survey, *holder, port.service); });
    if (!ready) {
      out.waiting.push_back(port);
      continue;
    }
    out.servers += server_of(survey, port);
    if (nginx_has_it == 0) out.published.push_back(fmt::format("{0}:{0}", port.host));
    auto text = fmt::format("port {} of the host: Nginx listens there for {}", port.host, port.service);
    for (const auto* holder : holders) {
      add_holder(out.holders, *holder, port.host);
      text += fmt::format("; the container {}, which still answers there, is stopped and removed for it", holder->name);
    }
    out.changed.push_back(std::move(text));
  }
  return out;
}

}  // namespace deploy::adopt
