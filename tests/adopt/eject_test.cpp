#include "agent/adopt/eject.hpp"

#include <catch2/catch_all.hpp>
#include <nlohmann/json.hpp>

#include "agent/adopt/compose_export.hpp"
#include "agent/adopt/compose_import.hpp"
#include "agent/base/error.hpp"
#include "tests/fakes/run.hpp"

namespace deploy::tests {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using Texts = std::vector<std::string>;

config::AgentConfig agent_of(const std::string& nginx) {
  config::AgentConfig agent;
  agent.network = "internal";
  agent.nginx.emplace();
  agent.nginx->container = nginx;
  agent.nginx->upstreams = "/srv/nginx/up streams";
  return agent;
}

adopt::LiveService live(const std::string& name) {
  adopt::LiveService service;
  service.settings.name = name;
  service.settings.proxy.port = 8080;
  service.image = "sha256:1";
  service.containers = {name + "-1-1", name + "-1-2"};
  return service;
}

}  // namespace

TEST_CASE("settings go into a Compose file and come back the same") {
  domain::ContainerSettings settings;
  settings.environment = {{"A", "x ${B}"}, {"C", "$$"}};
  settings.command = {"sh", "-c", "echo $$HOME"};
  settings.entrypoint = {"/entry"};
  settings.user = "1000";
  settings.working_dir = "/srv";
  settings.hostname = "be";
  settings.volumes = {"/srv/x:/x:ro,rshared"};
  settings.extra_hosts = {"db:10.0.0.1"};
  settings.tmpfs = {"/run", "/tmp:size=64m"};
  settings.ports = {{"127.0.0.1", 53, 53, "udp"}, {"", 8100, 3000, "tcp"}};
  settings.devices = {{"/dev/null", "/dev/zero2", "rw"}};
  settings.restart = "on-failure:3";
  settings.log_driver = "json-file";
  settings.log_options = {{"max-size", "10m"}};
  settings.labels = {{"a.b", "${C}"}};
  settings.memory_bytes = 512 << 20;
  settings.memory_reservation_bytes = 128 << 20;
  settings.shm_bytes = 64 << 20;
  settings.cpus = 0.5;
  settings.pids_limit = 100;
  settings.init = settings.privileged = settings.read_only = true;
  settings.stop_signal = "SIGQUIT";
  settings.stop_grace_period = 90s;
  settings.healthcheck = {{"CMD-SHELL", "true ${X}"}, 30s, 1500ms, 40s, 3};
  settings.ulimits = {{"nofile", {20000, 40000}}};
  settings.group_add = {"mail"};
  settings.cap_add = {"NET_ADMIN"};
  settings.cap_drop = {"ALL"};
  settings.security_opt = {"no-new-privileges:true"};
  settings.sysctls = {{"net.core.somaxconn", "1024"}};
  settings.dns = {"8.8.8.8"};
  settings.dns_search = {"example.com"};
  settings.dns_options = {"use-vc"};
  settings.device_requests = {{"nvidia", -1, {}, {"gpu"}, {}}, {"", 0, {"0"}, {"gpu", "utility"}, {{"a", "b"}}}};
  settings.pid = "host";
  settings.ipc = "shareable";
  settings.runtime = "runc";
  auto written = adopt::to_compose_service(settings);
  // As Compose prints it.
  written["volumes"] = {{{"type", "bind"},
                         {"source", "/srv/x"},
                         {"target", "/x"},
                         {"read_only", true},
                         {"bind", {{"propagation", "rshared"}}}}};
  const json model{{"services", {{"web", written}}}};
  const auto read = adopt::import_service(model, nullptr, "web");
  CHECK(read.unsupported.empty());
  domain::Service left;
  domain::Service right;
  left.container = read.container;
  right.container = settings;
  CHECK(json::diff(domain::to_json_value(left), domain::to_json_value(right)).dump(1) == "[]");
}

TEST_CASE("only volumes with a name are named at the top of a Compose file") {
  domain::ContainerSettings settings;
  settings.volumes = {"data:/data", "/srv:/srv", "data:/other:ro", "${DIR:-/srv}:/x", "shop_data:/y"};
  CHECK(adopt::named_volumes(settings) == Texts{"data", "shop_data"});
}

