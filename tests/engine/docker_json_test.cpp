#include "agent/engine/docker_json.hpp"

#include <catch2/catch_all.hpp>

#include "agent/base/error.hpp"
#include "agent/engine/engine_connection.hpp"
#include "tests/fakes/run.hpp"

namespace deploy::engine {
namespace {

using tests::error_of;

TEST_CASE("json: the body of a container with everything set") {
  ports::ContainerSpec spec;
  spec.name = "backend-1";
  spec.image = "app:1";
  spec.labels = {{"deployctl.service", "backend"}};
  spec.network = {"internal", "10.1.0.5", {"backend-1"}};
  auto& settings = spec.settings;
  settings.environment = {{"A", "1"}, {"B", "x=y"}};
  settings.command = {"serve", "--port", "80"};
  settings.entrypoint = {"/init"};
  settings.user = "app";
  settings.working_dir = "/srv";
  settings.volumes = {"/host:/in:ro", "data:/data"};
  settings.extra_hosts = {"db:10.0.0.2"};
  settings.tmpfs = {"/run", "/tmp:size=64m"};
  settings.ports = {{"", 8080, 80, "tcp"}, {"127.0.0.1", 81, 80, "tcp"}};
  settings.devices = {{"/dev/ttyUSB0", "/dev/modem", "rw"}};
  settings.log_driver = "json-file";
  settings.log_options = {{"max-size", "10m"}};
  settings.labels = {{"team", "a"}, {"deployctl.service", "theirs"}};
  settings.memory_bytes = 1 << 20;
  settings.cpus = 1.5;
  settings.init = true;
  settings.stop_signal = "SIGQUIT";
  settings.stop_grace_period = std::chrono::seconds(30);
  CHECK(create_body(spec) == Json::parse(R"({
    "Image": "app:1", "Labels": {"deployctl.service": "backend", "team": "a"},
    "Env": ["A=1", "B=x=y"], "Cmd": ["serve", "--port", "80"], "Entrypoint": ["/init"],
    "ExposedPorts": {"80/tcp": {}}, "User": "app", "WorkingDir": "/srv", "StopSignal": "SIGQUIT", "StopTimeout": 30,
    "HostConfig": {
      "RestartPolicy": {"Name": "unless-stopped"}, "NetworkMode": "internal",
      "Binds": ["/host:/in:ro", "data:/data"], "ExtraHosts": ["db:10.0.0.2"],
      "Tmpfs": {"/run": "", "/tmp": "size=64m"},
      "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}, {"HostIp": "127.0.0.1", "HostPort": "81"}]},
      "Devices": [{"PathOnHost": "/dev/ttyUSB0", "PathInContainer": "/dev/modem", "CgroupPermissions": "rw"}],
      "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m"}},
      "Memory": 1048576, "NanoCpus": 1500000000, "Init": true },
    "NetworkingConfig": {"EndpointsConfig": {"internal":
      {"IPAMConfig": {"IPv4Address": "10.1.0.5"}, "Aliases": ["backend-1"]}}} })"));
}

TEST_CASE("json: limits, privileges and health go to the engine as they are") {
  ports::ContainerSpec spec;
  spec.image = "app:1";
  auto& settings = spec.settings;
  settings.healthcheck = {
      {"CMD", "true"}, std::chrono::seconds(5), std::chrono::seconds(2), std::chrono::minutes(1), 3};
  settings.ulimits = {{"nofile", {20000, 40000}}, {"nproc", {-1, -1}}};
  settings.memory_reservation_bytes = 1 << 20;
  settings.shm_bytes = 2 << 20;
  settings.pids_limit = 100;
  settings.group_add = {"audio"};
  settings.cap_add = {"NET_ADMIN"};
  settings.cap_drop = {"ALL"};
  settings.security_opt = {"no-new-privileges:true"};
  settings.sysctls = {{"net.core.somaxconn", "1024"}};
  settings.dns = {"8.8.8.8"};
  settings.dns_search = {"example.com"};
  settings.dns_options = {"use-vc"};
  settings.device_requests = {{"nvidia", -1, {}, {"gpu", "utility"}, {{"a", "b"}}}, {"", 0, {"0"}, {"gpu"}, {}}};
  settings.privileged = true;
  settings.read_only = true;
  settings.hostname = "be";
  settings.pid = "host";
  settings.ipc = "shareable";
  settings.runtime = "runc";
  CHECK(create_body(spec) == Json::parse(R"({
    "Image": "app:1", "Labels": {}, "Hostname": "be",
    "Healthcheck": {"Test": ["CMD", "true"], "Interval": 5000000000, "Timeout": 2000000000,
                    "StartPeriod": 60000000000, "Retries": 3},
    "HostConfig": {
      "RestartPolicy": {"Name": "unless-stopped"},
      "Ulimits": [{"Name": "nofile", "Soft": 20000, "Hard": 40000}, {"Name": "nproc", "Soft": -1, "Hard": -1}],
      "MemoryReservation": 1048576, "ShmSize": 2097152, "PidsLimit": 100,
      "GroupAdd": ["audio"], "CapAdd": ["NET_ADMIN"], "CapDrop": ["ALL"], "SecurityOpt": ["no-new-privileges:true"],
      "Sysctls": {"net.core.somaxconn": "1024"}, "Dns": ["8.8.8.8"], "DnsSearch": ["example.com"],
      "DnsOptions": ["use-vc"], "Privileged": true, "ReadonlyRootfs": true, "PidMode": "host", "IpcMode": "shareable",
      "Runtime": "runc",
      "DeviceRequests": [
        {"Driver": "nvidia", "Count": -1, "DeviceIDs": [], "Capabilities": [["gpu", "utility"]], "Options": {"a": "b"}},
        {"Driver": "", "Count": 0, "DeviceIDs": ["0"], "Capabilities": [["gpu"]], "Options": {}}] } })"));
}

