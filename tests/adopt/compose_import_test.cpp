#include "agent/adopt/compose_import.hpp"

#include <catch2/catch_all.hpp>
#include <fstream>
#include <nlohmann/json.hpp>

#include "agent/config/variables.hpp"
#include "tests/fakes/run.hpp"
#include "tests/fakes/temp_dir.hpp"

namespace deploy::tests {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::json;
using Texts = std::vector<std::string>;

/// What Compose 2.26.1 printed of docker-compose.yml beside it, in /srv/shop.
Json printed(const std::string& name) {
  return Json::parse(std::ifstream(std::string(DEPLOY_SOURCE_DIR) + "/tests/adopt/data/compose/" + name));
}

adopt::ComposeService imported(const std::string& service) {
  return adopt::import_service(printed("resolved.json"), printed("written.json"), service);
}

/// A service of these keys alone.
adopt::ComposeService from(const std::string& keys) {
  const Json model{{"services", {{"web", Json::parse(keys)}}}};
  return adopt::import_service(model, nullptr, "web");
}

Texts unsupported(const adopt::ComposeService& service) {
  Texts lines;
  for (const auto& problem : service.unsupported) lines.push_back(adopt::to_string(problem));
  return lines;
}

}  // namespace

TEST_CASE("a service of Compose gets the settings that Compose gives it") {
  const auto service = imported("backend");
  domain::ContainerSettings wanted;
  wanted.environment = {{"DB", "jdbc:${DB_PASS}"},     {"EMPTY", ""},       {"FROM_DOTENV", "${FROM_DOTENV}"},
                        {"FROM_FILE", "${FROM_FILE}"}, {"LITERAL", "a$$b"}, {"TOKEN", "${TOKEN}"}};
  wanted.command = {"sh", "-c", "echo $$HOME && exec run"};
  wanted.entrypoint = {"/entry", "x y"};
  wanted.user = "1000:1000";
  wanted.working_dir = "/srv";
  wanted.volumes = {"shop_data:/data",
                    "/srv/shop/conf:/conf:ro",
                    "/etc/localtime:/etc/localtime:ro",
                    "/srv/x:/x:ro,rshared",
                    "shop_data:/d2:nocopy",
                    "/srv/shop/secret.txt:/run/secrets/token:ro",
                    "/srv/shop/secret.txt:/run/t2:ro",
                    "/srv/shop/app.conf:/etc/app.conf:ro"};
  wanted.extra_hosts = {"db:10.0.0.1", "host.docker.internal:host-gateway"};
  wanted.tmpfs = {"/run", "/tmp:size=64m", "/scratch:size=1048576,mode=1777"};
  wanted.ports = {{"", 8100, 3000, "tcp"}, {"127.0.0.1", 53, 53, "udp"}};
  wanted.devices = {{"/dev/null", "/dev/zero2", "rw"}};
  wanted.restart = "unless-stopped";
  wanted.log_driver = "json-file";
  wanted.log_options = {{"max-file", "3"}, {"max-size", "10m"}};
  wanted.labels = {{"a.b", "c"}};
  wanted.memory_bytes = 512 << 20;
  wanted.memory_reservation_bytes = 128 << 20;
  wanted.cpus = 0.5;
  wanted.init = true;
  wanted.stop_signal = "SIGQUIT";
  wanted.stop_grace_period = 90s;
  wanted.healthcheck = {{"CMD-SHELL", "curl -f http://localhost:3000/health || exit 1"}, 30s, 10s, 40s, 3};
  wanted.networks = {"shop_internal", "outer"};
  wanted.ulimits = {{"nofile", {20000, 40000}}, {"nproc", {65535, 65535}}};
  wanted.shm_bytes = 64 << 20;
  wanted.pids_limit = 100;
  wanted.group_add = {"mail", "1001"};
  wanted.cap_add = {"NET_ADMIN"};
  wanted.cap_drop = {"ALL"};
  wanted.security_opt = {"no-new-privileges:true"};
  wanted.sysctls = {{"net.core.somaxconn", "1024"}};
  wanted.dns = {"8.8.8.8"};
  wanted.dns_search = {"example.com"};
  wanted.dns_options = {"use-vc"};
  wanted.privileged = true;
  wanted.read_only = true;
  wanted.hostname = "be";
  wanted.pid = "host";
  wanted.ipc = "shareable";
  wanted.runtime = "runc";
  // JSON first: where they differ it shows the field.
  domain::Service got;
  got.container = service.container;
  domain::Service all;
  all.container = wanted;
  CHECK(domain::to_json_value(got).dump(1) == domain::to_json_value(all).dump(1));
  CHECK(service.container == wanted);

  CHECK(service.image == "shop/backend:1.2");
  CHECK(service.build ==
        adopt::ComposeBuild{"/srv/shop/backend", "Dockerfile.prod", "runner", {{"A", "1"}, {"B", "${TAG}"}}});
  CHECK(service.container_name == "shop-backend");
  CHECK(service.depends_on == Texts{"migrate", "redis"});
  CHECK(service.env_files == Texts{"/srv/shop/app.env"});
  CHECK(service.profiles == Texts{"apps"});
  CHECK(service.replicas == 1);
}