TEST_CASE("eject says in order how to do without deployctl, and writes what that takes") {
  auto backend = live("backend");
  backend.settings.proxy.upstream = "api";
  backend.settings.proxy.server_parameters = "max_fails=3";
  backend.settings.proxy.directives = {"keepalive 32"};
  backend.settings.vars = {"/srv/a.env", "/srv/b c.env"};
  backend.settings.container.environment = {{"PASSWORD", "${PASSWORD}"}};
  backend.settings.container.volumes = {"data:/data"};
  backend.settings.container.networks = {"outer"};
  backend.settings.container.pre_stop = {"drain"};
  backend.settings.replicas = 2;
  auto llm = live("llm");
  llm.settings.container.ports = {{"", 8000, 8000, "tcp"}};
  llm.compose.emplace();
  llm.compose->files = {"/srv/docker-compose.yml", "/srv/more.yml"};
  llm.compose->service = "model";
  llm.compose->project = "shop";
  llm.compose->profiles = {"gpu"};
  llm.network_key = "inner";
  llm.left_to_deployctl = true;
  const auto ejection = adopt::eject(agent_of("nginx"), {backend, llm}, "/root/out");
  CHECK(
      ejection.commands ==
      Texts{
          "# deployd ends; what is live serves on", "systemctl disable --now deployd",
          "# backend starts beside its old containers; wait until it is ready",
          "docker compose --env-file /srv/a.env --env-file '/srv/b c.env' --file /root/out/backend.yml up --detach "
          "--wait --no-build --no-deps backend",
          "# llm cannot run twice: it answers nothing until the next command is done", "docker stop llm-1-1 llm-1-2",
          "docker rm llm-1-1 llm-1-2",
          "docker compose --project-name shop --profile gpu --file /srv/docker-compose.yml --file /srv/more.yml --file "
          "/root/out/llm.override.yml up --detach --wait --no-build --no-deps model",
          "# Nginx sends requests to the new containers, by their names",
          "cp /root/out/upstreams/api.conf '/srv/nginx/up streams/'", "rm '/srv/nginx/up streams/deployctl.conf'",
          "docker exec nginx nginx -t", "docker kill --signal HUP nginx", "# what deployctl made of backend goes",
          "docker stop backend-1-1 backend-1-2", "docker rm backend-1-1 backend-1-2", "# deployctl's own network goes",
          "docker network disconnect deployctl nginx", "docker network rm deployctl"});
  CHECK(
      ejection.notes ==
      Texts{
          "backend: nobody runs container.pre_stop any more before it is stopped",
          "llm: take the profile deployctl out of /srv/docker-compose.yml, /srv/more.yml, so that `docker compose up` "
          "starts it again",
          "deployd's files (/var/lib/deployctl, agent.yaml, its services and its programs) stay where they are",
          "before the next `docker compose up`: take the network deployctl out of Nginx's service and of `networks` in "
          "its Compose file, where `deployctl init` wrote it, else Compose ends with \"network deployctl not found\"; "
          "and give it the override files above with -f: without them it starts the images that it built last, which "
          "may be older than what is live"});
  REQUIRE(ejection.files.size() == 3);
  CHECK(ejection.files.at("upstreams/api.conf") ==
        "upstream api {\n    server backend:8080 max_fails=3;\n    keepalive 32;\n}\n");
  CHECK(json::parse(ejection.files.at("backend.yml")) ==
        json::parse(R"({"name": "backend", "networks": {"internal": {"external": true, "name": "internal"},
          "outer": {"external": true, "name": "outer"}}, "volumes": {"data": {"external": true, "name": "data"}},
          "services": {"backend": {"image": "sha256:1", "environment": {"PASSWORD": "${PASSWORD}"}, "volumes": ["data:/data"],
            "restart": "unless-stopped", "stop_grace_period": "10s", "labels": {"deployctl.instance": ""}, "deploy": {"replicas": 2},
            "networks": {"internal": {"aliases": ["backend"]}, "outer": {}}}}})"));
  CHECK(json::parse(ejection.files.at("llm.override.yml")) ==
        json::parse(R"({"services": {"model": {"image": "sha256:1", "labels": {"deployctl.instance": ""},
          "networks": {"inner": {"aliases": ["llm"]}}}}})"));
}

TEST_CASE("a Compose service that is not on the shared network joins it, and without Nginx nothing is switched") {
  auto llm = live("llm");
  llm.compose.emplace();
  llm.compose->files = {"/srv/docker-compose.yml"};
  llm.compose->service = "llm";
  auto agent = agent_of("");
  agent.nginx.reset();
  const auto ejection = adopt::eject(agent, {llm}, "/out");
  CHECK(json::parse(ejection.files.at("llm.override.yml")).at("networks") ==
        json::parse(R"({"deployctl_shared": {"external": true, "name": "internal"}})"));
  CHECK(ejection.commands.size() == 9);
  CHECK(ejection.commands.back() == "docker network rm deployctl");
}

TEST_CASE("eject does not write upstreams that an Nginx on the host could not use") {
  CHECK(error_of([] { adopt::eject(agent_of(""), {live("llm")}, "/out"); }).message() ==
        "eject cannot write upstreams for an Nginx on this host, which does not know containers by name; publish the "
        "services' ports on 127.0.0.1 and pass requests there");
}

}  // namespace deploy::tests
