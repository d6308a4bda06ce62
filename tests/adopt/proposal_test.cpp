// What `init` proposes for a host like behindy's: every text as a whole, and read by the parsers of the configuration.
#include "agent/adopt/proposal.hpp"

#include <catch2/catch_all.hpp>
#include <nlohmann/json.hpp>

#include "agent/config/schema.hpp"
#include "tests/adopt/nginx_fixture.hpp"

namespace deploy::tests {
namespace {

using adopt::FoundHealth;
using nlohmann::json;
using Texts = std::vector<std::string>;

constexpr auto network = "behindy-ops_internal";
constexpr auto conf_file = "/srv/behindy-ops/nginx/nginx.conf";

json container(const std::string& name, const std::string& image, const std::string& address) {
  const auto id = name + std::string(64 - name.size(), '0');
  return {{"Id", id},
          {"Name", "/" + name},
          {"Image", "sha256:" + std::string(64, 'a')},
          {"State", {{"Status", "running"}, {"Pid", 42}}},
          {"Config",
           {{"Image", image}, {"Hostname", id.substr(0, 12)}, {"Env", {"PATH=/bin"}}, {"Labels", json::object()}}},
          {"HostConfig",
           {{"NetworkMode", network},
            {"RestartPolicy", {{"Name", "always"}}},
            {"LogConfig", {{"Type", "json-file"}}},
            {"Runtime", "runc"},
            {"ShmSize", 67108864},
            {"IpcMode", "private"}}},
          {"Mounts", json::array()},
          {"NetworkSettings", {{"Networks", {{network, {{"IPAddress", address}, {"Aliases", {id.substr(0, 12)}}}}}}}}};
}

json image(const std::string& name) {
  return {{"RepoTags", {name}},
          {"RepoDigests", {name.substr(0, name.find(':')) + "@sha256:" + std::string(64, 'b')}},
          {"Config", {{"Env", {"PATH=/bin"}}, {"ExposedPorts", {{"8080/tcp", json::object()}}}}}};
}

json backend() {
  auto made = container("backend", "behindy/behindy-backend:latest", "172.20.0.5");
  made["Config"]["Env"] = {"PATH=/bin",
                           "SPRING_DATASOURCE_PASSWORD=correct-horse-battery",
                           "AI_SERVER_URL=http://llmserver:8000",
                           "DB_URL=jdbc:postgresql://db/app?password=correct-horse-battery",
                           "PRICE=5$",
                           "JWT_SECRET=in-no-file",
                           "TZ=Asia/Seoul"};
  made["Config"]["ExposedPorts"] = {{"8080/tcp", json::object()}};
  made["HostConfig"]["LogConfig"] = {{"Type", "json-file"}, {"Config", {{"max-size", "10m"}}}};
  made["HostConfig"]["Memory"] = 536870912;
  made["Mounts"] = {{{"Type", "bind"}, {"Source", "/etc/localtime"}, {"Destination", "/etc/localtime"}, {"RW", false}}};
  return made;
}

adopt::Survey behindy(const std::string& conf) {
  adopt::Survey survey;
  survey.config_folder = "/etc/deployctl";
  survey.state_folder = "/var/lib/deployctl";
  survey.routing_network = "deployctl";
  survey.routing_subnet = "10.213.176.0/22";
  survey.routing_address = "10.213.176.2";
  survey.webhook_secret = std::string(64, 'c');
  survey.containers = {adopt::read_inspected(backend(), image("behindy/behindy-backend:latest")),
                       adopt::read_inspected(container("db", "postgres:15", "172.20.0.2"), image("postgres:15")),
                       adopt::read_inspected(container("llmserver", "behindy/behindy-story:latest", "172.20.0.6"),
                                             image("behindy/behindy-story:latest"))};
  auto& nginx = survey.nginx.emplace();
  nginx.container = adopt::read_inspected(container("nginx", "nginx:alpine", "172.20.0.3"), image("nginx:alpine"));
  nginx.conf = NginxFiles(conf).read();
  nginx.host_paths = {{NginxFiles::main_path, conf_file}};
  nginx.upstreams = "/srv/behindy-ops/nginx/upstreams";
  nginx.upstreams_inside = "/etc/nginx/upstreams";
  nginx.sees_upstreams = true;
  survey.env_files = {{"/srv/behindy-ops/.env", {{"DB_PASS", "correct-horse-battery"}, {"N", "5"}}}};
  adopt::GitCheckout checkout;
  checkout.root = "/srv/behindy-back";
  checkout.url = "git@github.com:behindy3359/behindy-backend.git";
  checkout.repository = "behindy3359/behindy-backend";
  checkout.branch = "main";
  checkout.workflows = {{".github/workflows/deploy.yml", true}, {".github/workflows/nightly.yml", false}};
  survey.checkouts = {checkout};
  return survey;
}

const std::string conf = R"(events { }
http {
    upstream backend {
        server backend:8080 max_fails=3 fail_timeout=10s;
        keepalive 32;
    }
    server {
        listen 80;
        location /api { proxy_pass http://backend; }
    }
}
)";

const adopt::FileChange* file(const adopt::Proposal& proposal, const std::string& path) {
  const auto found = std::ranges::find(proposal.files, path, &adopt::FileChange::path);
  return found == proposal.files.end() ? nullptr : &*found;
}

std::map<std::string, FoundHealth> health() {
  FoundHealth backend;
  backend.http = "/api/health";
  backend.json = {{"/status", "UP"}};
  FoundHealth llm;
  llm.tcp = true;
  return {{"backend", backend}, {"llmserver", llm}};
}

/// Every file of the proposal is what the configuration's parsers take.
void check_valid(const adopt::Proposal& proposal) {
  config::Diagnostics diagnostics;
  for (const auto& change : proposal.files) {
    config::Place services;
    if (change.path.ends_with("/agent.yaml")) config::parse_agent(change.path, change.after, diagnostics, services);
    if (change.path.find("/deploy.d/") != std::string::npos) {
      config::parse_service(change.path, change.after, diagnostics);
    }
  }
  CHECK(diagnostics.render() == "");
}

}  // namespace

TEST_CASE("a host of containers, an Nginx and an env file becomes a configuration") {
  const auto survey = behindy(conf);
  const auto found = adopt::find_services(survey, {});
  CHECK(found.problems == Texts{});
  CHECK(found.network == network);
  const auto proposal = adopt::make_proposal(survey, found, health());
  CHECK(proposal.problems == Texts{});
  check_valid(proposal);
  CHECK(!proposal.recreate);
  REQUIRE(file(proposal, "/etc/deployctl/agent.yaml") != nullptr);
  CHECK(file(proposal, "/etc/deployctl/agent.yaml")->after ==
        R"(# Written by `deployctl init`; from here on it is yours.
network: behindy-ops_internal
routing: { network: deployctl, subnet: 10.213.176.0/22 }
proxy: { nginx: { container: nginx, upstreams: /srv/behindy-ops/nginx/upstreams } }
webhook: { listen: "unix:/srv/behindy-ops/nginx/upstreams/webhook.sock", path: /hooks/github, secrets: [ { file: /etc/deployctl/webhook-secret } ] }
)");
  REQUIRE(file(proposal, "/etc/deployctl/deploy.d/backend.yaml") != nullptr);
  const auto& text = *file(proposal, "/etc/deployctl/deploy.d/backend.yaml");
  CHECK(text.mode == 0600);  // JWT_SECRET stands in it
  CHECK(text.after == R"(# Written by `deployctl init` from what ran; from here on it is yours.
service: backend
repo: behindy3359/behindy-backend
on: workflow_run
workflows: [".github/workflows/deploy.yml"]
source:
  image: "behindy/behindy-backend:latest"
depends_on: [llmserver]
vars: [/srv/behindy-ops/.env]
container:
  environment:
    AI_SERVER_URL: "http://llmserver:8000"
    DB_URL: "jdbc:postgresql://db/app?password=${DB_PASS}"
    JWT_SECRET: in-no-file
    PRICE: "5$$"
    SPRING_DATASOURCE_PASSWORD: ${DB_PASS}
    TZ: Asia/Seoul
  volumes: ["/etc/localtime:/etc/localtime:ro"]
  restart: "always"
  logging: { driver: json-file, options: { max-size: "10m" } }
  mem_limit: 536870912
proxy: { upstream: backend, port: 8080, server_parameters: "max_fails=3 fail_timeout=10s", directives: ["keepalive 32"] }
health: { http: /api/health, expect: { json: { /status: UP } } }
)");
  REQUIRE(file(proposal, "/etc/deployctl/deploy.d/llmserver.yaml") != nullptr);
  CHECK(file(proposal, "/etc/deployctl/deploy.d/llmserver.yaml")->after ==
        R"(# Written by `deployctl init` from what ran; from here on it is yours.
service: llmserver
on: manual
source:
  image: "behindy/behindy-story:latest"
container:
  restart: "always"
proxy: { port: 8000 }
health: { tcp: 8000 }
)");
  CHECK(file(proposal, "/srv/behindy-ops/nginx/upstreams/backend.conf")->after ==
        R"(# Written by deployctl. Changes made here are lost.
# Service backend, for traffic from outside, as nginx.conf had it.
upstream backend {
    server backend:8080 max_fails=3 fail_timeout=10s;
    keepalive 32;
}
# Unchanged since deployctl wrote it: 1cf47a9f0e524a159fb180cefd4cdfffc189d3c0707d310e3a045176c84af339
)");
  CHECK(file(proposal, "/etc/deployctl/take-up.json")->after.find("backend0000") != std::string::npos);
  REQUIRE(file(proposal, conf_file) != nullptr);
  CHECK(file(proposal, conf_file)->after == R"(events { }
http {
    # upstream backend: deployctl writes it to /etc/nginx/upstreams/backend.conf
    server {
        listen 80;
        location /api { proxy_pass http://backend; }
        location = /hooks/github { proxy_pass http://unix:/etc/nginx/upstreams/webhook.sock; client_max_body_size 25m; }
    }
    include /etc/nginx/upstreams/*.conf;
}
)");
  CHECK(proposal.files.back().path == conf_file);
}

TEST_CASE("what was proposed once is not proposed again") {
  auto survey = behindy(conf);
  const auto first = adopt::make_proposal(survey, adopt::find_services(survey, {}), health());
  for (const auto& change : first.files) survey.present[change.path] = change.after;
  survey.service_files = {"backend", "llmserver"};
  survey.network = network;
  survey.nginx->conf = NginxFiles(file(first, conf_file)->after).read();
  const auto second = adopt::make_proposal(survey, adopt::find_services(survey, {}), {});
  CHECK(second.problems == Texts{});
  CHECK(second.changed == Texts{});
  CHECK(second.files.empty());
}

TEST_CASE("an Nginx that does not see the folder has to be made anew, which no Compose file can here") {
  auto survey = behindy(conf);
  survey.nginx->sees_upstreams = false;
  const auto proposal = adopt::make_proposal(survey, adopt::find_services(survey, {}), health());
  CHECK(!proposal.recreate);
  CHECK(
      proposal.problems ==
      Texts{
          "the container nginx has to be made anew to see the folder /srv/behindy-ops/nginx/upstreams, and no Compose "
          "file defines it; make it anew yourself with -v "
          "/srv/behindy-ops/nginx/upstreams:/etc/nginx/upstreams:ro, then run this again"});
}

TEST_CASE("a port of the host waits for its container to go, and is Nginx's then") {
  auto survey = behindy(conf);
  survey.containers[0].settings.ports = {{"", 8100, 8080, "tcp"}};
  const auto first = adopt::make_proposal(survey, adopt::find_services(survey, {}), health());
  check_valid(first);
  CHECK(file(first, "/etc/deployctl/waiting-ports.json")->after ==
        "[\n  {\n    \"port\": 8100,\n    \"service\": \"backend\"\n  }\n]\n");
  CHECK(file(first, "/etc/deployctl/deploy.d/backend.yaml")->after.find("ports:") == std::string::npos);
  // Its container is deployctl's by now.
  for (const auto& change : first.files) survey.present[change.path] = change.after;
  survey.service_files = {"backend", "llmserver"};
  survey.upstreams = {{"backend", "backend"}};
  survey.waiting_ports = {{"backend", 8100}};
  survey.containers[0].ours = true;
  survey.containers[0].settings.ports.clear();
  const auto second = adopt::make_proposal(survey, adopt::find_services(survey, {}), {});
  const auto* ports = file(second, "/srv/behindy-ops/nginx/upstreams/init-ports.conf");
  REQUIRE(ports != nullptr);
  CHECK(ports->after.find("    listen 8100;\n") != std::string::npos);
  CHECK(ports->after.find("        proxy_pass http://backend;\n") != std::string::npos);
  CHECK(file(second, "/etc/deployctl/waiting-ports.json")->after == "[]\n");
  CHECK(second.problems.size() == 1);  // nobody can publish the port with this Nginx but its owner
}

}  // namespace deploy::tests