TEST_CASE("what of a service is not supported is named, with what to do") {
  CHECK(
      unsupported(imported("backend")) ==
      Texts{
          "services.backend.depends_on.migrate.condition is not supported: let `hooks.before` run that command with "
          "the "
          "new image",
          "services.backend.environment.NOVALUE is not supported: it has no value; give it one, or remove it",
          "volumes.data is not supported: it is used as it is; let Compose make it before, if it is not there yet",
          "services.backend.volumes[3] is not supported: a volume without a name goes with its container; give it a "
          "name",
          "services.backend.ports[2] is not supported: one port of the host for one of the container, tcp or udp",
          "services.backend.networks.internal.aliases is not supported: two containers of a service run side by side; "
          "others call it by its service's name",
          "services.backend.platform is not supported: deployctl runs what the image is made for",
          "services.backend.tty is not supported: nobody sits in front of it"});
  CHECK(unsupported(imported("redis")) ==
        Texts{"services.redis.security_opt[0] is not supported: make it the engine's default (`seccomp-profile` in "
              "daemon.json), or remove it",
              "services.redis.pid is not supported: a target shares nothing with a container that may be replaced",
              "services.redis.ipc is not supported: a target shares nothing with a container that may be replaced",
              "services.redis.network_mode is not supported: deployctl connects containers to networks of their own"});
  CHECK(unsupported(imported("migrate")) ==
        Texts{"services.migrate.command is not supported: an empty list; the image's own is taken"});
  CHECK(unsupported(from(R"({"image": "a", "links": ["b"], "cgroup_parent": "x", "x-mine": 1, "tty": false,
                             "annotations": {}, "labels": {"deployctl.x": "1"}, "secrets": [{"source": "s"}],
                             "devices": ["vendor.com/gpu=0"], "healthcheck": {"start_interval": "1s"},
                             "deploy": {"update_config": {"order": "start-first"}, "placement": {}},
                             "build": {"context": ".", "ssh": ["default"]},
                             "volumes": [{"type": "npipe"}, {"type": "bind", "source": "/a:b", "target": "/c"},
                               {"type": "bind", "source": "/a", "target": "/c", "bind": {"create_host_path": false}}]})")) ==
        Texts{"services.web.build.ssh is not supported",
              "services.web.labels.deployctl.x is not supported: such labels are deployctl's own",
              "services.web.volumes[0] is not supported",
              "services.web.volumes[1] is not supported: a path with a colon; mount it from another one",
              "services.web.volumes[2].bind.create_host_path is not supported: the engine makes the folder where it is "
              "missing",
              "services.web.secrets[0] is not supported: only those with a `file` are; write it to one",
              "services.web.devices[0] is not supported: only paths are",
              "services.web.deploy.update_config is not supported: deployctl's own settings take its place",
              "services.web.healthcheck.start_interval is not supported", "services.web.cgroup_parent is not supported",
              "services.web.links is not supported: services call each other by name as it is"});
}

