// The routing network: which subnet it gets, who has which address in it, and that it exists. All but ensure_network is
// pure. Targets and Nginx have fixed addresses there, which survive a reboot in any order; names and automatic
// addresses do not.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "agent/ports/container_engine.hpp"

namespace deploy::proxy {

/// An IPv4 network in CIDR form.
struct Cidr {
  std::uint32_t address = 0;  // host byte order, host bits zero
  int prefix = 0;             // 0 to 32

  std::uint32_t last() const;
  bool overlaps(const Cidr& other) const;
  bool contains(std::uint32_t candidate) const;
  std::string text() const;
  auto operator<=>(const Cidr&) const = default;
};

/// nullopt where it is not "a.b.c.d/n".
std::optional<Cidr> parse_cidr(std::string_view text);
/// nullopt where it is not a dotted IPv4 address.
std::optional<std::uint32_t> parse_address(std::string_view text);
std::string address_text(std::uint32_t address);

/// The networks that /proc/net/route names (proc(5)), the default route left out.
std::vector<std::string> parse_host_routes(std::string_view proc_net_route);

/// A /22 inside the private ranges that is clear of every `taken` CIDR; what is not IPv4 in there is ignored. The list
/// it chooses from avoids Docker's own first choices, 172.31.0.0/16 (AWS) and, but as a last resort, 192.168.0.0/16.
/// Throws Error(conflict) where nothing is clear.
std::string choose_subnet(const std::vector<std::string>& taken);

/// Who has which address in a subnet: .1 left free, .2 Nginx, from .10 to the end of the first half the targets'
/// fixed addresses, the second half Docker's automatic ones, of which its bridge takes the first.
class RoutingPlan {
 public:
  /// Throws Error(invalid) where it is not a network of /16 to /26.
  explicit RoutingPlan(std::string_view subnet);

  const std::string& subnet() const noexcept { return subnet_text_; }
  std::string nginx_address() const;
  /// This host's own.
  std::string bridge_address() const;
  /// CIDR of the automatic addresses.
  std::string ip_range() const;

  /// May a target have this address?
  bool is_target_address(std::string_view address) const;

  /// The next free address of a target after `last_used` (empty or foreign: from the start), round and round, so that
  /// an address is not used again soon after its target went. Throws Error(conflict) where none is free.
  std::string next_address(std::string_view last_used, const std::set<std::string>& in_use) const;

 private:
  Cidr subnet_;
  std::string subnet_text_;
  std::uint32_t first_target_ = 0;
  std::uint32_t last_target_ = 0;
};

/// Creates the network (internal: no way out of it) with these labels, or checks that the one of that name has them and
/// this subnet. Throws Error(conflict) where it is not ours or has another subnet. Returns whether it was created.
Task<bool> ensure_network(ports::ContainerEngine& engine, std::string name, std::string subnet, ports::Labels labels);

}  // namespace deploy::proxy
