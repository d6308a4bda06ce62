#include "agent/adopt/doctor.hpp"

#include <catch2/catch_test_macros.hpp>
#include <filesystem>

#include "agent/base/error.hpp"
#include "agent/domain/labels.hpp"
#include "tests/fakes/fake_engine.hpp"
#include "tests/fakes/run.hpp"
#include "tests/fakes/temp_dir.hpp"

namespace deploy::adopt {
namespace {

/// Says what the test wants it to.
class ToldNginx final : public proxy::NginxPlace {
 public:
  std::string text() const override { return "in container nginx"; }
  std::string how_to_include(const std::filesystem::path& folder) const override {
    return "include " + folder.string();
  }
  Task<proxy::RunningNginx> find() override {
    if (missing) throw Error(ErrorKind::not_found, "there is no Nginx container called nginx");
    proxy::RunningNginx nginx{"id", 100, {}};
    co_return nginx;
  }
  Task<std::optional<proxy::RunningNginx>> find_running() override { co_return std::nullopt; }
  Task<std::string> join(proxy::RunningNginx, std::string, std::string, std::set<std::string>,
                         std::set<std::string>) override {
    throw std::logic_error("doctor changes nothing");
  }
  Task<Test> test(std::string, std::string) override { co_return answer; }
  Task<proxy::NginxVersion> version(std::string) override {
    co_return proxy::read_version("nginx version: nginx/" + number);
  }
  Task<void> reload(proxy::RunningNginx) override { throw std::logic_error("doctor changes nothing"); }
  Task<proxy::Workers> workers(proxy::RunningNginx) override {
    proxy::Workers workers;
    workers.master = ports::ProcessEntry{100, 1, "nginx: master process nginx"};
    co_return workers;
  }
  Task<std::string> why_not_loaded(std::string) override { co_return ""; }

  bool missing = false;
  std::string number = "1.30.0";
  Test answer{
      true,
      "# configuration file /etc/nginx/nginx.conf:\nhttp { keepalive_min_timeout 5s; include up/*; server { "
      "location / { proxy_pass http://backend; } } }\n\n"
      "# configuration file /etc/nginx/up/deployctl.conf:\n# Written by deployctl. Changes made here are lost.\n"};
};

/// A host on which nothing is in the way.
struct Practice {
  tests::TempDir folder;
  tests::FakeEngine engine;
  ToldNginx nginx;
  config::Configuration configuration;

  Practice() {
    auto& agent = configuration.agent;
    agent.network = "internal";
    agent.state = folder.path();
    agent.nginx.emplace();
    agent.nginx->container = "nginx";
    agent.nginx->upstreams = folder.path();
    agent.disk.keep_free_bytes = 0;
    agent.memory.keep_free_bytes = 0;
    domain::Service backend;
    backend.name = "backend";
    backend.proxy.upstream = "backend";
    backend.proxy.port = 8080;
    configuration.services = {backend};
    engine.free_space = ports::DiskSpace{"/var/lib/docker", 3ULL << 30};
    network("internal", "10.1.0.0/16", {});
    network("deployctl", "10.213.176.0/22", {{domain::labels::instance, "one"}});
  }

