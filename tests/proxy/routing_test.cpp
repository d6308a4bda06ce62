#include "agent/proxy/routing.hpp"

#include <catch2/catch_test_macros.hpp>

#include "tests/fakes/run.hpp"

namespace deploy::proxy {
namespace {

TEST_CASE("the subnet is clear of routes and networks") {
  CHECK(choose_subnet({}) == "10.213.176.0/22");
  CHECK(choose_subnet({"10.213.177.5/32"}) == "10.187.84.0/22");
  CHECK(choose_subnet({"10.0.0.0/8", "not an address", "fd00::/64"}) == "172.30.212.0/22");
  CHECK(choose_subnet({"10.0.0.0/8", "172.16.0.0/12"}) == "192.168.212.0/22");
  CHECK(choose_subnet({"0.0.0.0/0"}) == "10.213.176.0/22");
  const auto error = tests::error_of([] { choose_subnet({"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"}); });
  CHECK(error.kind() == ErrorKind::conflict);
  CHECK(error.message() ==
        "no subnet for the routing network is clear of this host's routes and Docker's networks (10.0.0.0/8, "
        "172.16.0.0/12, "
        "192.168.0.0/16); set routing.subnet in agent.yaml to a free private network, e.g. a /22");
}

TEST_CASE("the host's routes are read without the default route") {
  const auto routes = parse_host_routes(
      "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
      "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
      "eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
      "docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
      "broken line\n");
  CHECK(routes == std::vector<std::string>{"192.0.2.0/24", "172.17.0.0/16"});
}

TEST_CASE("a plan divides the subnet") {
  const RoutingPlan plan("10.213.176.0/22");
  CHECK(plan.nginx_address() == "10.213.176.2");
  CHECK(plan.ip_range() == "10.213.178.0/23");
  CHECK_FALSE(plan.is_target_address("10.213.176.9"));
  CHECK(plan.is_target_address("10.213.176.10"));
  CHECK(plan.is_target_address("10.213.177.255"));
  CHECK_FALSE(plan.is_target_address("10.213.178.0"));
  CHECK_FALSE(plan.is_target_address("llm"));
}

TEST_CASE("an address is not used again before all others were") {
  const RoutingPlan plan("10.0.0.0/26");  // targets: .10 to .31
  CHECK(plan.next_address("", {}) == "10.0.0.10");
  CHECK(plan.next_address("10.0.0.10", {}) == "10.0.0.11");
  CHECK(plan.next_address("10.0.0.10", {"10.0.0.11", "10.0.0.12"}) == "10.0.0.13");
  CHECK(plan.next_address("10.0.0.31", {"10.0.0.10"}) == "10.0.0.11");
  CHECK(plan.next_address("192.168.0.1", {}) == "10.0.0.10");
  std::set<std::string> all;
  std::string last;
  for (int i = 0; i < 22; ++i) all.insert(last = plan.next_address(last, {}));
  CHECK(all.size() == 22);
  const auto error = tests::error_of([&] { plan.next_address(last, all); });
  CHECK(error.message() ==
        "all 22 addresses for targets in 10.0.0.0/26 are in use; remove containers that are not needed, or choose a "
        "larger "
        "routing.subnet");
}

TEST_CASE("a subnet that cannot be divided is refused") {
  for (const auto* bad :
       {"10.0.0.0/27", "10.0.0.0/15", "10.0.0.1/22", "10.0.0/22", "10.0.0.0", "10.0.0.256/22", "", "::/64"}) {
    INFO(bad);
    CHECK(tests::error_of([&] { RoutingPlan plan(bad); }).kind() == ErrorKind::invalid);
  }
}

}  // namespace
}  // namespace deploy::proxy
