#include "agent/adopt/compose_parts.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <utility>

#include "agent/base/error.hpp"
#include "agent/base/text.hpp"
#include "agent/config/scalars.hpp"

namespace deploy::adopt {

namespace {

using std::chrono::milliseconds;

const ComposeJson no_value;

milliseconds compose_duration(const ComposeValue& value) {
  const auto duration = config::parse_duration(value.text());
  if (!duration) value.refuse("a duration such as 1m30s");
  return *duration;
}

double compose_cpus(const ComposeValue& value) {
  const auto text = value.text();
  double cpus = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), cpus);
  if (problem != std::errc() || end != text.data() + text.size()) value.refuse("a number");
  return cpus;
}

std::optional<std::uint16_t> port_number(const std::string& text) {
  std::uint16_t port = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (problem != std::errc() || end != text.data() + text.size() || port == 0) return std::nullopt;
  return port;
}

}  // namespace

ComposeValue ComposeValue::at(const std::string& key) const {
  const auto found = json.is_object() ? json.find(key) : json.end();
  const bool there = json.is_object() && found != json.end();
  return {there ? *found : no_value, path.empty() ? key : path + "." + key};
}

void ComposeValue::refuse(const std::string& wanted) const {
  throw Error(ErrorKind::invalid,
              fmt::format("what Compose printed cannot be read: {} must be {}; deployctl reads what "
                          "`docker compose config --format json` of Compose v2 prints",
                          path, wanted));
}

std::string ComposeValue::text() const {
  if (json.is_string()) return json.get<std::string>();
  if (json.is_number() || json.is_boolean()) return json.dump();
  if (json.is_null()) return "";
  refuse("a text");
}

std::vector<ComposeValue> ComposeValue::items() const {
  std::vector<ComposeValue> all;
  if (json.is_null()) return all;
  if (!json.is_array()) refuse("a list");
  for (std::size_t i = 0; i < json.size(); ++i) all.push_back({json[i], fmt::format("{}[{}]", path, i)});
  return all;
}

std::vector<std::string> ComposeValue::texts() const {
  std::vector<std::string> all;
  for (const auto& item : items()) all.push_back(item.text());
  return all;
}

std::vector<std::string> ComposeValue::keys() const {
  std::vector<std::string> all;
  if (json.is_null()) return all;
  if (!json.is_object()) refuse("a map");
  for (const auto& entry : json.items()) all.push_back(entry.key());
  return all;
}

std::map<std::string, std::string> ComposeValue::map() const {
  std::map<std::string, std::string> all;
  for (const auto& key : keys()) all[key] = at(key).text();
  return all;
}

std::int64_t ComposeValue::number() const {
  const auto digits = text();
  std::int64_t value = 0;
  const auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (problem != std::errc() || end != digits.data() + digits.size()) refuse("a whole number");
  return value;
}

std::string without_dollars(std::string text) { return replaced(std::move(text), "$$", "$"); }

std::int64_t compose_bytes(const ComposeValue& value) {
  const auto bytes = config::parse_size(value.text());
  if (!bytes) value.refuse("a size");
  return *bytes;
}

void ComposeParts::unsupported(const ComposeValue& value, std::string hint) {
  out_.unsupported.push_back({value.path, std::move(hint)});
}

void ComposeParts::only(const ComposeValue& map, const std::vector<std::string_view>& known, const std::string& hint) {
  for (const auto& key : map.keys()) {
    const auto value = map.at(key);
    const bool empty = value.is_null() || (value.json.is_structured() && value.json.empty());
    if (!empty && std::ranges::find(known, key) == known.end()) unsupported(value, hint);
  }
}

std::string ComposeParts::volume_name(const std::string& key) {
  const auto volume = model_.at("volumes").at(key);
  const auto driver = volume.at("driver").text();
  if (!volume.at("driver_opts").is_null() || !(driver.empty() || driver == "local")) {
    const ComposeProblem problem{volume.path,
                                 "it is used as it is; let Compose make it before, if it is not there yet"};
    if (std::ranges::find(out_.unsupported, problem) == out_.unsupported.end()) out_.unsupported.push_back(problem);
  }
  const auto name = volume.at("name").text();
  return name.empty() ? key : name;
}

void ComposeParts::bind(const ComposeValue& mount, std::string source, std::vector<std::string> modes) {
  const auto target = mount.at("target").text();
  if (target.find(':') != std::string::npos || source.find(':') != std::string::npos) {
    return unsupported(mount, "a path with a colon; mount it from another one");
  }
  const bool read_only = mount.at("read_only").json == true;
  if (read_only) modes.insert(modes.begin(), "ro");
  source += ":" + target;
  if (!modes.empty()) source += fmt::format(":{}", fmt::join(modes, ","));
  out_.container.volumes.push_back(std::move(source));
}

