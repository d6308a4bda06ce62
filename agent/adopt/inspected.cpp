#include "agent/adopt/inspected.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "agent/adopt/lists.hpp"
#include "agent/base/error.hpp"
#include "agent/domain/labels.hpp"

namespace deploy::adopt {

namespace {

using Json = nlohmann::json;
using Texts = std::vector<std::string>;

constexpr double nano = 1e9;
constexpr std::int64_t shm_default = 64 << 20;
constexpr std::size_t anonymous_name_length = 64;

const Json& member(const Json& value, const char* name) {
  static const Json none;
  if (!value.is_object()) return none;
  const auto found = value.find(name);
  return found == value.end() ? none : *found;
}

template <class T>
T get_or(const Json& value, const char* name, T fallback) {
  const auto& found = member(value, name);
  return found.is_null() ? fallback : found.get<T>();
}

std::string text(const Json& value, const char* name) { return get_or<std::string>(value, name, ""); }
Texts texts(const Json& value, const char* name) { return get_or<Texts>(value, name, {}); }

Texts as_templates(Texts values) {
  for (auto& value : values) value = as_template(std::move(value));
  return values;
}

std::map<std::string, std::string> environment_of(const Json& config) {
  std::map<std::string, std::string> environment;
  for (const auto& entry : texts(config, "Env")) {
    const auto mark = entry.find('=');
    if (mark != std::string::npos) environment[entry.substr(0, mark)] = entry.substr(mark + 1);
  }
  return environment;
}

std::chrono::milliseconds milliseconds_of(const Json& value, const char* name) {
  const std::chrono::nanoseconds time(get_or<std::int64_t>(value, name, 0));
  return std::chrono::duration_cast<std::chrono::milliseconds>(time);
}

/// "3000/tcp" -> 3000 and "tcp".
std::pair<std::uint16_t, std::string> port_of(const std::string& key) {
  std::uint16_t number = 0;
  std::from_chars(key.data(), key.data() + key.size(), number);
  const auto slash = key.find('/');
  return {number, slash == std::string::npos ? "tcp" : key.substr(slash + 1)};
}

class Reader {
 public:
  Reader(const Json& container, const Json& image)
      : container_(container),
        config_(member(container, "Config")),
        host_(member(container, "HostConfig")),
        image_(image),
        image_config_(member(image, "Config")) {}

  InspectedContainer read() {
    identity();
    compose_labels();
    environment();
    process();
    mounts();
    published_ports();
    devices();
    limits();
    isolation();
    networks();
    health();
    return std::move(out_);
  }

 private:
  /// Of the container's own configuration, where it is not the image's.
  template <class T>
  T own(const char* name, T none) const {
    auto value = get_or<T>(config_, name, none);
    return value == get_or<T>(image_config_, name, none) ? none : value;
  }

  void identity() {
    out_.id = container_.at("Id").get<std::string>();
    out_.name = text(container_, "Name");
    if (out_.name.starts_with('/')) out_.name.erase(0, 1);
    out_.image = text(config_, "Image");
    out_.image_id = text(container_, "Image");
    out_.image_digests = texts(image_, "RepoDigests");
    out_.image_tags = texts(image_, "RepoTags");
    out_.image_labels = get_or<std::map<std::string, std::string>>(image_config_, "Labels", {});
    const auto& state = member(container_, "State");
    out_.running = text(state, "Status") == "running";
    out_.pid = get_or<std::int64_t>(state, "Pid", 0);
  }

  void compose_labels() {
    const auto labels = get_or<std::map<std::string, std::string>>(config_, "Labels", {});
    for (const auto& [name, value] : labels) {
      if (name == domain::labels::instance) out_.ours = true;
      if (name == domain::labels::service) out_.ours_for = value;
      if (name == "com.docker.compose.project") out_.project = value;
      if (name == "com.docker.compose.service") out_.service = value;
      if (name == "com.docker.compose.project.working_dir") out_.project_folder = value;
      if (name == "com.docker.compose.project.config_files") {
        for (std::size_t at = 0; at < value.size();) {
          const auto end = std::min(value.find(',', at), value.size());
          out_.project_files.push_back(value.substr(at, end - at));
          at = end + 1;
        }
      }
      const auto image_has = out_.image_labels.find(name);
      const bool is_own = image_has == out_.image_labels.end() || image_has->second != value;
      const bool of_tools = name.starts_with("com.docker.") || name.starts_with("desktop.docker.");
      if (is_own && !of_tools && !name.starts_with("deployctl.")) out_.settings.labels[name] = as_template(value);
    }
  }

  void environment() {
    out_.environment = environment_of(config_);
    const auto of_image = environment_of(image_config_);
    for (const auto& [name, value] : out_.environment) {
      const auto same = of_image.find(name);
      if (same == of_image.end() || same->second != value) out_.set_environment[name] = value;
    }
  }

