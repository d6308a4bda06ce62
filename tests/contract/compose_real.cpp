// Of each key of a Compose file: the container that Compose makes of it and ours are the same to the engine, but for
// their names, labels and networks. Needs what engine_contract_real needs, and `docker compose`.
#include <algorithm>
#include <catch2/catch_all.hpp>
#include <string_view>

#include "agent/adopt/compose_export.hpp"
#include "tests/contract/compose_world.hpp"

namespace deploy::tests {
namespace {

using nlohmann::json;

struct Key {
  std::string_view name;  // of a service that has these keys alone
  std::string_view keys;
};

constexpr Key keys[] = {
    {"environment-map", R"("environment": {"A": "1", "B": "x ${SET}", "C": "$$literal", "EMPTY": ""})"},
    {"environment-list", R"("environment": ["A=1", "B=${SET:-d}", "C=${NONE:-d}", "SET"])"},
    {"env-file", R"("env_file": ["app.env"], "environment": {"OWN": "wins"})"},
    {"command-text", R"("command": "sh -c \"echo $$HOME '${SET}'\"")"},
    {"command-list", R"("command": ["echo", "a b", "${SET}"])"},
    {"entrypoint-text", R"("entrypoint": "/bin/sh -c")"},
    {"entrypoint-list", R"("entrypoint": ["/bin/echo", "x y"], "command": ["z"])"},
    {"user", R"("user": "1000:1000")"},
    {"working-dir", R"("working_dir": "/srv")"},
    {"volumes-named", R"("volumes": ["data:/data", "data:/read:ro"])"},
    {"volumes-bind", R"("volumes": ["./app.conf:/app.conf:ro", "/tmp:/host"])"},
    {"volumes-long", R"("volumes": [{"type": "bind", "source": "/tmp", "target": "/x", "read_only": true},
        {"type": "volume", "source": "data", "target": "/y", "volume": {"nocopy": true}}])"},
    {"volumes-propagation", R"("volumes": [{"type": "bind", "source": "/tmp", "target": "/x",
        "bind": {"propagation": "rslave"}}])"},
    {"extra-hosts", R"("extra_hosts": ["db:10.0.0.1", "host.docker.internal:host-gateway"])"},
    {"healthcheck", R"("healthcheck": {"test": "wget -q localhost/${SET} || exit 1", "interval": "30s",
        "timeout": "10s", "retries": 3, "start_period": "40s"})"},
    {"healthcheck-list", R"("healthcheck": {"test": ["CMD", "true"], "interval": "1m30s"})"},
    {"healthcheck-off", R"("healthcheck": {"disable": true})"},
    {"restart-always", R"("restart": "always")"},
    {"restart-unless-stopped", R"("restart": "unless-stopped")"},
    {"restart-on-failure", R"("restart": "on-failure:3")"},
    {"restart-policy", R"("deploy": {"restart_policy": {"condition": "on-failure", "max_attempts": 2}})"},
    {"restart-policy-any", R"("deploy": {"restart_policy": {"condition": "any"}})"},
    {"logging", R"("logging": {"driver": "json-file", "options": {"max-size": "10m", "max-file": "3"}})"},
    {"labels", R"j("labels": {"team": "shop", "rule": "Host(`${SET}`)"})j"},
    {"limits", R"("deploy": {"resources": {"limits": {"cpus": "0.5", "memory": "64M", "pids": 50},
        "reservations": {"memory": "32M"}}})"},
    {"mem-limit", R"("mem_limit": "64m", "mem_reservation": "32m")"},
    {"cpus", R"("cpus": 0.25)"},
    {"pids-limit", R"("pids_limit": 100)"},
    {"ulimits", R"("ulimits": {"nproc": 65535, "nofile": {"soft": 20000, "hard": 40000}})"},
    {"tmpfs", R"("tmpfs": ["/run", "/tmp:size=64m"])"},
    {"tmpfs-text", R"("tmpfs": "/run")"},
    {"shm-size", R"("shm_size": "128m")"},
    {"devices", R"("devices": ["/dev/null:/dev/zero2:rw", "/dev/null"])"},
    {"gpus", R"("deploy": {"resources": {"reservations": {"devices": [{"driver": "nvidia", "count": 1,
        "capabilities": ["gpu"]}, {"device_ids": ["0", "3"], "capabilities": ["gpu", "utility"]}]}}})"},
    {"gpus-all",
     R"("deploy": {"resources": {"reservations": {"devices": [{"count": "all", "capabilities": ["gpu"]}]}}})"},
    {"secrets", R"("secrets": ["token", {"source": "token", "target": "other"}])"},
    {"configs", R"("configs": ["app", {"source": "app", "target": "/etc/app.conf"}])"},
    {"stop-signal", R"("stop_signal": "SIGQUIT")"},
    {"stop-grace-period", R"("stop_grace_period": "1m30s")"},
    {"init", R"("init": true)"},
    {"privileged", R"("privileged": true)"},
    {"read-only", R"("read_only": true)"},
    {"group-add", R"("group_add": ["mail", "1001"])"},
    {"capabilities", R"("cap_add": ["NET_ADMIN"], "cap_drop": ["ALL"])"},
    {"security-opt", R"("security_opt": ["no-new-privileges:true"])"},
    {"sysctls", R"("sysctls": {"net.core.somaxconn": 1024})"},
    {"dns", R"("dns": ["192.0.2.53"], "dns_search": ["example.com"], "dns_opt": ["use-vc"])"},
    {"hostname", R"("hostname": "be")"},
    {"pid", R"("pid": "host")"},
    {"ipc", R"("ipc": "shareable")"},
    {"runtime", R"("runtime": "runc", "user": "1")"},  // the default's name: the user is what shows
    {"ports", R"("ports": ["127.0.0.1:18080:80", "18081:81/udp"])"},
};

