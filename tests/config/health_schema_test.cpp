// The `health` of a service's file.
#include <catch2/catch_all.hpp>

#include "tests/config/support.hpp"

using namespace deploy;
using namespace std::chrono_literals;
using deploy::tests::read_service;

TEST_CASE("a health check asks over TCP, by a command, and in the log, too") {
  const std::string begin = "service: web\non: manual\nsource: { image: web }\nproxy: { port: 80 }\n";
  const auto tcp = read_service(begin + "health: { tcp: 5432, timeout: 1s, start_after: 2s }\n").health;
  CHECK(tcp.tcp_port == 5432);
  CHECK(tcp.start_after == 2s);
  const auto exec = read_service(begin + "health: { exec: [pg_isready, -U, app], min_healthy: 5s }\n").health;
  CHECK(exec.exec == std::vector<std::string>{"pg_isready", "-U", "app"});
  CHECK(exec.min_healthy == 5s);
  const auto all =
      read_service(begin +
                   "health: { http: /, tcp: 81, exec: [a], log: up, warm_up: { http: /w, body: x, timeout: 1m } }\n")
          .health;
  CHECK(all.port == 80);
  CHECK(all.tcp_port == 81);
  CHECK(all.log == "up");
  CHECK(all.warm_up_http == "/w");
  CHECK(all.warm_up_body == "x");
  CHECK(all.warm_up_timeout == 1min);
  const auto http =
      read_service(begin + "health: { http: /, expect: { headers: { X-App: web }, body: Welcome } }\n").health;
  CHECK(http.expect_headers == std::map<std::string, std::string>{{"X-App", "web"}});
  CHECK(http.expect_body == "Welcome");
}

TEST_CASE("health: docker and a health map without http both mean the image's HEALTHCHECK") {
  const std::string begin = "service: web\non: manual\nsource: { image: web }\nproxy: { port: 80 }\n";
  CHECK(read_service(begin + "health: docker\n").health.http == "");
  auto health = read_service(begin + "health: { deadline: 10s }\n").health;
  CHECK(health.http == "");
  CHECK(health.deadline == 10s);
}