  void process() {
    auto& settings = out_.settings;
    settings.entrypoint = as_templates(own<Texts>("Entrypoint", {}));
    // Another entrypoint than the image's takes the image's command away, too.
    settings.command = as_templates(settings.entrypoint.empty() ? own<Texts>("Cmd", {}) : texts(config_, "Cmd"));
    settings.user = as_template(own<std::string>("User", ""));
    settings.working_dir = as_template(own<std::string>("WorkingDir", ""));
    settings.stop_signal = own<std::string>("StopSignal", "");
    settings.stop_grace_period = std::chrono::seconds(get_or(config_, "StopTimeout", 10));
    const auto hostname = text(config_, "Hostname");
    if (!out_.id.starts_with(hostname) && text(host_, "NetworkMode") != "host") settings.hostname = hostname;
    const auto& policy = member(host_, "RestartPolicy");
    const auto name = text(policy, "Name");
    const auto tries = get_or(policy, "MaximumRetryCount", 0);
    settings.restart = name.empty() ? "no" : name;
    if (tries != 0) settings.restart += ":" + std::to_string(tries);
    const auto& log = member(host_, "LogConfig");
    settings.log_options = get_or<std::map<std::string, std::string>>(log, "Config", {});
    for (auto& [key, value] : settings.log_options) value = as_template(value);
    if (text(log, "Type") != "json-file" || !settings.log_options.empty()) settings.log_driver = text(log, "Type");
    settings.init = get_or(host_, "Init", false);
    for (const auto& host : texts(host_, "ExtraHosts")) settings.extra_hosts.push_back(as_template(host));
    if (get_or(config_, "Tty", false)) left_out("it has a terminal (tty), and what deployctl makes has none");
    if (text(host_, "NetworkMode") == "host") left_out("it is on the host's network, and deployctl's are not");
  }

  void mounts() {
    for (const auto& mount : member(container_, "Mounts")) {
      const auto type = text(mount, "Type");
      const auto inside = text(mount, "Destination");
      const std::string mode = get_or(mount, "RW", true) ? "" : ":ro";
      if (type == "bind") {
        out_.binds.push_back({text(mount, "Source"), inside});
        out_.settings.volumes.push_back(as_template(text(mount, "Source") + ":" + inside + mode));
      } else if (type == "volume" && text(mount, "Name").size() != anonymous_name_length) {
        out_.settings.volumes.push_back(as_template(text(mount, "Name") + ":" + inside + mode));
      } else if (type == "volume") {
        left_out(
            fmt::format("{} is a volume without a name, and a new container gets an empty one; give it a name if "
                        "what is in it must stay",
                        inside));
      } else if (type != "tmpfs") {
        left_out(fmt::format("{} is mounted as {}, which is not supported", inside, type));
      }
    }
    for (const auto& [inside, options] : get_or<std::map<std::string, std::string>>(host_, "Tmpfs", {})) {
      out_.settings.tmpfs.push_back(as_template(options.empty() ? inside : inside + ":" + options));
    }
    std::ranges::sort(out_.settings.volumes);
  }

  void published_ports() {
    const auto bindings = get_or<std::map<std::string, Json>>(host_, "PortBindings", {});
    for (const auto& [key, list] : bindings) {
      if (!list.is_array()) continue;
      for (const auto& binding : list) {
        domain::PublishedPort port;
        std::tie(port.container, port.protocol) = port_of(key);
        port.address = text(binding, "HostIp");
        if (port.address == "0.0.0.0" || port.address == "::") port.address.clear();
        port.host = port_of(text(binding, "HostPort")).first;
        const bool known = std::ranges::find(out_.settings.ports, port) != out_.settings.ports.end();
        if (port.host != 0 && !known) out_.settings.ports.push_back(port);
      }
    }
    const auto exposed = get_or<std::map<std::string, Json>>(config_, "ExposedPorts", {});
    for (const auto& [key, nothing] : exposed) {
      const auto [number, protocol] = port_of(key);
      if (protocol == "tcp" && number != 0) out_.exposed_ports.push_back(number);
    }
    std::ranges::sort(out_.exposed_ports);
  }

  void devices() {
    for (const auto& device : member(host_, "Devices")) {
      out_.settings.devices.push_back(
          {text(device, "PathOnHost"), text(device, "PathInContainer"), text(device, "CgroupPermissions")});
    }
    for (const auto& request : member(host_, "DeviceRequests")) {
      domain::DeviceRequest gpu;
      gpu.driver = text(request, "Driver");
      gpu.count = get_or(request, "Count", 0);
      gpu.ids = texts(request, "DeviceIDs");
      for (const auto& all : member(request, "Capabilities")) gpu.capabilities = all.get<Texts>();
      gpu.options = get_or<std::map<std::string, std::string>>(request, "Options", {});
      out_.settings.device_requests.push_back(std::move(gpu));
    }
  }

