#include "agent/config/isolation_schema.hpp"

#include <catch2/catch_all.hpp>
#include <nlohmann/json.hpp>

#include "agent/config/variables.hpp"
#include "tests/config/support.hpp"

namespace deploy::tests {
namespace {

using namespace std::chrono_literals;

constexpr auto complete = R"(container:
  healthcheck: { test: "curl -f http://localhost || exit $$?", interval: 30s, timeout: 5s, start_period: 1m, retries: 3 }
  networks: [outer, monitoring]
  ulimits: { nproc: 65535, nofile: { soft: 20000, hard: 40000 }, memlock: -1 }
  mem_reservation: 64m
  shm_size: 128m
  pids_limit: 200
  group_add: [audio, 1001]
  cap_add: [NET_ADMIN]
  cap_drop: [ALL]
  security_opt: ["no-new-privileges:true", seccomp=unconfined]
  sysctls: [net.core.somaxconn=1024]
  dns: 8.8.8.8
  dns_search: [example.com]
  dns_opt: [use-vc]
  gpus:
    - { driver: nvidia, count: 1, capabilities: [gpu, utility], options: { a: b } }
    - { device_ids: ["0"] }
    - { count: all }
  privileged: true
  read_only: true
  hostname: "be-${NAME:-x}"
  pid: host
  ipc: shareable
  runtime: runc
)";

/// What is said of a container with these lines; they begin at line 5.
std::string container_errors(const std::string& lines) {
  return service_errors("service: web\non: manual\nsource: { image: web }\ncontainer:\n" + lines);
}

}  // namespace

TEST_CASE("limits, privileges, networks and health of a container arrive in their fields") {
  domain::ContainerSettings wanted;
  wanted.healthcheck = {{"CMD-SHELL", "curl -f http://localhost || exit $$?"}, 30s, 5s, 1min, 3};
  wanted.networks = {"outer", "monitoring"};
  wanted.ulimits = {{"nproc", {65535, 65535}}, {"nofile", {20000, 40000}}, {"memlock", {-1, -1}}};
  wanted.memory_reservation_bytes = 64 << 20;
  wanted.shm_bytes = 128 << 20;
  wanted.pids_limit = 200;
  wanted.group_add = {"audio", "1001"};
  wanted.cap_add = {"NET_ADMIN"};
  wanted.cap_drop = {"ALL"};
  wanted.security_opt = {"no-new-privileges:true", "seccomp=unconfined"};
  wanted.sysctls = {{"net.core.somaxconn", "1024"}};
  wanted.dns = {"8.8.8.8"};
  wanted.dns_search = {"example.com"};
  wanted.dns_options = {"use-vc"};
  wanted.device_requests = {
      {"nvidia", 1, {}, {"gpu", "utility"}, {{"a", "b"}}}, {"", 0, {"0"}, {"gpu"}, {}}, {"", -1, {}, {"gpu"}, {}}};
  wanted.privileged = true;
  wanted.read_only = true;
  wanted.hostname = "be-${NAME:-x}";
  wanted.pid = "host";
  wanted.ipc = "shareable";
  wanted.runtime = "runc";
  const std::string begin = "service: web\non: manual\nsource: { image: web }\n";
  const auto service = read_service(begin + complete);
  CHECK(service.container == wanted);
  CHECK(domain::service_from_json(domain::to_json_value(service)) == service);

  const auto resolved = config::resolve(service).container;
  CHECK(resolved.hostname == "be-x");
  CHECK(resolved.healthcheck.test.back() == "curl -f http://localhost || exit $?");

  CHECK(read_service(begin + "container: { gpus: all }\n").container.device_requests ==
        std::vector<domain::DeviceRequest>{{"", -1, {}, {"gpu"}, {}}});
  CHECK(read_service(begin + "container: { healthcheck: { disable: true } }\n").container.healthcheck.test ==
        std::vector<std::string>{"NONE"});
}

TEST_CASE("what the engine would refuse of them is an error with its place") {
  CHECK(container_errors("  healthcheck: { test: [curl, x], retrys: 3 }\n") ==
        "s.yaml:5:24: error: `container.healthcheck.test` must begin with CMD, CMD-SHELL or NONE\n"
        "    healthcheck: { test: [curl, x], retrys: 3 }\n"
        "                         ^\n"
        "  hint: e.g. [CMD, curl, -f, \"http://localhost:8080/health\"]\n"
        "s.yaml:5:35: error: `container.healthcheck.retrys` is not a known key\n"
        "    healthcheck: { test: [curl, x], retrys: 3 }\n"
        "                                    ^\n"
        "  hint: did you mean `retries`?\n");
  CHECK(container_errors("  healthcheck: { test: [NONE, x] }\n")
            .find("must name a command after CMD and CMD-SHELL, and nothing after NONE") != std::string::npos);
  CHECK(container_errors("  ulimits: { nofile: { soft: 5 }, core: -2 }\n") ==
        "s.yaml:5:22: error: `container.ulimits.nofile` misses the required key `hard`\n"
        "    ulimits: { nofile: { soft: 5 }, core: -2 }\n"
        "                       ^\n"
        "  hint: e.g. nofile: { soft: 20000, hard: 40000 }\n"
        "s.yaml:5:41: error: `container.ulimits.core` must be a whole number from -1 to 9007199254740992\n"
        "    ulimits: { nofile: { soft: 5 }, core: -2 }\n"
        "                                          ^\n");
  CHECK(container_errors("  networks: { outer: { aliases: [web] } }\n") ==
        "s.yaml:5:13: error: `container.networks` must be a list of names\n"
        "    networks: { outer: { aliases: [web] } }\n"
        "              ^\n"
        "  hint: aliases and addresses are deployctl's matter: two containers of a service run side by side\n");
  CHECK(container_errors("  cap_add: [net_admin]\n") ==
        "s.yaml:5:13: error: `container.cap_add[0]` must be a capability in capitals\n"
        "    cap_add: [net_admin]\n"
        "              ^\n"
        "  hint: e.g. NET_ADMIN, or ALL\n");
  CHECK(
      container_errors("  security_opt: [\"seccomp:profile.json\"]\n") ==
      "s.yaml:5:18: error: `container.security_opt[0]` names a seccomp profile's file, which the engine does not read\n"
      "    security_opt: [\"seccomp:profile.json\"]\n"
      "                   ^\n"
      "  hint: make it the engine's default (`seccomp-profile` in daemon.json), or remove it\n");
  CHECK(container_errors("  dns: [dns.google]\n") ==
        "s.yaml:5:8: error: `container.dns` must hold addresses, not `dns.google`\n"
        "    dns: [dns.google]\n"
        "         ^\n"
        "  hint: e.g. 8.8.8.8\n");
  CHECK(container_errors("  gpus: [{ count: 1, device_ids: [\"0\"] }]\n") ==
        "s.yaml:5:19: error: `container.gpus[0].count` cannot stand beside `device_ids`\n"
        "    gpus: [{ count: 1, device_ids: [\"0\"] }]\n"
        "                    ^\n"
        "  hint: remove one of both\n");
  CHECK(container_errors("  pid: \"container:db\"\n").find("`container.pid` must be one of host, not `container:db`") !=
        std::string::npos);
  CHECK(container_errors("  deploy: { replicas: 2 }\n") ==
        "s.yaml:5:3: error: `container.deploy` has no place here\n"
        "    deploy: { replicas: 2 }\n"
        "    ^\n"
        "  hint: write its limits as mem_limit, cpus and pids_limit, its devices as `gpus`, and `replicas` at the top "
        "level\n");
}

}  // namespace deploy::tests