  void network(const std::string& name, const std::string& subnet, ports::Labels labels) {
    tests::run(engine.create_network({name, subnet, "", false, std::move(labels)}));
  }
  std::string container(const std::string& name, std::vector<std::string> networks) {
    ports::ContainerSpec spec;
    spec.name = name;
    spec.image = engine.add_image(name + ":1");
    spec.network.network = networks.front();
    auto id = tests::run(engine.create(spec));
    for (std::size_t i = 1; i < networks.size(); ++i) tests::run(engine.connect(id, {networks[i], "", {}}));
    tests::run(engine.start(id));
    return id;
  }
  /// "level subject: text" of everything that is not good.
  std::vector<std::string> complaints() {
    std::vector<std::string> lines;
    const auto findings = tests::run(examine({configuration, engine, configuration.agent.nginx ? &nginx : nullptr}));
    for (const auto& finding : findings) {
      if (finding.level == Finding::Level::good) continue;
      lines.push_back(to_string(finding.level) + " " + finding.subject + ": " + finding.text);
    }
    return lines;
  }
};

using Lines = std::vector<std::string>;

}  // namespace

TEST_CASE("on a host that is in order everything is good, and nothing is changed") {
  Practice practice;
  practice.container("web", {"internal", "deployctl"});
  const auto effects = practice.engine.effects();
  const auto findings = tests::run(examine({practice.configuration, practice.engine, &practice.nginx}));
  Lines lines;
  for (const auto& finding : findings) {
    CHECK(finding.level == Finding::Level::good);
    if (finding.subject != "memory" && finding.subject != "disk")
      lines.push_back(finding.subject + ": " + finding.text);
  }
  CHECK(lines == Lines{"files: 1 service, and every file and secret that they name is here",
                       "engine: Docker Engine 20.10.24, API 1.41", "network: internal has 1 running container",
                       "routing: deployctl has the subnet 10.213.176.0/22",
                       "nginx: nginx/1.30.0 in container nginx accepts its configuration"});
  CHECK(practice.engine.effects() == effects);
}

TEST_CASE("doctor names what is missing, and what to do") {
  Practice practice;
  SECTION("files") {
    practice.configuration.agent.nginx->upstreams = practice.folder / "none";
    practice.configuration.services[0].vars = {(practice.folder / ".env").string()};
    CHECK(
        practice.complaints() ==
        Lines{"problem files: service backend: the env file " + (practice.folder / ".env").string() +
                  " cannot be read: No such file or directory: check the path under `vars` and the file's permissions",
              "problem files: there is no folder " + (practice.folder / "none").string() +
                  ": make it, and let Nginx include its *.conf files"});
  }
  SECTION("disk") {
    practice.configuration.agent.disk.keep_free_bytes = 4LL << 50;
    const auto complaints = practice.complaints();
    REQUIRE(complaints.size() == 2);
    CHECK(complaints[1] ==
          "problem disk: only 3.0 GiB are free for /var/lib/docker, and disk.keep_free is 4096 TiB: nothing is "
          "fetched, built or pulled; free some space");
  }
  SECTION("memory") {
    practice.configuration.agent.memory.keep_free_bytes = 4LL << 50;
    const auto complaints = practice.complaints();
    REQUIRE(complaints.size() == 1);
    CHECK(
        complaints[0].ends_with(" are available, and memory.keep_free is 4096 TiB: there is no room for two "
                                "versions beside each other; stop what is not needed, or use strategy: recreate"));
  }
  SECTION("the engine") {
    practice.engine.fail("version", 1, tests::FakeEngine::When::before,
                         Error(ErrorKind::unreachable, "no engine answers"));
    CHECK(practice.complaints() == Lines{"problem engine: no engine answers"});
  }
  SECTION("the shared network") {
    practice.configuration.agent.network = "app_internal";
    CHECK(
        practice.complaints().front() ==
        "problem network: there is no Docker network \"app_internal\"; set `network` in agent.yaml to the network your "
        "containers share (`docker network ls` lists them; Compose puts its project's name in front)");
  }
  SECTION("the routing network") {
    practice.configuration.agent.routing.network = "later";
    CHECK(practice.complaints() ==
          Lines{"note routing: the network later is not there yet: deployd makes it when it starts"});
    practice.configuration.agent.routing.network = "internal";
    CHECK(practice.complaints() ==
          Lines{"problem routing: the Docker network internal is not deployctl's; choose another name with "
                "`routing.network` in agent.yaml"});
  }
  SECTION("who does not know the names") {
    practice.container("postgres", {"internal"});
    practice.container("cron", {"internal"});
    practice.container("web", {"internal", "deployctl"});
    CHECK(practice.complaints() ==
          Lines{"note routing: these are on internal alone, and calls from them do not follow a rollout; connect those "
                "that call a service to deployctl, too: cron, postgres"});
  }
}

TEST_CASE("doctor says what it means that there is no Nginx") {
  Practice practice;
  auto& configuration = practice.configuration;
  configuration.agent.nginx.reset();
  configuration.services[0].proxy = {};
  configuration.services[0].proxy.port = 8080;
  configuration.services[0].proxy.dns = true;
  CHECK(
      practice.complaints() ==
      Lines{"note names: backend is found by its container's name, so calls to it do not pass through Nginx: at each "
            "rollout its name is with nobody for some milliseconds, and who remembers its address goes on calling the "
            "old version until that is stopped"});
  configuration.services[0].strategy = domain::StrategyKind::recreate;
  CHECK(practice.complaints() ==
        Lines{"note names: there is no Nginx, so the old version of backend stops before the new one starts and nobody "
              "answers in between; with `route: dns` in its file the gap is some milliseconds"});
}

TEST_CASE("doctor says what Nginx costs, and what it does not read") {
  Practice practice;
  SECTION("missing") {
    practice.nginx.missing = true;
    CHECK(practice.complaints() == Lines{"problem nginx: there is no Nginx container called nginx"});
  }
  SECTION("broken") {
    practice.nginx.answer = {false, "nginx: [emerg] unknown directive \"nonsense\"\n"};
    CHECK(
        practice.complaints() ==
        Lines{"problem nginx: nginx -t in container nginx refuses the configuration; repair it: nginx: [emerg] unknown "
              "directive \"nonsense\""});
  }
  SECTION("an early version") {
    practice.nginx.number = "1.22.1";
    CHECK(
        practice.complaints() ==
        Lines{"note nginx: nginx/1.22.1 closes idle keep-alive connections at every reload, which can cost a request "
              "that is on its way; Nginx 1.27.4 or later with \"keepalive_min_timeout 5s;\" inside http {} does not"});
  }
  SECTION("nothing of ours, no name and no setting") {
    practice.nginx.answer = {true, "# configuration file /etc/nginx/nginx.conf:\nhttp { server { listen 80; } }\n"};
    CHECK(
        practice.complaints() ==
        Lines{"note nginx: Nginx closes idle keep-alive connections at every reload, which can cost a request that is "
              "on its way; add \"keepalive_min_timeout 5s;\" inside http {}",
              "note nginx: it has read no file of deployctl's yet; before the first rollout include " +
                  practice.folder.path().string(),
              "note nginx: nothing that it reads names the upstream backend, so no request from outside gets there; "
              "write \"proxy_pass http://backend;\" into nginx.conf after the first rollout"});
  }
}

}  // namespace deploy::adopt