TEST_CASE("json: what is not set is the image's and the engine's own") {
  ports::ContainerSpec spec;
  spec.name = "a";
  spec.image = "app:1";
  CHECK(create_body(spec) ==
        Json::parse(R"({"Image":"app:1","Labels":{},"HostConfig":{"RestartPolicy":{"Name":"unless-stopped"}}})"));
  CHECK(network_body({"n", "", "", false, {}}) ==
        Json::parse(R"({"Name":"n","CheckDuplicate":true,"Driver":"bridge","Labels":{}})"));
  CHECK(network_body({"n", "10.1.0.0/16", "10.1.128.0/17", true, {{"a", "b"}}}) ==
        Json::parse(R"({"Name":"n","CheckDuplicate":true,"Driver":"bridge","Labels":{"a":"b"},"Internal":true,
                        "IPAM":{"Driver":"default","Config":[{"Subnet":"10.1.0.0/16","IPRange":"10.1.128.0/17"}]}})"));
  CHECK(label_filter({{"a", "1"}, {"b", "2"}}) == Json::parse(R"({"label":["a=1","b=2"]})"));
  CHECK(label_filter({}) == Json::object());
}

TEST_CASE("json: a running container is read") {
  const auto container = container_from_inspect(Json::parse(R"({
    "Id": "abc", "Name": "/backend-1", "Image": "sha256:1", "RestartCount": 2,
    "State": {"Status": "running", "Pid": 77, "ExitCode": 0,
              "Health": {"Status": "unhealthy", "Log": [{"Output": "old"}, {"Output": "connection refused\n"}]}},
    "Config": {"Labels": {"a": "b"}, "Tty": true}, "HostConfig": {"NetworkMode": "internal"},
    "NetworkSettings": {"Networks": {
      "internal": {"IPAddress": "10.0.0.3", "Aliases": null, "IPAMConfig": null},
      "routing": {"IPAddress": "", "Aliases": ["x"], "IPAMConfig": {"IPv4Address": "10.9.0.4"}}}} })"));
  CHECK(container.name == "backend-1");
  CHECK(container.health == "unhealthy");
  CHECK(container.health_output == "connection refused");
  CHECK(container.restart_count == 2);
  CHECK(container.pid == 77);
  CHECK(container.tty);
  CHECK(container.network_mode == "internal");
  REQUIRE(container.networks.size() == 2);
  CHECK(container.networks[0].address == "10.0.0.3");
  CHECK(container.networks[1].address == "10.9.0.4");
  CHECK(container.networks[1].aliases == std::vector<std::string>{"x"});
}

TEST_CASE("json: absent and null are the same for what is optional") {
  const auto container = container_from_inspect(Json::parse(
      R"({"Id":"abc","State":{"Status":"created","Health":null},"Config":{"Labels":null},"NetworkSettings":{"Networks":null}})"));
  CHECK(container.health == "none");
  CHECK(container.networks.empty());
  const auto listed = container_from_list(Json::parse(R"({"Id":"abc","Names":null,"State":"exited"})"));
  CHECK(listed.name.empty());
  CHECK(listed.health == "none");
  CHECK_THROWS_AS(container_from_list(Json::parse("{}")), Json::exception);
  CHECK_THROWS_AS(container_from_inspect(Json::parse("[]")), Json::exception);
}