TEST_CASE("limits and devices of `deploy` arrive like those beside it") {
  const auto service = imported("ai");
  CHECK(service.container.memory_bytes == std::int64_t{2} << 30);
  CHECK(service.container.memory_reservation_bytes == 64 << 20);
  CHECK(service.container.cpus == 1);
  CHECK(service.container.pids_limit == 50);
  CHECK(service.container.device_requests ==
        std::vector<domain::DeviceRequest>{{"nvidia", 1, {}, {"gpu"}, {}}, {"", 0, {"0"}, {"gpu", "utility"}, {}}});
  CHECK(service.container.restart == "on-failure:3");
  CHECK(service.container.healthcheck.test == Texts{"NONE"});
  CHECK(service.container.environment == std::map<std::string, std::string>{{"K", "v"}, {"N", "5"}, {"T", "true"}});
  CHECK(service.container.extra_hosts == Texts{"a:1.2.3.4"});
  CHECK(service.replicas == 2);
  CHECK(unsupported(service).empty());
  CHECK(from(R"({"gpus": [{"count": -1}], "devices": ["/dev/a:/dev/b:r", "/dev/c"]})").container.device_requests ==
        std::vector<domain::DeviceRequest>{{"", -1, {}, {"gpu"}, {}}});
}

TEST_CASE("a secret of .env or an env file is not in the settings, and comes back when a container is made") {
  const auto redis = imported("redis");
  CHECK(redis.container.command == Texts{"redis-server", "--requirepass", "${DB_PASS}"});
  CHECK(redis.container.healthcheck == domain::ContainerHealthcheck{{}, 5s, 0s, 0s, 9});
  CHECK(redis.container.restart == "no");

  TempDir folder;
  std::ofstream(folder / ".env") << "DB_PASS='s3cret$x'\nFROM_DOTENV=dot\n";
  std::ofstream(folder / "app.env") << "FROM_FILE=filed\nTOKEN='x$y'\n";
  domain::Service service;
  service.container = imported("backend").container;
  service.vars = {(folder / ".env").string(), (folder / "app.env").string()};
  const auto resolved = config::resolve(service).container;
  // What Compose printed with everything resolved; there `$$` is `$`.
  const auto compose = printed("resolved.json")["services"]["backend"]["environment"];
  for (const auto& [name, value] : resolved.environment) {
    INFO(name);
    auto wanted = compose.at(name).get<std::string>();
    for (auto at = wanted.find("$$"); at != std::string::npos; at = wanted.find("$$", at + 1)) wanted.erase(at, 1);
    CHECK(value == wanted);
  }
  CHECK(resolved.command.back() == "echo $HOME && exec run");

  // Without the files as they are written the values are all there is.
  const auto values = adopt::import_service(printed("resolved.json"), nullptr, "backend");
  CHECK(values.container.environment.at("DB") == "jdbc:s3cret$$x");
  CHECK(values.container.environment.at("FROM_FILE") == "filed");
}

TEST_CASE("a service that is not there, and JSON that is not Compose's, are errors") {
  CHECK(adopt::compose_services(printed("resolved.json")) == Texts{"ai", "backend", "migrate", "redis"});
  CHECK(error_of([] { imported("bakend"); }).message() ==
        "the Compose files have no service bakend; did you mean `backend`?");
  CHECK(error_of([] { from(R"({"environment": ["A=b"]})"); }).message() ==
        "what Compose printed cannot be read: services.web.environment must be a map; deployctl reads what `docker "
        "compose "
        "config --format json` of Compose v2 prints");
  for (const auto* keys :
       {R"({"volumes": {}})", R"({"volumes": ["a:/b"]})", R"({"mem_limit": "much"})", R"({"cpus": "x"})",
        R"({"stop_grace_period": "soon"})", R"({"ulimits": {"nofile": {"soft": 1}}})", R"({"pids_limit": 1.5})",
        R"({"networks": ["a"]})", R"({"image": {}})", R"({"healthcheck": {"interval": "x"}})", R"([])"}) {
    INFO(keys);
    CHECK(error_of([&] { from(keys); }).kind() == ErrorKind::invalid);
  }
}

}  // namespace deploy::tests
