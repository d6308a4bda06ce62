#include "agent/engine/docker_json.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "agent/base/text.hpp"

namespace deploy::engine {

namespace {

constexpr double nano = 1e9;

const Json& member(const Json& value, const char* name) {
  static const Json none;
  const auto found = value.is_object() ? value.find(name) : value.end();
  return found == value.end() || !value.is_object() ? none : *found;
}

template <class T>
T get_or(const Json& value, const char* name, T fallback) {
  const auto& found = member(value, name);
  return found.is_null() ? fallback : found.get<T>();
}

std::string text(const Json& value, const char* name) { return get_or<std::string>(value, name, ""); }

ports::Labels labels_of(const Json& value) {
  const auto& labels = member(value, "Labels");
  return labels.is_null() ? ports::Labels{} : labels.get<ports::Labels>();
}

std::string without_slash(std::string name) {
  if (name.starts_with('/')) name.erase(0, 1);
  return name;
}

/// "Up 3 minutes (health: starting)" and the like: the list has the health nowhere else.
std::string health_of_status(const std::string& status) {
  if (status.find("(healthy)") != std::string::npos) return "healthy";
  if (status.find("(unhealthy)") != std::string::npos) return "unhealthy";
  if (status.find("(health: starting)") != std::string::npos) return "starting";
  return "none";
}

ports::NetworkEndpoint endpoint_from(const std::string& network, const Json& value) {
  ports::NetworkEndpoint endpoint;
  endpoint.network = network;
  // A container that does not run has no address, but keeps the one it was given.
  endpoint.address = text(value, "IPAddress");
  if (endpoint.address.empty()) endpoint.address = text(member(value, "IPAMConfig"), "IPv4Address");
  endpoint.aliases = get_or<std::vector<std::string>>(value, "Aliases", {});
  return endpoint;
}

/// Names that stand for none.
std::vector<std::string> image_names(const Json& value, const char* name) {
  auto names = get_or<std::vector<std::string>>(value, name, {});
  std::erase_if(names, [](const std::string& entry) { return entry.starts_with("<none>"); });
  return names;
}

Json log_config(const domain::ContainerSettings& settings) {
  Json config{{"Type", settings.log_driver}, {"Config", Json::object()}};
  for (const auto& [key, value] : settings.log_options) config["Config"][key] = value;
  return config;
}

std::string port_key(const domain::PublishedPort& port) { return std::to_string(port.container) + "/" + port.protocol; }

/// "on-failure:3" is a name and a count.
Json restart_policy(const std::string& restart) {
  const auto colon = restart.find(':');
  Json policy{{"Name", restart == "no" ? "" : restart.substr(0, colon)}};
  if (colon != std::string::npos) policy["MaximumRetryCount"] = std::stoi(restart.substr(colon + 1));
  return policy;
}

void set_list(Json& out, const char* name, const std::vector<std::string>& values) {
  if (!values.empty()) out[name] = values;
}

void set_text(Json& out, const char* name, const std::string& value) {
  if (!value.empty()) out[name] = value;
}

std::int64_t nanoseconds(std::chrono::milliseconds duration) { return std::chrono::nanoseconds(duration).count(); }

/// What is zero or empty is taken from the image's HEALTHCHECK.
Json health_config(const domain::ContainerHealthcheck& check) {
  return {{"Test", check.test},
          {"Interval", nanoseconds(check.interval)},
          {"Timeout", nanoseconds(check.timeout)},
          {"StartPeriod", nanoseconds(check.start_period)},
          {"Retries", check.retries}};
}

Json device_request(const domain::DeviceRequest& request) {
  // The outer list of capabilities is "or", the inner one "and".
  return {{"Driver", request.driver},
          {"Count", request.count},
          {"DeviceIDs", request.ids},
          {"Capabilities", Json::array({request.capabilities})},
          {"Options", request.options}};
}

void set_limits(Json& host, const domain::ContainerSettings& settings) {
  if (settings.memory_bytes > 0) host["Memory"] = settings.memory_bytes;
  if (settings.memory_reservation_bytes > 0) host["MemoryReservation"] = settings.memory_reservation_bytes;
  if (settings.cpus > 0) host["NanoCpus"] = std::llround(settings.cpus * nano);
  if (settings.pids_limit != 0) host["PidsLimit"] = settings.pids_limit;
  if (settings.shm_bytes > 0) host["ShmSize"] = settings.shm_bytes;
  for (const auto& [name, limit] : settings.ulimits) {
    host["Ulimits"].push_back({{"Name", name}, {"Soft", limit.soft}, {"Hard", limit.hard}});
  }
}

/// What the container may do, and what it shares with the host.
void set_isolation(Json& host, const domain::ContainerSettings& settings) {
  set_list(host, "GroupAdd", settings.group_add);
  set_list(host, "CapAdd", settings.cap_add);
  set_list(host, "CapDrop", settings.cap_drop);
  set_list(host, "SecurityOpt", settings.security_opt);
  if (settings.privileged) host["Privileged"] = true;
  if (settings.read_only) host["ReadonlyRootfs"] = true;
  if (!settings.sysctls.empty()) host["Sysctls"] = settings.sysctls;
  set_text(host, "PidMode", settings.pid);
  set_text(host, "IpcMode", settings.ipc);
  set_text(host, "Runtime", settings.runtime);
  for (const auto& request : settings.device_requests) host["DeviceRequests"].push_back(device_request(request));
}

std::string restart_from(const Json& policy) {
  const auto name = text(policy, "Name");
  const auto count = get_or(policy, "MaximumRetryCount", 0);
  if (name.empty()) return "no";
  return count == 0 ? name : name + ":" + std::to_string(count);
}

Json host_config(const ports::ContainerSpec& spec) {
  const auto& settings = spec.settings;
  Json host{{"RestartPolicy", restart_policy(settings.restart)}};
  if (!spec.network.network.empty()) host["NetworkMode"] = spec.network.network;
  set_list(host, "Binds", settings.volumes);
  set_list(host, "ExtraHosts", settings.extra_hosts);
  for (const auto& entry : settings.tmpfs) {
    const auto colon = entry.find(':');
    host["Tmpfs"][entry.substr(0, colon)] = colon == std::string::npos ? "" : entry.substr(colon + 1);
  }
  for (const auto& port : settings.ports) {
    host["PortBindings"][port_key(port)].push_back({{"HostIp", port.address}, {"HostPort", std::to_string(port.host)}});
  }
  for (const auto& device : settings.devices) {
    host["Devices"].push_back({{"PathOnHost", device.host},
                               {"PathInContainer", device.container},
                               {"CgroupPermissions", device.permissions}});
  }
  if (!settings.log_driver.empty() || !settings.log_options.empty()) host["LogConfig"] = log_config(settings);
  set_limits(host, settings);
  set_isolation(host, settings);
  set_list(host, "Dns", settings.dns);
  set_list(host, "DnsSearch", settings.dns_search);
  set_list(host, "DnsOptions", settings.dns_options);
  if (settings.init) host["Init"] = true;
  return host;
}

}  // namespace

ports::Container container_from_list(const Json& value) {
  ports::Container container;
  container.id = value.at("Id").get<std::string>();
  const auto names = get_or<std::vector<std::string>>(value, "Names", {});
  if (!names.empty()) container.name = without_slash(names.front());
  container.image_id = text(value, "ImageID");
  container.labels = labels_of(value);
  container.state = text(value, "State");
  container.health = health_of_status(text(value, "Status"));
  container.network_mode = text(member(value, "HostConfig"), "NetworkMode");
  return container;
}

ports::Container container_from_inspect(const Json& value) {
  ports::Container container;
  const auto& state = value.at("State");
  const auto& config = value.at("Config");
  container.id = value.at("Id").get<std::string>();
  container.name = without_slash(text(value, "Name"));
  container.image_id = text(value, "Image");
  container.labels = labels_of(config);
  container.state = text(state, "Status");
  const auto& health = member(state, "Health");
  container.health = get_or<std::string>(health, "Status", "none");
  const auto& probes = member(health, "Log");
  if (!probes.empty()) container.health_output = std::string(trim(text(probes.back(), "Output")));
  container.exit_code = get_or(state, "ExitCode", 0);
  container.restart_count = get_or(value, "RestartCount", 0);
  container.pid = get_or<std::int64_t>(state, "Pid", 0);
  container.tty = get_or(config, "Tty", false);
  const auto& host = member(value, "HostConfig");
  container.restart = restart_from(member(host, "RestartPolicy"));
  container.memory_bytes = get_or<std::int64_t>(host, "Memory", 0);
  container.cpus = static_cast<double>(get_or<std::int64_t>(host, "NanoCpus", 0)) / nano;
  container.network_mode = text(host, "NetworkMode");
  const auto& networks = member(member(value, "NetworkSettings"), "Networks");
  for (const auto& [name, endpoint] : networks.items()) container.networks.push_back(endpoint_from(name, endpoint));
  return container;
}

ports::Network network_from(const Json& value) {
  ports::Network network;
  network.id = value.at("Id").get<std::string>();
  network.name = value.at("Name").get<std::string>();
  network.labels = labels_of(value);
  for (const auto& config : member(member(value, "IPAM"), "Config")) {
    if (auto subnet = text(config, "Subnet"); !subnet.empty()) network.subnets.push_back(std::move(subnet));
  }
  const auto& containers = member(value, "Containers");
  for (const auto& [id, endpoint] : containers.items()) {
    const std::string address = text(endpoint, "IPv4Address");
    network.endpoints.push_back({id, address.substr(0, address.find('/')), {}});
  }
  return network;
}

ports::Image image_from_list(const Json& value) {
  ports::Image image;
  image.id = value.at("Id").get<std::string>();
  image.tags = image_names(value, "RepoTags");
  image.digests = image_names(value, "RepoDigests");
  image.labels = labels_of(value);
  return image;
}

ports::Image image_from_inspect(const Json& value) {
  ports::Image image = image_from_list(value);
  const auto& config = member(value, "Config");
  image.labels = labels_of(config);
  const auto test = get_or<std::vector<std::string>>(member(config, "Healthcheck"), "Test", {});
  image.has_healthcheck = !test.empty() && test.front() != "NONE";
  return image;
}

std::vector<ports::ProcessEntry> processes_from(const Json& value) {
  std::vector<ports::ProcessEntry> entries;
  for (const auto& row : member(value, "Processes")) {
    entries.push_back({std::stoll(row.at(0).get<std::string>()), std::stoll(row.at(1).get<std::string>()),
                       row.at(2).get<std::string>()});
  }
  return entries;
}

Json create_body(const ports::ContainerSpec& spec) {
  const auto& settings = spec.settings;
  Json body{{"Image", spec.image}, {"HostConfig", host_config(spec)}, {"Labels", Json::object()}};
  for (const auto& [name, value] : settings.labels) body["Labels"][name] = value;
  // Ours come last: what we know a container by is not the users' to set.
  for (const auto& [name, value] : spec.labels) body["Labels"][name] = value;
  for (const auto& [name, value] : settings.environment) body["Env"].push_back(name + "=" + value);
  set_list(body, "Cmd", settings.command);
  set_list(body, "Entrypoint", settings.entrypoint);
  set_text(body, "User", settings.user);
  set_text(body, "WorkingDir", settings.working_dir);
  set_text(body, "Hostname", settings.hostname);
  if (settings.healthcheck != domain::ContainerHealthcheck{}) body["Healthcheck"] = health_config(settings.healthcheck);
  for (const auto& port : settings.ports) body["ExposedPorts"][port_key(port)] = Json::object();
  set_text(body, "StopSignal", settings.stop_signal);
  if (settings.stop_grace_period != domain::ContainerSettings{}.stop_grace_period) {
    body["StopTimeout"] = settings.stop_grace_period.count();
  }
  if (!spec.network.network.empty()) {
    body["NetworkingConfig"]["EndpointsConfig"][spec.network.network] = endpoint_body(spec.network);
  }
  return body;
}

Json exec_body(const ports::ExecRequest& request) {
  Json body{{"AttachStdout", true}, {"AttachStderr", true}, {"Tty", false}, {"Cmd", request.argv}};
  for (const auto& [name, value] : request.environment) body["Env"].push_back(name + "=" + value);
  return body;
}

Json network_body(const ports::NetworkSpec& spec) {
  // CheckDuplicate: names are unique only where it is asked for, before API 1.44.
  Json body{{"Name", spec.name}, {"CheckDuplicate", true}, {"Driver", "bridge"}, {"Labels", spec.labels}};
  if (spec.internal) body["Internal"] = true;
  Json config = Json::object();
  if (!spec.subnet.empty()) config["Subnet"] = spec.subnet;
  if (!spec.ip_range.empty()) config["IPRange"] = spec.ip_range;
  if (!config.empty()) body["IPAM"] = Json{{"Driver", "default"}, {"Config", Json::array({config})}};
  return body;
}

Json endpoint_body(const ports::NetworkEndpoint& endpoint) {
  Json body = Json::object();
  if (!endpoint.address.empty()) body["IPAMConfig"]["IPv4Address"] = endpoint.address;
  if (!endpoint.aliases.empty()) body["Aliases"] = endpoint.aliases;
  for (const auto& [name, container] : endpoint.links) body["Links"].push_back(container + ":" + name);
  return body;
}

Json label_filter(const ports::Labels& labels) {
  Json filter = Json::object();
  for (const auto& [name, value] : labels) filter["label"].push_back(name + "=" + value);
  return filter;
}

std::string message_from(std::string_view body) {
  const auto parsed = Json::parse(body, nullptr, false);
  const auto& message = member(parsed, "message");
  return std::string(trim(message.is_string() ? message.get<std::string>() : std::string(body)));
}

}  // namespace deploy::engine
