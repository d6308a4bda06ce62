#include "agent/adopt/doctor.hpp"

#include <catch2/catch_test_macros.hpp>
#include <filesystem>
#include <fstream>

#include "agent/adopt/certificates.hpp"
#include "agent/base/error.hpp"
#include "agent/domain/labels.hpp"
#include "agent/domain/rollout.hpp"
#include "tests/fakes/fake_engine.hpp"
#include "tests/fakes/fake_source.hpp"
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
  tests::FakeSource source;
  std::optional<bool> clock = true;
  std::chrono::system_clock::time_point now = std::chrono::system_clock::from_time_t(1798761600);  // 2027-01-01
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
  std::vector<Finding> examined() {
    Host host{
        configuration, engine,         configuration.agent.nginx ? &nginx : nullptr, source, [this] { return clock; },
        now,           folder / "proc"};
    return tests::run(examine(host));
  }
  /// Everything that is found about one subject.
  std::vector<std::string> about(const std::string& subject) {
    std::vector<std::string> lines;
    for (const auto& finding : examined()) {
      if (finding.subject == subject) lines.push_back(to_string(finding.level) + ": " + finding.text);
    }
    return lines;
  }
  /// "level subject: text" of everything that is not good.
  std::vector<std::string> complaints() {
    std::vector<std::string> lines;
    const auto findings = examined();
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
  const auto findings = practice.examined();
  Lines lines;
  for (const auto& finding : findings) {
    CHECK(finding.level == Finding::Level::good);
    if (finding.subject != "memory" && finding.subject != "disk")
      lines.push_back(finding.subject + ": " + finding.text);
  }
  CHECK(lines == Lines{"files: 1 service, and every file and secret that they name is here",
                       "clock: kept by a time server", "engine: Docker Engine 20.10.24, API 1.41",
                       "network: internal has 1 running container", "routing: deployctl has the subnet 10.213.176.0/22",
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
  SECTION("who has a service's name") {
    const auto& service = practice.configuration.services.front().name;
    practice.container(service, {"internal", "deployctl"});
    CHECK(practice.complaints() == Lines{"note routing: the container " + service + " has the name " + service +
                                         " on internal, so calls to " + service +
                                         " from containers that deployctl did not make or take up reach it and do not "
                                         "follow a rollout; where " +
                                         service + "'s first rollout does not take it away, rename or remove it"});
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

TEST_CASE("doctor asks each git remote once, as polling would") {
  Practice practice;
  auto& services = practice.configuration.services;
  services[0].source.git.emplace();
  services[0].source.git->url = "file:///backend";
  services.push_back(services[0]);
  services[1].name = "worker";
  services[1].proxy = {};
  services[1].rebuilt_by.resize(1);
  services[1].rebuilt_by[0].git.emplace();
  services[1].rebuilt_by[0].git->url = "file:///shared";
  practice.source.refs = {{"file:///backend main", std::string(40, 'a')},
                          {"file:///shared main", std::string(40, 'b')}};
  CHECK(practice.about("git") == Lines{"good: 2 repositories and their branches were found"});
  CHECK(practice.source.tips_asked == Lines{"file:///backend main", "file:///shared main"});
  practice.source.fail_tip.emplace(
      "file:///backend", Error(ErrorKind::invalid, "cannot fetch file:///backend: the server refused the key"));
  CHECK(practice.about("git") == Lines{"problem: backend: cannot fetch file:///backend: the server refused the key",
                                       "good: 1 repository and its branch was found"});
  auto& own = practice.configuration.agent.config_repo.emplace();
  own.branch = "main";
  own.git.url = "file:///infra";
  CHECK(practice.about("git")[1] == "problem: config_repo: file:///infra has no branch \"main\"");
  practice.configuration.agent.config_repo.reset();
  services[1].rebuilt_by.clear();
  services[0].source.git->token_env = "NO_SUCH_VARIABLE";
  services.resize(1);
  CHECK(
      practice.about("git") ==
      Lines{"note: backend: file:///backend was not asked, because the variable NO_SUCH_VARIABLE is not set here; set "
            "it, and look again"});
}

TEST_CASE("doctor asks the registry for each image, and where its name holds a commit for that of the newest") {
  Practice practice;
  auto& services = practice.configuration.services;
  services[0].source.image = "registry/backend:{branch}";
  services[0].source.git.reset();
  services.push_back(services[0]);
  services[1].name = "worker";
  services[1].proxy = {};
  services[1].branch = "main";
  services[1].source.image = "registry/worker:{sha}";
  services[1].source.git.emplace().url = "file:///worker";
  const auto newest = "registry/worker:" + std::string(40, 'b');
  practice.source.refs["file:///worker main"] = std::string(40, 'b');
  practice.engine.registry = {{"registry/backend:main", {}}, {newest, {}}};
  CHECK(practice.about("registry") == Lines{"good: 2 images can be pulled"});
  practice.engine.registry.erase(newest);
  CHECK(practice.about("registry") ==
        Lines{"note: worker: there is no image of the newest commit of main: pull " + newest + ": manifest for " +
                  newest + " not found: manifest unknown; if its workflow has ended, see under which name it pushes",
              "good: 1 image can be pulled"});
  services.pop_back();
  practice.engine.registry.clear();
  CHECK(practice.about("registry") ==
        Lines{"problem: backend: pull registry/backend:main: manifest for registry/backend:main not found: manifest "
              "unknown"});
}

TEST_CASE("doctor says that no time server keeps the clock") {
  Practice practice;
  practice.clock = false;
  CHECK(practice.about("clock") ==
        Lines{"note: no time server keeps this host's clock, and with a wrong one certificates are refused and the "
              "history lies; start one: timedatectl set-ntp true, or install chrony"});
  practice.clock.reset();
  CHECK(practice.about("clock").empty());
}

TEST_CASE("doctor says of a webhook secret that it can be guessed, and not what it is") {
  Practice practice;
  auto& webhook = practice.configuration.agent.webhook.emplace();
  const auto file = practice.folder / "secret";
  webhook.secrets = {{"", file}};
  std::ofstream(file) << "0123456789abcdef0123456789abcdef";
  CHECK(practice.about("secret").empty());
  std::ofstream(file) << "hunter2hunter2hunter2hunter2hunter2";
  CHECK(practice.about("secret") ==
        Lines{"note: the webhook secret in " + file.string() +
              " has only 7 different characters, and may be guessed; make one with `openssl rand -hex 32`, name it "
              "beside the old one, and enter it at GitHub"});
}

TEST_CASE("doctor says when memory has no room for two versions at their limits") {
  Practice practice;
  auto& service = practice.configuration.services[0];
  service.container.memory_bytes = std::int64_t{1} << 50;
  service.strategy = domain::StrategyKind::blue_green;
  service.replicas = 2;
  const auto found = practice.about("memory");
  REQUIRE(found.size() == 2);
  CHECK(
      found[0].starts_with("note: during a rollout backend may take 2048 TiB more (container.mem_limit of 2 containers "
                           "at once), and "));
  CHECK(
      found[0].ends_with(" are available; lower the limit, let fewer run beside each other (strategy: rolling), or use "
                         "strategy: recreate"));
  service.strategy = domain::StrategyKind::recreate;
  CHECK(practice.about("memory").size() == 1);
}

TEST_CASE("doctor says when the certificate ends that Nginx reads") {
  Practice practice;
  practice.nginx.answer.output =
      "# configuration file /etc/nginx/nginx.conf:\nhttp { keepalive_min_timeout 5s; include up/*; server { listen 443 "
      "ssl; ssl_certificate /etc/nginx/certs/demo.pem; location / { proxy_pass http://backend; } } server { "
      "ssl_certificate $name.pem; ssl_certificate /gone.pem; } }\n\n"
      "# configuration file /etc/nginx/up/deployctl.conf:\n# Written by deployctl. Changes made here are lost.\n";
  CHECK(practice.about("certificate").empty());  // cannot be read from here
  const auto there = practice.folder / "proc/100/root/etc/nginx/certs";
  std::filesystem::create_directories(there);
  std::filesystem::copy_file(DEPLOY_SOURCE_DIR "/tests/adopt/data/certificate.pem", there / "demo.pem");
  std::ifstream in(there / "demo.pem");
  const auto end = certificate_end(std::string(std::istreambuf_iterator<char>(in), {})).value();
  const auto date = domain::iso_time(end).substr(0, 10);
  practice.now = end - std::chrono::hours(24 * 40 + 1);
  CHECK(practice.about("certificate") ==
        Lines{"good: /etc/nginx/certs/demo.pem ends first, on " + date + ", in 40 days"});
  practice.now = end - std::chrono::hours(25);
  CHECK(practice.about("certificate") ==
        Lines{"note: /etc/nginx/certs/demo.pem ends on " + date +
              ", in 1 day; see why it was not renewed, e.g. with certbot renew --dry-run"});
  practice.now = end + std::chrono::hours(1);
  CHECK(practice.about("certificate") ==
        Lines{"problem: /etc/nginx/certs/demo.pem ended on " + date +
              ", and browsers and GitHub refuse it; renew it, e.g. with certbot renew, and reload Nginx"});
}

TEST_CASE("what is no certificate has no end") {
  CHECK_FALSE(certificate_end(""));
  CHECK_FALSE(certificate_end("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"));
}

}  // namespace deploy::adopt
