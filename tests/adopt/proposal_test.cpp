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

json backend_container() {
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
  survey.containers = {adopt::read_inspected(backend_container(), image("behindy/behindy-backend:latest")),
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
  // Nobody can publish the port with this Nginx but its owner.
  CHECK(second.problems == Texts{"the container nginx has to be made anew to listen on 8100:8100, and no Compose file "
                                 "defines it; make it anew yourself with -p 8100:8100, then run this again"});
  survey.nginx->container.settings.ports = {{"", 8100, 8100, "tcp"}};
  survey.containers.push_back(survey.nginx->container);
  const auto third = adopt::make_proposal(survey, adopt::find_services(survey, {}), {});
  CHECK(third.problems == Texts{});
  CHECK(!third.recreate);
  CHECK(file(third, "/srv/behindy-ops/nginx/upstreams/init-ports.conf") != nullptr);
}

TEST_CASE("what was said of a port of the host before the first rollout") {
  auto survey = behindy(conf);
  survey.containers[0].settings.ports = {{"", 8100, 8080, "tcp"}};
  const auto proposal = adopt::make_proposal(survey, adopt::find_services(survey, {}), health());
  CHECK(
      std::ranges::find(proposal.notes,
                        "backend: port 8100 of the host is its container's now, which goes on answering there, with "
                        "the version of now, after the service's first rollout (but not where its strategy is "
                        "recreate); run `deployctl init --write` again then, which gives the port to Nginx, ends that "
                        "container, and takes some seconds") != proposal.notes.end());
}

namespace {

constexpr auto old_id = "backend000000000000000000000000000000000000000000000000000000000";

/// After backend's first rollout: the container of before goes on answering on port 8100, and Compose made Nginx.
adopt::Survey left_running() {
  auto survey = behindy(conf);
  auto& before = survey.containers[0];
  before.settings.ports = {{"", 8100, 8080, "tcp"}};
  before.settings.stop_grace_period = std::chrono::seconds(30);
  before.addresses["deployctl"] = "10.213.178.3";  // an automatic one
  auto live = before;
  live.id = std::string(64, 'f');
  live.name = "backend-3f2a1c9-c0de42-1-1";
  live.ours = true;
  live.ours_for = "backend";
  live.settings.ports.clear();
  live.addresses["deployctl"] = "10.213.176.11";
  survey.containers.push_back(live);
  survey.service_files = {"backend", "llmserver"};
  survey.network = network;
  survey.upstreams = {{"backend", "backend"}};
  survey.waiting_ports = {{"backend", 8100}};
  survey.taken_up = {{"backend", old_id}};
  survey.nginx->container.project = "ops";
  survey.nginx->container.service = "nginx";
  adopt::ComposeProject project;
  project.name = "ops";
  project.folder = "/srv/behindy-ops";
  project.files = {"/srv/behindy-ops/docker-compose.yml"};
  project.texts = {{project.files.front(), "services:\n  nginx:\n    image: nginx:alpine\n    ports: [\"80:80\"]\n"}};
  project.model.resolved = {{"name", "ops"}, {"services", {{"nginx", {{"image", "nginx:alpine"}}}}}};
  project.model.written = project.model.resolved;
  survey.projects = {project};
  return survey;
}

}  // namespace

TEST_CASE("a port that only a container of before still answers on is handed over, and that container ends") {
  const auto survey = left_running();
  const auto proposal = adopt::make_proposal(survey, adopt::find_services(survey, {}), {});
  CHECK(proposal.problems == Texts{});
  CHECK(std::ranges::find(proposal.changed,
                          "port 8100 of the host: Nginx listens there for backend; the container backend, which still "
                          "answers there, is stopped and removed for it") != proposal.changed.end());
  REQUIRE(proposal.recreate);
  CHECK(!proposal.recreate_can_wait);
  CHECK(proposal.recreate->reasons == Texts{"to listen on 8100:8100"});
  REQUIRE(proposal.recreate->holders.size() == 1);
  const auto& holder = proposal.recreate->holders.front();
  CHECK(holder.id == old_id);
  CHECK(holder.name == "backend");
  CHECK(holder.ports == std::vector<std::uint16_t>{8100});
  CHECK(holder.grace == std::chrono::seconds(30));
  REQUIRE(file(proposal, "/srv/behindy-ops/docker-compose.yml") != nullptr);
  CHECK(file(proposal, "/srv/behindy-ops/docker-compose.yml")->after.find("8100:8100") != std::string::npos);
  CHECK(file(proposal, "/etc/deployctl/waiting-ports.json")->after == "[]\n");
}

TEST_CASE("a port goes on waiting while who has it is needed, or is not deployctl's to end") {
  auto survey = left_running();
  auto& before = survey.containers.front();
  auto& live = survey.containers.back();
  SECTION("there was no rollout yet") { survey.containers.pop_back(); }
  SECTION("it has not given its address back yet") { before.addresses["deployctl"] = "10.213.176.10"; }
  SECTION("it is another service's container that was rolled out") { live.ours_for = "llmserver"; }
  SECTION("the new version is not routed to") { live.addresses.erase("deployctl"); }
  SECTION("it was never taken up") { survey.taken_up.clear(); }
  SECTION("another one was taken up") { survey.taken_up = {{"backend", std::string(64, 'e')}}; }
  SECTION("it was taken up for another service") { survey.taken_up = {{"llmserver", old_id}}; }
  SECTION("somebody else has the port, too") {
    survey.containers[1].settings.ports = {{"127.0.0.1", 8100, 5432, "tcp"}};
  }
  const auto ports = adopt::hand_over_ports(survey);
  CHECK(ports.waiting == survey.waiting_ports);
  CHECK(ports.holders.empty());
  CHECK(ports.servers == "");
  CHECK(ports.published == Texts{});
  CHECK(ports.changed == Texts{});
}

TEST_CASE("a container of before that is off the routing network altogether is handed over, too") {
  auto survey = left_running();
  survey.containers.front().addresses.erase("deployctl");
  CHECK(adopt::hand_over_ports(survey).holders.size() == 1);
}

TEST_CASE("all ports of one container are handed over with it") {
  auto survey = left_running();
  survey.containers.front().settings.ports.push_back({"", 8200, 8080, "tcp"});
  survey.waiting_ports.push_back({"backend", 8200});
  const auto ports = adopt::hand_over_ports(survey);
  REQUIRE(ports.holders.size() == 1);
  CHECK(ports.holders.front().ports == std::vector<std::uint16_t>{8100, 8200});
  CHECK(ports.published == Texts{"8100:8100", "8200:8200"});
  CHECK(ports.waiting.empty());
}

TEST_CASE("where no Compose file defines Nginx, its owner ends the container of before") {
  auto survey = left_running();
  survey.projects.clear();
  const auto proposal = adopt::make_proposal(survey, adopt::find_services(survey, {}), {});
  CHECK(proposal.problems ==
        Texts{"the container nginx has to be made anew to listen on 8100:8100, and no Compose file defines it; remove "
              "backend, which answers on port 8100 until then; make it anew yourself with -p 8100:8100, then run this "
              "again"});
}

}  // namespace deploy::tests
