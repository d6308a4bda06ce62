// What a real engine makes of the settings that it gets as they are. Needs what engine_contract_real needs.
#include <catch2/catch_all.hpp>
#include <chrono>
#include <thread>

#include "agent/engine/docker_json.hpp"
#include "tests/contract/engine_world.hpp"

namespace deploy::tests {

using namespace std::chrono_literals;

TEST_CASE("real engine: limits, privileges and health of a container arrive") {
  RealWorld world;
  auto& engine = world.engine();
  auto spec = sleeper(world, "a");
  auto& settings = spec.settings;
  settings.healthcheck = {{"CMD", "true"}, 1s, 2s, 3s, 4};
  settings.ulimits = {{"nofile", {1000, 2000}}};
  settings.memory_bytes = 64 << 20;
  settings.memory_reservation_bytes = 32 << 20;
  settings.shm_bytes = 8 << 20;
  settings.pids_limit = 100;
  settings.group_add = {"1234"};
  settings.cap_add = {"NET_ADMIN"};
  settings.cap_drop = {"CHOWN"};
  settings.security_opt = {"no-new-privileges:true"};
  settings.sysctls = {{"net.ipv4.ip_unprivileged_port_start", "80"}};
  settings.dns = {"192.0.2.53"};
  settings.dns_search = {"example.com"};
  settings.dns_options = {"use-vc"};
  settings.read_only = true;
  settings.hostname = "be";
  settings.ipc = "shareable";
  settings.runtime = "runc";
  const auto id = run(engine.create(spec));
  run(engine.start(id));
  const auto seen = run(
      engine.exec(id, {{"sh", "-c",
                        "hostname; ulimit -Sn; ulimit -Hn; id -G; cat /proc/sys/net/ipv4/ip_unprivileged_port_start; "
                        "grep -c 'NoNewPrivs:\t1' /proc/self/status; touch /x 2>/dev/null || echo read-only"},
                       10s}));
  CHECK(seen.output == "be\n1000\n2000\n0 1234\n80\n1\nread-only\n");
  const auto value = engine::Json::parse(world.raw("GET", "/containers/" + id + "/json"));
  CHECK(value.at("Config").at("Healthcheck") == engine::Json::parse(R"({"Test": ["CMD", "true"], "Interval": 1000000000,
        "Timeout": 2000000000, "StartPeriod": 3000000000, "Retries": 4})"));
  const auto& host = value.at("HostConfig");
  CHECK(host.at("MemoryReservation") == 32 << 20);
  CHECK(host.at("ShmSize") == 8 << 20);
  CHECK(host.at("PidsLimit") == 100);
  CHECK(host.at("CapAdd").size() == 1);
  CHECK(host.at("CapDrop").size() == 1);
  CHECK(host.at("Dns") == engine::Json{"192.0.2.53"});
  CHECK(host.at("DnsSearch") == engine::Json{"example.com"});
  CHECK(host.at("DnsOptions") == engine::Json{"use-vc"});
  CHECK(host.at("IpcMode") == "shareable");
  for (int i = 0; i < 100 && run(engine.inspect(id)).value().health != "healthy"; ++i)
    std::this_thread::sleep_for(50ms);
  CHECK(run(engine.inspect(id)).value().health == "healthy");  // of an image that has no HEALTHCHECK
}

TEST_CASE("real engine: a command has an environment beside the container's own") {
  RealWorld world;
  auto& engine = world.engine();
  auto spec = sleeper(world, "a");
  spec.settings.environment = {{"KEPT", "own"}, {"MODE", "serve"}};
  const auto id = run(engine.create(spec));
  run(engine.start(id));
  const std::map<std::string, std::string> environment{{"MODE", "check"}, {"TOKEN", "a b=\"c\""}};
  const auto result = run(engine.exec(id, {{"sh", "-c", "echo $KEPT $MODE \"$TOKEN\""}, 10s, environment}));
  CHECK(result.output == "own check a b=\"c\"\n");
}

}  // namespace deploy::tests
