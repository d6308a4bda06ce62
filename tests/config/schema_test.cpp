#include "agent/config/schema.hpp"

#include <catch2/catch_all.hpp>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/config/support.hpp"

using namespace deploy;
using namespace std::chrono_literals;
using deploy::tests::agent_errors;
using deploy::tests::read_agent;
using deploy::tests::read_service;
using deploy::tests::service_errors;

namespace {

std::string data(const std::string& name) {
  std::ifstream in(std::string(DEPLOY_SOURCE_DIR) + "/tests/config/data/" + name);
  REQUIRE(in);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

}  // namespace

TEST_CASE("every key of a service file arrives in its field") {
  domain::Service wanted;
  wanted.name = "backend";
  wanted.repo = "behindy3359/behindy-back";
  wanted.branch = "release/1.0";
  wanted.trigger = domain::Trigger::workflow_run;
  wanted.workflows = {".github/workflows/ci.yml", ".github/workflows/e2e.yml"};
  domain::GitSource git;
  git.url = "git@github.com:behindy3359/behindy-back.git";
  git.ssh_key = "/etc/deployctl/keys/backend";
  git.ssh_known_hosts = "/etc/deployctl/known_hosts";
  git.context = "./app";
  git.dockerfile = "docker/Dockerfile";
  git.target = "run";
  git.args = {{"NODE_ENV", "production"}, {"VERSION", "${VERSION:-none}"}};
  wanted.source.git = git;
  wanted.source.image = "registry.example.com:5000/behindy/backend:{branch}-{sha}";
  wanted.depends_on = {"llm"};
  wanted.vars = {"/srv/behindy/.env", "/etc/deployctl/deploy.d/local.env"};
  auto& container = wanted.container;
  container.environment = {{"AI_SERVER_URL", "http://llm:8000"},
                           {"SPRING_DATASOURCE_PASSWORD", "${DB_PASS}"},
                           {"WORKERS", "4"},
                           {"DEBUG", "no"},
                           {"EMPTY", ""}};
  container.command = {"java", "-jar", "/app/my app.jar", "--name", "${NAME:-a b}"};
  container.entrypoint = {"/bin/tini", "--"};
  container.user = "1000:1000";
  container.working_dir = "/app";
  container.volumes = {"uploads:/data", "/etc/localtime:/etc/localtime:ro", "${DIR:-/srv}:/srv"};
  container.extra_hosts = {"host.docker.internal:host-gateway", "db:10.0.0.5"};
  container.tmpfs = {"/tmp"};
  container.restart = "on-failure:3";
  container.log_driver = "json-file";
  container.log_options = {{"max-size", "10m"}, {"max-file", "3"}};
  container.labels = {{"team", "core"}, {"note", "a=b"}};
  container.memory_bytes = 1610612736;
  container.cpus = 0.5;
  container.init = true;
  container.stop_signal = "SIGQUIT";
  container.stop_grace_period = 90s;
  container.pre_stop = {"nginx", "-s", "quit"};
  wanted.replicas = 2;
  wanted.strategy = domain::StrategyKind::blue_green;
  wanted.bake = 10min;
  wanted.health.http = "/api/health?deep=1";
  wanted.health.port = 8080;
  wanted.health.expect_status = 204;
  wanted.health.expect_json = {
      {"/status", "\"UP\""}, {"/ready", "true"}, {"/count", "3"}, {"/text", "\"3\""}, {"/none", "null"}};
  wanted.health.interval = 500ms;
  wanted.health.timeout = 2s;
  wanted.health.successes = 3;
  wanted.health.failures = 2;
  wanted.health.deadline = 5min;
  wanted.proxy.upstream = "backend";
  wanted.proxy.port = 8080;
  wanted.proxy.grpc = true;
  wanted.proxy.dns = false;
  wanted.proxy.server_parameters = "max_fails=3 fail_timeout=10s";
  wanted.proxy.directives = {"keepalive 32", "hash $request_uri consistent"};
  wanted.drain = 0ms;
  wanted.retain = 5;
  wanted.supersede = domain::Supersede::queued;

  auto read = read_service(data("service_complete.yaml"), "/etc/deployctl/deploy.d/backend.yaml");
  // JSON first: where they differ it shows the field.
  CHECK(to_json_value(read).dump(1) == to_json_value(wanted).dump(1));
  CHECK(read == wanted);
}

TEST_CASE("a service file of three keys gets the defaults") {
  domain::Service wanted;
  wanted.name = "web";
  wanted.trigger = domain::Trigger::manual;
  wanted.source.image = "web:1";
  CHECK(read_service("service: web\non: manual\nsource: { image: \"web:1\" }\n") == wanted);
}

TEST_CASE("a service file may be JSON, with tabs") {
  auto service = read_service(
      "{\n\t\"service\": \"web\",\n\t\"on\": \"manual\",\n\t\"source\": {\"image\": \"web\\u003a1\"}\n}\n");
  CHECK(service.name == "web");
  CHECK(service.source.image == "web:1");
}

TEST_CASE("a rolling update may let targets go before there are new ones") {
  const std::string begin = "service: web\non: manual\nsource: { image: web }\n";
  const auto service = read_service(begin + "max_surge: 0\nmax_unavailable: 2\n");
  CHECK(service.max_surge == 0);
  CHECK(service.max_unavailable == 2);
  CHECK(read_service(begin + "strategy: recreate\n").strategy == domain::StrategyKind::recreate);
}

TEST_CASE("a service with a device of the host is recreated, unless another strategy is named") {
  const std::string begin = "service: web\non: manual\nsource: { image: web }\n";
  const std::string devices = "container: { devices: [/dev/a, \"/dev/b:/dev/c\", \"/dev/d:/dev/e:rw\"] }\n";
  const auto service = read_service(begin + devices);
  CHECK(service.strategy == domain::StrategyKind::recreate);
  CHECK(service.container.devices == std::vector<domain::Device>{{"/dev/a", "/dev/a", "rwm"},
                                                                 {"/dev/b", "/dev/c", "rwm"},
                                                                 {"/dev/d", "/dev/e", "rw"}});
  CHECK(read_service(begin + devices + "strategy: rolling\n").strategy == domain::StrategyKind::rolling);
  for (const auto* wrong : {"dev/a", "/", "/dev/a:b", "/dev/a:/dev/b:x", "/dev/a:/dev/b:", "/a:/b:r:w"}) {
    INFO(wrong);
    CHECK(service_errors(begin + "container: { devices: [\"" + wrong + "\"] }\n")
              .find("must be a path, e.g. \"/dev/ttyUSB0\" or \"/dev/ttyUSB0:/dev/modem:rw\"") != std::string::npos);
  }
}

TEST_CASE("a service that holds a port of the host cannot run twice: it is recreated") {
  const std::string begin = "service: web\non: manual\nsource: { image: web }\n";
  const auto service =
      read_service(begin + "container: { ports: [\"8080:80\", \"127.0.0.1:53:5353/udp\", \"[::1]:81:80/tcp\"] }\n");
  CHECK(service.strategy == domain::StrategyKind::recreate);
  CHECK(service.container.ports == std::vector<domain::PublishedPort>{
                                       {"", 8080, 80, "tcp"}, {"127.0.0.1", 53, 5353, "udp"}, {"::1", 81, 80, "tcp"}});
  for (const auto* wrong :
       {"80", "0:80", "80:0", "80:70000", "a:80", "80:80/sctp", "host:80:80", ":80:80", "1:2:3:4"}) {
    INFO(wrong);
    CHECK(service_errors(begin + "container: { ports: [\"" + wrong + "\"] }\n")
              .find("must be host:container, e.g. \"8080:80\" or \"127.0.0.1:8080:80/tcp\"") != std::string::npos);
  }
}

TEST_CASE("every key of agent.yaml arrives in its field, relative paths beside the file") {
  config::AgentConfig wanted;
  wanted.state = "/var/lib/elsewhere";
  wanted.socket = {"/etc/deployctl/run/agent.sock", "deploy"};
  wanted.services = "/etc/deployctl/services";
  wanted.engine = "unix:///run/other.sock";
  wanted.network = "internal";
  wanted.routing = {"routes", "10.213.0.0/16"};
  config::WebhookSettings webhook;
  webhook.address = "::1";
  webhook.port = 9010;
  webhook.path = "/hooks/other";
  webhook.secrets = {{"GITHUB_WEBHOOK_SECRET", ""}, {"", "/etc/deployctl/secret"}};
  wanted.webhook = webhook;
  wanted.nginx = {"my_nginx", "/srv/nginx/upstreams", 9999, 8, ""};
  wanted.release = {0ms, 2min};
  wanted.limits = {2, 4, 3, 30s};
  wanted.poll = 90s;
  wanted.github.emplace();
  wanted.github->api = "https://github.example.com:8443/api/v3";
  wanted.github->token.file = "/etc/deployctl/github-token";
  wanted.registries = {{"ghcr.io", "me", {"GHCR_TOKEN", ""}}};
  wanted.docker_config = "/etc/deployctl/docker/config.json";
  wanted.disk.keep_free_bytes = 512 << 20;
  wanted.memory = {128 << 20, false};
  wanted.release.atomic = true;
  CHECK(read_agent(data("agent_complete.yaml"), "/etc/deployctl/agent.yaml") == wanted);
}

TEST_CASE("the least agent.yaml gets the defaults") {
  auto agent = read_agent("network: shared\nproxy: { nginx: { container: nginx, upstreams: up } }\n",
                          "/etc/deployctl/agent.yaml");
  config::AgentConfig wanted;
  wanted.network = "shared";
  wanted.services = "/etc/deployctl/deploy.d";
  wanted.nginx.emplace();
  wanted.nginx->container = "nginx";
  wanted.nginx->upstreams = "/etc/deployctl/up";
  CHECK(agent == wanted);
  CHECK(agent.state == "/var/lib/deployctl");
  CHECK(agent.socket.path == "/run/deployctl/deployd.sock");
  CHECK(agent.release.settle == 5s);
  CHECK_FALSE(agent.webhook.has_value());
  CHECK(agent.poll == 5min);
  CHECK_FALSE(agent.github.has_value());
}

TEST_CASE("Nginx runs in a container or on this host") {
  const auto agent = read_agent("network: shared\nproxy: { nginx: { pid: /run/nginx.pid, upstreams: /up } }\n");
  CHECK(agent.nginx->container.empty());
  CHECK(agent.nginx->pid_file == "/run/nginx.pid");
  CHECK(
      agent_errors("network: shared\nproxy: { nginx: { container: nginx, pid: /run/nginx.pid, upstreams: /up } }\n") ==
      "agent.yaml:2:42: error: `proxy.nginx.pid` cannot be used with `container`\n"
      "  proxy: { nginx: { container: nginx, pid: /run/nginx.pid, upstreams: /up } }\n"
      "                                           ^\n"
      "  hint: Nginx runs in one of the two places\n");
}

TEST_CASE("the webhook listens on an address and port or on a unix socket") {
  const std::string begin =
      "network: shared\nproxy: { nginx: { container: nginx, upstreams: /up } }\nwebhook: { secrets: [ { env: S } ], "
      "listen: ";
  auto tcp = read_agent(begin + "127.0.0.1:0 }\n").webhook.value();
  CHECK(tcp.address == "127.0.0.1");
  CHECK(tcp.port == 0);
  CHECK(tcp.path == "/hooks/github");
  auto unix_socket = read_agent(begin + "unix:/run/deployctl/hooks/w.sock }\n").webhook.value();
  CHECK(unix_socket.address == "");
  CHECK(unix_socket.unix_socket == "/run/deployctl/hooks/w.sock");
}

TEST_CASE("all errors of a file are reported at once") {
  CHECK(service_errors(data("service_broken.yaml")) == data("service_broken.txt"));
  CHECK(service_errors(data("service_broken_otherwise.yaml")) == data("service_broken_otherwise.txt"));
  CHECK(agent_errors(data("agent_broken.yaml")) == data("agent_broken.txt"));
}

TEST_CASE("single errors of a service file") {
  const std::string begin = "service: web\non: manual\n";
  auto [rest, wanted] = GENERATE(table<std::string, std::string>({
      {"source: {}\n",
       "s.yaml:3:9: error: `source` has neither `git` nor `image`\n"
       "  source: {}\n"
       "          ^\n"
       "  hint: name the repository to build from, or the image to pull, or both\n"},
      {"source: { git: { url: https://me:secret@github.com/a/b } }\n",
       "s.yaml:3:23: error: `source.git.url` must not hold a user or a password\n"
       "  source: { git: { url: https://me:secret@github.com/a/b } }\n"
       "                        ^\n"
       "  hint: name an environment variable of the agent under `token_env`\n"},
      {"source: { git: { url: /srv/repo } }\n",
       "s.yaml:3:23: error: `source.git.url` must be a git URL\n"
       "  source: { git: { url: /srv/repo } }\n"
       "                        ^\n"
       "  hint: https://, ssh://, git@host:owner/name.git or file:///path\n"},
      {"source: { git: { url: https://github.com/a/b, ssh_key: /k } }\n",
       "s.yaml:3:56: error: `source.git.ssh_key` needs an SSH url\n"
       "  source: { git: { url: https://github.com/a/b, ssh_key: /k } }\n"
       "                                                         ^\n"
       "  hint: remove it\n"},
      {"source: { image: \"a b\" }\n",
       "s.yaml:3:18: error: `source.image` must be an image reference without blanks\n"
       "  source: { image: \"a b\" }\n"
       "                   ^\n"
       "  hint: e.g. owner/name:{sha}\n"},
      {"source: { image: a }\nhealth: { exec: [a], warm_up: { http: / } }\n",
       "s.yaml:4:31: error: `health.warm_up` needs a port\n"
       "  health: { exec: [a], warm_up: { http: / } }\n"
       "                                ^\n"
       "  hint: set `health.port`, or `proxy.port` for a service that takes traffic\n"},
      {"source: { image: a }\nhealth: { warm_up: {} }\n",
       "s.yaml:4:20: error: `health.warm_up` misses the required key `http`\n"
       "  health: { warm_up: {} }\n"
       "                     ^\n"
       "  hint: the path of the request, e.g. /v1/completions\n"
       "s.yaml:4:20: error: `health.warm_up` needs a port\n"
       "  health: { warm_up: {} }\n"
       "                     ^\n"
       "  hint: set `health.port`, or `proxy.port` for a service that takes traffic\n"},
      {"source: { image: a }\nhealth: { exec: [] }\n",
       "s.yaml:4:17: error: `health.exec` names no command\n"
       "  health: { exec: [] }\n"
       "                  ^\n"
       "  hint: e.g. [pg_isready, -U, app]\n"},
      {"source: { image: a }\nhealth: { timeout: 1s }\n",
       "s.yaml:4:20: error: `health.timeout` needs `http`, `tcp` or `exec`\n"
       "  health: { timeout: 1s }\n"
       "                     ^\n"
       "  hint: without them the image's own HEALTHCHECK is asked\n"},
      {"source: { image: a }\nmax_surge: 0\n",
       "s.yaml:4:12: error: `max_surge` and `max_unavailable` cannot both be 0\n"
       "  max_surge: 0\n"
       "             ^\n"
       "  hint: write `max_unavailable: 1` to let a target go before there is a new one\n"},
      {"source: { image: a }\nstrategy: recreate\nmax_surge: 2\n",
       "s.yaml:5:12: error: `max_surge` needs `strategy: rolling`\n"
       "  max_surge: 2\n"
       "             ^\n"},
      {"source: { image: a }\nbake: 1m\n",
       "s.yaml:4:7: error: `bake` needs `strategy: blue-green`\n"
       "  bake: 1m\n"
       "        ^\n"
       "  hint: the other strategies do not keep the old targets warm\n"},
      {"source: { image: a }\nstrategy: rolling\nreplicas: 2\ncontainer: { ports: [\"80:8080\"] }\n",
       "s.yaml:4:11: error: `strategy` must be `recreate`: container.ports holds port 80 of the host, which only one "
       "container at a time can have\n"
       "  strategy: rolling\n"
       "            ^\n"
       "  hint: let Nginx listen there, and take out `container.ports`\n"
       "s.yaml:5:11: error: `replicas` must be 1: container.ports holds port 80 of the host, which only one container "
       "at a time can have\n"
       "  replicas: 2\n"
       "            ^\n"
       "  hint: let Nginx listen there, and take out `container.ports`\n"},
      {"source: { image: a }\ncontainer: { pre_stop: [] }\n",
       "s.yaml:4:24: error: `container.pre_stop` names no command\n"
       "  container: { pre_stop: [] }\n"
       "                         ^\n"
       "  hint: e.g. [nginx, -s, quit]\n"},
      {"source: { image: a }\nhealth: { http: / }\n",
       "s.yaml:4:17: error: `health.http` needs a port\n"
       "  health: { http: / }\n"
       "                  ^\n"
       "  hint: set `health.port`, or `proxy.port` for a service that takes traffic\n"},
      {"source: { image: a }\nhealth: { port: 80, deadline: 1s }\n",
       "s.yaml:4:17: error: `health.port` needs `health.http`\n"
       "  health: { port: 80, deadline: 1s }\n"
       "                  ^\n"
       "  hint: without it nothing is asked over HTTP\n"},
      {"source: { image: a }\nhealth: { http: \"/a\\nb\", port: 80 }\n",
       "s.yaml:4:17: error: `health.http` must be a path without blanks, line breaks, `#`, `;`, `{` and `}`\n"
       "  health: { http: \"/a\\nb\", port: 80 }\n"
       "                  ^\n"
       "  hint: write them as %20 and so on\n"},
      {"source: { image: a }\ncontainer: { environment: { 이름: 서버, X: [1] } }\n",
       "s.yaml:4:40: error: `container.environment.X` must be a text, not a list\n"
       "  container: { environment: { 이름: 서버, X: [1] } }\n"
       "                                             ^\n"},
      {"source: { image: a }\ncontainer: { user: $, working_dir: \"${1}\", command: \"${A!b}\" }\n",
       "s.yaml:4:20: error: `container.user` has a `$` that begins no variable\n"
       "  container: { user: $, working_dir: \"${1}\", command: \"${A!b}\" }\n"
       "                     ^\n"
       "  hint: write ${NAME}, ${NAME:-default} or ${NAME:?message}; $$ is a dollar sign\n"
       "s.yaml:4:36: error: `container.working_dir` has a `${` that no variable's name follows\n"
       "  container: { user: $, working_dir: \"${1}\", command: \"${A!b}\" }\n"
       "                                     ^\n"
       "  hint: write ${NAME}, ${NAME:-default} or ${NAME:?message}; $$ is a dollar sign\n"
       "s.yaml:4:53: error: `container.command` has something after the name of the variable A that has no meaning "
       "there\n"
       "  container: { user: $, working_dir: \"${1}\", command: \"${A!b}\" }\n"
       "                                                      ^\n"
       "  hint: write ${NAME}, ${NAME:-default} or ${NAME:?message}; $$ is a dollar sign\n"},
  }));
  CHECK(service_errors(begin + rest) == wanted);
}

TEST_CASE("text for Nginx cannot leave its directive") {
  auto text = GENERATE(as<std::string>(), "a; b", "a { b", "a } b", "a\\nb", "a # b", "a \\\" b", "a ' b", "a \\\\");
  auto begin = "service: web\non: manual\nsource: { image: a }\n";
  CAPTURE(text);
  CHECK(service_errors(begin + ("proxy: { port: 1, server_parameters: \"" + text + "\" }\n")).find("must not hold") !=
        std::string::npos);
  CHECK(service_errors(begin + ("proxy: { port: 1, directives: [\"" + text + "\"] }\n")).find("must not hold") !=
        std::string::npos);
  CHECK(service_errors(begin + ("proxy: { port: 1, upstream: \"" + text + "\" }\n")).find("at most 64 letters") !=
        std::string::npos);
}

TEST_CASE("names of services keep to what hosts, containers and Nginx take") {
  auto errors = [](const std::string& name) {
    return service_errors("{ service: \"" + name + "\", on: manual, source: { image: a } }");
  };
  CHECK(errors("a1") == "");
  CHECK(errors("a" + std::string(40, '-')) == "");
  for (const auto* name : {"a", "-ab", "Ab", "a_b", "a.b", "a b", "a\\n"}) {
    CAPTURE(name);
    CHECK(errors(name).find("`service` must have 2 to 41") != std::string::npos);
  }
  CHECK(errors(std::string(42, 'a')).find("`service` must have 2 to 41") != std::string::npos);
}

TEST_CASE("an empty list of secrets and a missing one are errors") {
  const std::string begin = "network: shared\nproxy: { nginx: { container: nginx, upstreams: /up } }\n";
  CHECK(agent_errors(begin + "webhook: { listen: 127.0.0.1:1, secrets: [] }\n") ==
        "agent.yaml:3:42: error: `webhook.secrets` is empty\n"
        "  webhook: { listen: 127.0.0.1:1, secrets: [] }\n"
        "                                           ^\n"
        "  hint: without a secret anybody could deploy: e.g. [ { env: GITHUB_WEBHOOK_SECRET } ]\n");
  CHECK(agent_errors(begin + "webhook: { listen: 127.0.0.1:1 }\n") ==
        "agent.yaml:3:10: error: `webhook` misses the required key `secrets`\n"
        "  webhook: { listen: 127.0.0.1:1 }\n"
        "           ^\n"
        "  hint: e.g. secrets: [ { env: GITHUB_WEBHOOK_SECRET } ]\n");
}

TEST_CASE("the shared network and the routing network are two") {
  CHECK(agent_errors("network: deployctl\nproxy: { nginx: { container: nginx, upstreams: /up } }\n") ==
        "agent.yaml:1:10: error: `network` is the routing network, too\n"
        "  network: deployctl\n"
        "           ^\n"
        "  hint: `routing.network` is one of deployctl's own: give it another name\n");
}
