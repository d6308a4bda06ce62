#include "agent/proxy/routing.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <sstream>

#include "agent/base/error.hpp"
#include "agent/base/text.hpp"

namespace deploy::proxy {

namespace {

/// In this order. 10.x far from the round numbers that companies use, then the end of ranges Docker reaches late.
constexpr std::array<std::string_view, 14> candidates{
    "10.213.176.0/22", "10.187.84.0/22",  "10.146.92.0/22",  "172.30.212.0/22", "172.29.212.0/22",
    "172.28.212.0/22", "172.27.212.0/22", "10.91.220.0/22",  "10.58.172.0/22",  "172.26.212.0/22",
    "172.24.212.0/22", "172.22.212.0/22", "172.20.212.0/22", "192.168.212.0/22"};

constexpr std::uint32_t nginx_offset = 2;
constexpr std::uint32_t first_target_offset = 10;
constexpr int prefix_shortest = 16;
constexpr int prefix_longest = 26;

std::uint32_t mask_of(int prefix) { return prefix == 0 ? 0 : ~std::uint32_t{0} << (32 - prefix); }

template <class Number>
std::optional<Number> number_in(std::string_view text, int base = 10) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// A word of /proc/net/route: an address in network byte order, printed as a number of this (little-endian) machine.
std::optional<std::uint32_t> route_address(std::string_view text) {
  const auto value = number_in<std::uint32_t>(text, 16);
  if (!value) return std::nullopt;
  return (*value >> 24) | ((*value >> 8) & 0xff00) | ((*value << 8) & 0xff0000) | (*value << 24);
}

}  // namespace

std::uint32_t Cidr::last() const { return address | ~mask_of(prefix); }
bool Cidr::contains(std::uint32_t candidate) const { return (candidate & mask_of(prefix)) == address; }
bool Cidr::overlaps(const Cidr& other) const { return contains(other.address) || other.contains(address); }
std::string Cidr::text() const { return fmt::format("{}/{}", address_text(address), prefix); }

std::optional<std::uint32_t> parse_address(std::string_view text) {
  std::uint32_t address = 0;
  for (int part = 0; part < 4; ++part) {
    const auto dot = part < 3 ? text.find('.') : text.size();
    if (dot == std::string_view::npos || dot == 0 || dot > 3) return std::nullopt;
    const auto value = number_in<std::uint32_t>(text.substr(0, dot));
    if (!value || *value > 255) return std::nullopt;
    address = address << 8 | *value;
    text.remove_prefix(std::min(dot + 1, text.size()));
  }
  return address;
}

std::string address_text(std::uint32_t address) {
  return fmt::format("{}.{}.{}.{}", address >> 24, (address >> 16) & 255, (address >> 8) & 255, address & 255);
}

std::optional<Cidr> parse_cidr(std::string_view text) {
  const auto slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto address = parse_address(text.substr(0, slash));
  const auto prefix = number_in<int>(text.substr(slash + 1));
  if (!address || !prefix || *prefix < 0 || *prefix > 32) return std::nullopt;
  return Cidr{*address & mask_of(*prefix), *prefix};
}

std::vector<std::string> parse_host_routes(std::string_view proc_net_route) {
  std::vector<std::string> found;
  for (const auto& line : split_lines(proc_net_route)) {
    std::istringstream words(line);
    std::string interface, destination, skipped, mask;
    words >> interface >> destination;
    for (int column = 2; column < 7; ++column) words >> skipped;
    words >> mask;
    const auto address = route_address(destination);
    const auto bits = route_address(mask);
    if (!words || !address || !bits || *bits == 0) continue;
    int prefix = 0;
    while (prefix < 32 && (*bits << prefix & 0x80000000U) != 0) ++prefix;
    found.push_back(Cidr{*address & mask_of(prefix), prefix}.text());
  }
  return found;
}

std::string choose_subnet(const std::vector<std::string>& taken) {
  std::vector<Cidr> networks;
  for (const auto& text : taken) {
    const auto network = parse_cidr(text);
    if (network && network->prefix > 0) networks.push_back(*network);
  }
  for (const auto candidate : candidates) {
    const auto network = parse_cidr(candidate);
    const bool clear =
        std::none_of(networks.begin(), networks.end(), [&](const Cidr& other) { return other.overlaps(*network); });
    if (clear) return std::string(candidate);
  }
  throw Error(
      ErrorKind::conflict,
      fmt::format("no subnet for the routing network is clear of this host's routes and Docker's networks ({}); set "
                  "routing.subnet in agent.yaml to a free private network, e.g. a /22",
                  fmt::join(taken, ", ")));
}

RoutingPlan::RoutingPlan(std::string_view subnet) {
  const auto parsed = parse_cidr(subnet);
  if (!parsed || parsed->prefix < prefix_shortest || parsed->prefix > prefix_longest || parsed->text() != subnet) {
    throw Error(ErrorKind::invalid,
                fmt::format("the routing network's subnet \"{}\" must be an IPv4 network of /{} to /{} "
                            "without host bits, e.g. 10.213.176.0/22",
                            subnet, prefix_shortest, prefix_longest));
  }
  subnet_ = *parsed;
  subnet_text_ = subnet_.text();
  first_target_ = subnet_.address + first_target_offset;
  last_target_ = subnet_.address + (subnet_.last() - subnet_.address) / 2;
}

std::string RoutingPlan::nginx_address() const { return address_text(subnet_.address + nginx_offset); }

std::string RoutingPlan::bridge_address() const { return address_text(last_target_ + 1); }

std::string RoutingPlan::ip_range() const { return Cidr{last_target_ + 1, subnet_.prefix + 1}.text(); }

bool RoutingPlan::is_target_address(std::string_view address) const {
  const auto parsed = parse_address(address);
  return parsed && *parsed >= first_target_ && *parsed <= last_target_;
}

std::string RoutingPlan::next_address(std::string_view last_used, const std::set<std::string>& in_use) const {
  const std::uint32_t count = last_target_ - first_target_ + 1;
  const std::uint32_t start = is_target_address(last_used) ? *parse_address(last_used) - first_target_ + 1 : 0;
  for (std::uint32_t step = 0; step < count; ++step) {
    auto candidate = address_text(first_target_ + (start + step) % count);
    if (!in_use.contains(candidate)) return candidate;
  }
  throw Error(ErrorKind::conflict,
              fmt::format("all {} addresses for targets in {} are in use; remove containers that are not "
                          "needed, or choose a larger routing.subnet",
                          count, subnet_text_));
}

Task<bool> ensure_network(ports::ContainerEngine& engine, std::string name, std::string subnet, ports::Labels labels) {
  const RoutingPlan plan(subnet);
  const auto present = co_await engine.inspect_network(name);
  if (!present) {
    ports::NetworkSpec spec{name, subnet, plan.ip_range(), true, labels};
    co_await engine.create_network(spec);
    co_return true;
  }
  const bool ours = std::includes(present->labels.begin(), present->labels.end(), labels.begin(), labels.end());
  if (!ours) {
    throw Error(ErrorKind::conflict,
                fmt::format("there is a network {} that does not belong to this installation; choose another name in "
                            "routing.network, or remove it with: docker network rm {}",
                            name, name));
  }
  if (std::find(present->subnets.begin(), present->subnets.end(), subnet) == present->subnets.end()) {
    throw Error(ErrorKind::conflict,
                fmt::format("the routing network {} has the subnet {} and not {}; set routing.subnet to what it has",
                            name, fmt::join(present->subnets, ", "), subnet));
  }
  co_return false;
}

}  // namespace deploy::proxy