TEST_CASE("json: the list's health is in its words") {
  const auto health = [](const char* status) {
    return container_from_list(Json{{"Id", "a"}, {"Status", status}}).health;
  };
  CHECK(health("Up 3 minutes (healthy)") == "healthy");
  CHECK(health("Up 3 minutes (unhealthy)") == "unhealthy");
  CHECK(health("Up 1 second (health: starting)") == "starting");
  CHECK(health("Up 3 minutes") == "none");
}

TEST_CASE("json: images and networks are read") {
  const auto image =
      image_from_inspect(Json::parse(R"({"Id":"sha256:1","RepoTags":["<none>:<none>"],"RepoDigests":["a@sha256:2"],
      "Config":{"Labels":{"x":"y"},"Healthcheck":{"Test":["CMD","true"]}}})"));
  CHECK(image.tags.empty());
  CHECK(image.digests == std::vector<std::string>{"a@sha256:2"});
  CHECK(image.labels.at("x") == "y");
  CHECK(image.has_healthcheck);
  CHECK_FALSE(
      image_from_inspect(Json::parse(R"({"Id":"a","Config":{"Healthcheck":{"Test":["NONE"]}}})")).has_healthcheck);
  const auto network =
      network_from(Json::parse(R"({"Id":"n1","Name":"internal","IPAM":{"Config":[{"Subnet":"10.0.0.0/16"},{}]},
      "Containers":{"c1":{"IPv4Address":"10.0.0.9/16"}}})"));
  CHECK(network.subnets == std::vector<std::string>{"10.0.0.0/16"});
  REQUIRE(network.endpoints.size() == 1);
  CHECK(network.endpoints[0].network == "c1");
  CHECK(network.endpoints[0].address == "10.0.0.9");
  const auto processes =
      processes_from(Json::parse(R"({"Titles":["PID","PPID","COMMAND"],"Processes":[["5","1","nginx: master"]]})"));
  REQUIRE(processes.size() == 1);
  CHECK(processes[0].title == "nginx: master");
  CHECK(processes_from(Json::parse(R"({"Processes":null})")).empty());
}

TEST_CASE("errors: the engine's words and statuses become ours") {
  CHECK(message_from(R"({"message":"No such container: x"})") == "No such container: x");
  CHECK(message_from("page not found\n") == "page not found");
  CHECK(message_from(R"({"message":7})") == R"({"message":7})");
  CHECK(kind_of_answer(404, "x") == ErrorKind::not_found);
  CHECK(kind_of_answer(409, "x") == ErrorKind::conflict);
  CHECK(kind_of_answer(400, "x") == ErrorKind::invalid);
  CHECK(kind_of_answer(500, "x") == ErrorKind::failed);
  CHECK(kind_of_answer(500, "mkdir /var/lib/docker: no space left on device") == ErrorKind::disk_full);
}

TEST_CASE("version: the lower of ours and the engine's, never below what the engine accepts") {
  CHECK(negotiate("1.12", "1.41") == "1.41");
  CHECK(negotiate("1.24", "1.45") == "1.44");
  CHECK(negotiate("1.44", "1.52") == "1.44");
  CHECK(negotiate("1.46", "1.60") == "1.46");
  CHECK(negotiate("1.9", "1.100") == "1.44");
  const auto error = error_of([] { negotiate("1.12", "1.40"); });
  CHECK(error.message() ==
        "the Docker Engine speaks API 1.40 at most, and deployctl needs 1.41; update to Docker Engine 20.10 or later");
}

TEST_CASE("an engine's address is a unix socket or a TCP port") {
  CHECK(connector_for("unix:///run/docker.sock").name == "/run/docker.sock");
  CHECK(connector_for("tcp://127.0.0.1:2375").name == "127.0.0.1:2375");
  for (const auto* address : {"/run/docker.sock", "unix://run", "http://x:1", "", "ssh://host"}) {
    const auto error = error_of([&] { connector_for(address); });
    CHECK(error.message() == "the engine's address \"" + std::string(address) +
                                 "\" is neither unix:///path nor tcp://host:port; correct `engine` in agent.yaml");
  }
  for (const auto* address :
       {"tcp://host", "tcp://host:", "tcp://:1", "tcp://host:0", "tcp://host:70000", "tcp://host:1x"}) {
    const auto error = error_of([&] { connector_for(address); });
    CHECK(error.message() == "the engine's address " + std::string(address) + " has no port; write tcp://host:port");
  }
}

TEST_CASE("names that would mean something else inside a URL are refused") {
  CHECK(checked_name("a-b_c.1") == "a-b_c.1");
  for (const auto* name : {"", "../x", "a/b", "a?b", "a b", "-a", ".."}) {
    CHECK(error_of([&] { checked_name(name); }).kind() == ErrorKind::invalid);
  }
}

}  // namespace
}  // namespace deploy::engine