/// The service that says nothing.
constexpr std::string_view plain = "plain";

bool is_nothing(const json& value) {
  return value.is_null() || ((value.is_structured() || value.is_string()) && value.empty());
}

/// What an engine calls null, an empty list, map or text, is the same.
void drop_nothings(json& value) {
  if (!value.is_structured()) return;
  for (auto& member : value) drop_nothings(member);
  if (!value.is_object()) return;
  for (auto member = value.begin(); member != value.end();) {
    member = is_nothing(*member) ? value.erase(member) : std::next(member);
  }
}

/// What the engine will run, without what differs between any two containers, and without name, labels and networks.
json what_runs(const json& container) {
  json config = container.at("Config");
  const auto id = container.at("Id").get<std::string>();
  if (config.at("Hostname") == id.substr(0, 12)) config.erase("Hostname");
  // Who is attached to it while it runs: nobody.
  for (const auto* name : {"AttachStdin", "AttachStdout", "AttachStderr"}) config.erase(name);
  json labels = json::object();
  for (const auto& [name, value] : config.at("Labels").items()) {
    const bool theirs = name.starts_with("com.docker.compose.");
    if (!theirs && name != world_label) labels[name] = value;
  }
  config["Labels"] = labels;
  if (config.contains("Env") && config.at("Env").is_array()) std::sort(config["Env"].begin(), config["Env"].end());
  json host = container.at("HostConfig");
  host.erase("NetworkMode");
  for (const auto* name : {"Ulimits", "ExtraHosts"}) {  // Compose sends them in no order
    if (auto& list = host[name]; list.is_array()) std::sort(list.begin(), list.end());
  }
  // Said, or left to the engine: 10 seconds, and no restart.
  if (config.value("StopTimeout", json()) == 10) config.erase("StopTimeout");
  if (auto& restart = host["RestartPolicy"]; restart.value("Name", "") == "no") restart["Name"] = "";
  // Two ways to ask for the same mounts.
  host.erase("Binds");
  host.erase("Mounts");
  auto mounts = json::array();
  for (const auto& mount : container.at("Mounts")) {
    json shown;
    for (const auto* name : {"Type", "Name", "Source", "Destination", "Driver", "RW", "Propagation"}) {
      if (mount.contains(name)) shown[name] = mount.at(name);
    }
    mounts.push_back(shown);
  }
  std::sort(mounts.begin(), mounts.end(),
            [](const json& left, const json& right) { return left.at("Destination") < right.at("Destination"); });
  json all{{"Path", container.at("Path")},
           {"Args", container.at("Args")},
           {"Config", config},
           {"HostConfig", host},
           {"Mounts", mounts}};
  drop_nothings(all);
  return all;
}

json file_of_all_keys() {
  json services{{plain, json::object()}};
  for (const auto& key : keys) services[key.name] = json::parse("{" + std::string(key.keys) + "}");
  return services;
}

}  // namespace

TEST_CASE("real Compose: of each key, our container is the one that Compose makes") {
  ComposeWorld compose(file_of_all_keys());
  compose.write(".env", "SET=set by .env\n");
  compose.write("app.env", "OWN=lost\nFILED='a $b'\nQUOTED=\"x y\"\n");
  compose.create();
  const auto nothing_said = what_runs(compose.theirs(std::string(plain)));
  CHECK(json::diff(nothing_said, what_runs(compose.ours(std::string(plain)))).dump(1) == "[]");
  for (const auto& key : keys) {
    INFO(key.name << ": " << key.keys);
    const auto theirs = what_runs(compose.theirs(std::string(key.name)));
    CHECK(theirs != nothing_said);  // the key is one that shows
    CHECK(json::diff(theirs, what_runs(compose.ours(std::string(key.name)))).dump(1) == "[]");
  }
}

TEST_CASE("real Compose: what eject writes of our settings becomes the same container") {
  ComposeWorld compose(file_of_all_keys());
  compose.write(".env", "SET=set by .env\n");
  compose.write("app.env", "OWN=lost\nFILED='a $b'\nQUOTED=\"x y\"\n");
  compose.create();
  json written;
  std::vector<std::string> volumes;
  for (const auto& key : keys) {
    const auto settings = compose.settings(std::string(key.name)).container;
    written[key.name] = adopt::to_compose_service(settings);
    const auto named = adopt::named_volumes(settings);
    volumes.insert(volumes.end(), named.begin(), named.end());
  }
  ComposeWorld ejected(written, volumes);
  ejected.write(".env", "SET=set by .env\nFILED='a $b'\nQUOTED=\"x y\"\n");
  ejected.create();
  for (const auto& key : keys) {
    INFO(key.name << ": " << written.at(key.name).dump());
    const auto ours = what_runs(compose.ours(std::string(key.name)));
    CHECK(json::diff(ours, what_runs(ejected.theirs(std::string(key.name)))).dump(1) == "[]");
  }
}

}  // namespace deploy::tests