void ComposeParts::mount(const ComposeValue& mount) {
  only(mount, {"type", "source", "target", "read_only", "bind", "volume", "tmpfs"});
  const auto type = mount.at("type").text();
  std::vector<std::string> modes;
  if (type == "bind") {
    const auto options = mount.at("bind");
    only(options, {"propagation", "selinux", "create_host_path"});
    if (options.at("create_host_path").json == false) {
      unsupported(options.at("create_host_path"), "the engine makes the folder where it is missing");
    }
    for (const auto* key : {"propagation", "selinux"}) {
      if (!options.at(key).is_null()) modes.push_back(options.at(key).text());
    }
    return bind(mount, mount.at("source").text(), modes);
  }
  if (type == "volume") {
    const auto source = mount.at("source").text();
    if (source.empty()) return unsupported(mount, "a volume without a name goes with its container; give it a name");
    only(mount.at("volume"), {"nocopy"});
    if (mount.at("volume").at("nocopy").json == true) modes.emplace_back("nocopy");
    return bind(mount, volume_name(source), modes);
  }
  if (type != "tmpfs") return unsupported(mount);
  const auto options = mount.at("tmpfs");
  only(options, {"size", "mode"});
  if (!options.at("size").is_null()) modes.push_back(fmt::format("size={}", compose_bytes(options.at("size"))));
  if (!options.at("mode").is_null()) modes.push_back(fmt::format("mode={:o}", options.at("mode").number()));
  const auto target = mount.at("target").text();
  out_.container.tmpfs.push_back(modes.empty() ? target : fmt::format("{}:{}", target, fmt::join(modes, ",")));
}

void ComposeParts::mounts() {
  for (const auto& item :
       service_.at("tmpfs").json.is_string() ? std::vector{service_.at("tmpfs")} : service_.at("tmpfs").items()) {
    out_.container.tmpfs.push_back(item.text());
  }
  for (const auto& item : service_.at("volumes").items()) mount(item);
}

/// Compose mounts them read-only, and so do we; their owner and mode it ignores, too.
void ComposeParts::files(const std::string& kind, const std::string& folder) {
  for (const auto& item : service_.at(kind).items()) {
    const auto key = item.json.is_string() ? item.text() : item.at("source").text();
    const auto file = model_.at(kind).at(key).at("file").text();
    if (file.empty()) {
      unsupported(item, "only those with a `file` are; write it to one");
      continue;
    }
    auto target = item.json.is_string() ? key : item.at("target").text();
    if (target.empty()) target = key;
    if (!target.starts_with('/')) target = folder + target;
    out_.container.volumes.push_back(file + ":" + target + ":ro");
  }
}

void ComposeParts::ports() {
  for (const auto& item : service_.at("ports").items()) {
    only(item, {"mode", "host_ip", "target", "published", "protocol", "name", "app_protocol"});
    domain::PublishedPort port;
    const auto host = port_number(item.at("published").text());
    const auto container = port_number(item.at("target").text());
    const auto protocol = item.at("protocol").text();
    if (!host || !container || (protocol != "tcp" && protocol != "udp")) {
      unsupported(item, "one port of the host for one of the container, tcp or udp");
      continue;
    }
    out_.container.ports.push_back({item.at("host_ip").text(), *host, *container, protocol});
  }
}

void ComposeParts::devices() {
  for (const auto& item : service_.at("devices").items()) {
    domain::Device device;
    if (item.json.is_string()) {
      const auto text = item.text();
      const auto first = text.find(':');
      const auto second = first == std::string::npos ? first : text.find(':', first + 1);
      device.host = text.substr(0, first);
      device.container = first == std::string::npos ? device.host : text.substr(first + 1, second - first - 1);
      if (second != std::string::npos) device.permissions = text.substr(second + 1);
    } else {
      device.host = item.at("source").text();
      device.container = item.at("target").is_null() ? device.host : item.at("target").text();
      if (!item.at("permissions").is_null()) device.permissions = item.at("permissions").text();
    }
    if (device.host.starts_with('/')) {
      out_.container.devices.push_back(std::move(device));
    } else {
      unsupported(item, "only paths are");
    }
  }
}