  void limits() {
    auto& settings = out_.settings;
    settings.memory_bytes = get_or<std::int64_t>(host_, "Memory", 0);
    settings.memory_reservation_bytes = get_or<std::int64_t>(host_, "MemoryReservation", 0);
    settings.cpus = static_cast<double>(get_or<std::int64_t>(host_, "NanoCpus", 0)) / nano;
    const auto quota = get_or<std::int64_t>(host_, "CpuQuota", 0);
    const auto period = get_or<std::int64_t>(host_, "CpuPeriod", 0);
    if (settings.cpus == 0 && quota > 0) {
      settings.cpus = static_cast<double>(quota) / static_cast<double>(period > 0 ? period : 100000);
    }
    settings.pids_limit = std::max<std::int64_t>(0, get_or<std::int64_t>(host_, "PidsLimit", 0));
    const auto shm = get_or<std::int64_t>(host_, "ShmSize", shm_default);
    if (shm != shm_default) settings.shm_bytes = shm;
    for (const auto& limit : member(host_, "Ulimits")) {
      settings.ulimits[text(limit, "Name")] = {get_or<std::int64_t>(limit, "Soft", -1),
                                               get_or<std::int64_t>(limit, "Hard", -1)};
    }
  }

  void isolation() {
    auto& settings = out_.settings;
    settings.group_add = texts(host_, "GroupAdd");
    settings.cap_add = texts(host_, "CapAdd");
    settings.cap_drop = texts(host_, "CapDrop");
    for (auto* list : {&settings.cap_add, &settings.cap_drop}) {
      for (auto& name : *list) {
        if (name.starts_with("CAP_")) name.erase(0, 4);
      }
    }
    settings.security_opt = texts(host_, "SecurityOpt");
    settings.privileged = get_or(host_, "Privileged", false);
    // The engine adds this by itself to what is privileged.
    if (settings.privileged) std::erase(settings.security_opt, "label=disable");
    settings.read_only = get_or(host_, "ReadonlyRootfs", false);
    settings.sysctls = get_or<std::map<std::string, std::string>>(host_, "Sysctls", {});
    for (auto& [key, value] : settings.sysctls) value = as_template(value);
    settings.dns = texts(host_, "Dns");
    settings.dns_search = texts(host_, "DnsSearch");
    settings.dns_options = texts(host_, "DnsOptions");
    if (text(host_, "PidMode") == "host") settings.pid = "host";
    if (text(host_, "PidMode").starts_with("container:")) left_out("it shares another container's processes");
    const auto ipc = text(host_, "IpcMode");
    if (ipc == "host" || ipc == "shareable" || ipc == "none") settings.ipc = ipc;
    const auto runtime = text(host_, "Runtime");
    if (runtime != "runc") settings.runtime = runtime;
  }

  void networks() {
    const auto all = get_or<std::map<std::string, Json>>(member(container_, "NetworkSettings"), "Networks", {});
    for (const auto& [name, endpoint] : all) {
      auto& names = out_.networks[name];
      names.push_back(out_.name);
      for (const auto& alias : texts(endpoint, "Aliases")) {
        const bool is_id = !alias.empty() && out_.id.starts_with(alias);
        if (!is_id && std::ranges::find(names, alias) == names.end()) names.push_back(alias);
      }
      if (const auto address = text(endpoint, "IPAddress"); !address.empty()) out_.addresses[name] = address;
    }
  }

  void health() {
    const auto& check = member(config_, "Healthcheck");
    out_.health_test = texts(check, "Test");
    out_.has_healthcheck = !out_.health_test.empty() && out_.health_test.front() != "NONE";
    out_.healthy = text(member(member(container_, "State"), "Health"), "Status") == "healthy";
    if (check.is_null() || check == member(image_config_, "Healthcheck")) return;
    auto& own = out_.settings.healthcheck;
    own.test = as_templates(out_.health_test);
    own.interval = milliseconds_of(check, "Interval");
    own.timeout = milliseconds_of(check, "Timeout");
    own.start_period = milliseconds_of(check, "StartPeriod");
    own.retries = get_or(check, "Retries", 0);
  }

  void left_out(std::string what) { out_.left_out.push_back(std::move(what)); }

  const Json& container_;
  const Json& config_;
  const Json& host_;
  const Json& image_;
  const Json& image_config_;
  InspectedContainer out_;
};

}  // namespace

InspectedContainer read_inspected(const Json& container, const Json& image) {
  try {
    return Reader(container, image).read();
  } catch (const Json::exception& error) {
    throw Error(ErrorKind::invalid,
                fmt::format("what the engine says of a container cannot be read: {}", error.what()));
  }
}

}  // namespace deploy::adopt