void ComposeParts::device_requests(const ComposeValue& list) {
  for (const auto& item : list.items()) {
    only(item, {"driver", "count", "device_ids", "capabilities", "options"});
    domain::DeviceRequest request;
    request.driver = item.at("driver").text();
    request.ids = item.at("device_ids").texts();
    request.capabilities = item.at("capabilities").texts();
    if (request.capabilities.empty()) request.capabilities = {"gpu"};
    request.options = item.at("options").map();
    const auto count = item.at("count");
    if (!count.is_null()) {
      request.count = count.text() == "all" ? -1 : static_cast<int>(count.number());
    } else if (request.ids.empty()) {
      request.count = -1;
    }
    out_.container.device_requests.push_back(std::move(request));
  }
}

void ComposeParts::limits() {
  auto& container = out_.container;
  const auto deploy = service_.at("deploy");
  only(deploy, {"resources", "restart_policy", "replicas", "mode", "endpoint_mode"},
       "deployctl's own settings take its place");
  const auto resources = deploy.at("resources");
  only(resources, {"limits", "reservations"});
  const auto most = resources.at("limits");
  const auto least = resources.at("reservations");
  only(most, {"cpus", "memory", "pids"});
  only(least, {"memory", "devices"});
  const auto set_bytes = [](const ComposeValue& value, std::int64_t& out) {
    if (!value.is_null()) out = compose_bytes(value);
  };
  set_bytes(most.at("memory"), container.memory_bytes);
  set_bytes(service_.at("mem_limit"), container.memory_bytes);
  set_bytes(least.at("memory"), container.memory_reservation_bytes);
  set_bytes(service_.at("mem_reservation"), container.memory_reservation_bytes);
  set_bytes(service_.at("shm_size"), container.shm_bytes);
  for (const auto& cpus : {most.at("cpus"), service_.at("cpus")}) {
    if (!cpus.is_null()) container.cpus = compose_cpus(cpus);
  }
  for (const auto& pids : {most.at("pids"), service_.at("pids_limit")}) {
    if (!pids.is_null()) container.pids_limit = pids.number();
  }
  device_requests(least.at("devices"));
  const auto gpus = service_.at("gpus");
  if (gpus.json.is_string()) {
    container.device_requests.push_back({"", -1, {}, {"gpu"}, {}});
  } else {
    device_requests(gpus);
  }
  const auto ulimits = service_.at("ulimits");
  for (const auto& name : ulimits.keys()) {
    const auto limit = ulimits.at(name);
    const bool both = limit.json.is_object();
    container.ulimits[name] = {(both ? limit.at("soft") : limit).number(), (both ? limit.at("hard") : limit).number()};
  }
}

void ComposeParts::networks() {
  if (!service_.at("network_mode").is_null()) {
    unsupported(service_.at("network_mode"), "deployctl connects containers to networks of their own");
  }
  const auto networks = service_.at("networks");
  for (const auto& key : networks.keys()) {
    const auto name = model_.at("networks").at(key).at("name").text();
    out_.container.networks.push_back(name.empty() ? key : name);
    only(networks.at(key), {}, "two containers of a service run side by side; others call it by its service's name");
  }
}

void ComposeParts::healthcheck() {
  const auto check = service_.at("healthcheck");
  if (check.is_null()) return;
  only(check, {"test", "interval", "timeout", "start_period", "retries", "disable"});
  auto& out = out_.container.healthcheck;
  const auto test = check.at("test");
  out.test = test.json.is_string() ? std::vector<std::string>{"CMD-SHELL", test.text()} : test.texts();
  if (check.at("disable").json == true) out.test = {"NONE"};
  for (auto [key, duration] : {std::pair{"interval", &out.interval}, std::pair{"timeout", &out.timeout},
                               std::pair{"start_period", &out.start_period}}) {
    if (!check.at(key).is_null()) *duration = compose_duration(check.at(key));
  }
  if (!check.at("retries").is_null()) out.retries = static_cast<int>(check.at("retries").number());
}

void ComposeParts::restart() {
  auto& out = out_.container.restart;
  out = service_.at("restart").text();
  if (out.empty()) out = "no";
  const auto policy = service_.at("deploy").at("restart_policy");
  if (policy.is_null()) return;
  only(policy, {"condition", "max_attempts"});
  const auto condition = policy.at("condition").text();
  out = condition == "none" ? "no" : condition == "any" || condition.empty() ? "always" : condition;
  const auto attempts = policy.at("max_attempts");
  if (out == "on-failure" && !attempts.is_null()) out += ":" + std::to_string(attempts.number());
}

void ComposeParts::logging() {
  const auto logging = service_.at("logging");
  only(logging, {"driver", "options"});
  out_.container.log_driver = without_dollars(logging.at("driver").text());
  out_.container.log_options = logging.at("options").map();
}

}  // namespace deploy::adopt
