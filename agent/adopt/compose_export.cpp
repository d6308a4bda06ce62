#include "agent/adopt/compose_export.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "agent/base/text.hpp"

namespace deploy::adopt {

namespace {

using nlohmann::json;
using std::chrono::milliseconds;

/// A text that is no template here is one in a Compose file.
std::string escaped(const std::string& text) { return replaced(text, "$", "$$"); }

void set(json& out, const char* key, const std::string& text) {
  if (!text.empty()) out[key] = text;
}

template <class Values>
void set_filled(json& out, const char* key, const Values& values) {
  if (!values.empty()) out[key] = values;
}

void set_escaped(json& out, const char* key, const std::vector<std::string>& texts) {
  for (const auto& text : texts) out[key].push_back(escaped(text));
}

void set_flag(json& out, const char* key, bool value) {
  if (value) out[key] = true;
}

void set_number(json& out, const char* key, std::int64_t value) {
  if (value != 0) out[key] = value;
}

json health(const domain::ContainerHealthcheck& check) {
  json out;
  set_filled(out, "test", check.test);
  for (const auto& [key, duration] : {std::pair("interval", check.interval), std::pair("timeout", check.timeout),
                                      std::pair("start_period", check.start_period)}) {
    if (duration > milliseconds::zero()) out[key] = fmt::format("{}ms", duration.count());
  }
  set_number(out, "retries", check.retries);
  return out;
}

json device(const domain::DeviceRequest& request) {
  json out{{"capabilities", request.capabilities}};
  set(out, "driver", escaped(request.driver));
  if (request.count != 0) out["count"] = request.count < 0 ? json("all") : json(request.count);
  set_escaped(out, "device_ids", request.ids);
  for (const auto& [key, value] : request.options) out["options"][key] = escaped(value);
  return out;
}

void set_limits(json& out, const domain::ContainerSettings& settings) {
  set_number(out, "mem_limit", settings.memory_bytes);
  set_number(out, "mem_reservation", settings.memory_reservation_bytes);
  if (settings.cpus > 0) out["cpus"] = settings.cpus;
  set_number(out, "pids_limit", settings.pids_limit);
  set_number(out, "shm_size", settings.shm_bytes);
  for (const auto& [name, limit] : settings.ulimits) {
    out["ulimits"][name] = {{"soft", limit.soft}, {"hard", limit.hard}};
  }
  for (const auto& request : settings.device_requests) {
    out["deploy"]["resources"]["reservations"]["devices"].push_back(device(request));
  }
}

void set_isolation(json& out, const domain::ContainerSettings& settings) {
  set_escaped(out, "group_add", settings.group_add);
  set_escaped(out, "cap_add", settings.cap_add);
  set_escaped(out, "cap_drop", settings.cap_drop);
  set_escaped(out, "security_opt", settings.security_opt);
  set_filled(out, "sysctls", settings.sysctls);
  set_escaped(out, "dns", settings.dns);
  set_escaped(out, "dns_search", settings.dns_search);
  set_escaped(out, "dns_opt", settings.dns_options);
  set_flag(out, "privileged", settings.privileged);
  set_flag(out, "read_only", settings.read_only);
  set(out, "hostname", settings.hostname);
  set(out, "pid", settings.pid);
  set(out, "ipc", settings.ipc);
  set(out, "runtime", escaped(settings.runtime));
}

void set_reachable(json& out, const domain::ContainerSettings& settings) {
  set_filled(out, "extra_hosts", settings.extra_hosts);
  for (const auto& port : settings.ports) {
    json shown{{"mode", "host"},
               {"target", port.container},
               {"published", std::to_string(port.host)},
               {"protocol", port.protocol}};
    set(shown, "host_ip", escaped(port.address));
    out["ports"].push_back(shown);
  }
}

}  // namespace

json to_compose_service(const domain::ContainerSettings& settings) {
  json out = json::object();
  set_filled(out, "environment", settings.environment);
  set_filled(out, "command", settings.command);
  set_filled(out, "entrypoint", settings.entrypoint);
  set(out, "user", settings.user);
  set(out, "working_dir", settings.working_dir);
  set_filled(out, "volumes", settings.volumes);
  set_filled(out, "tmpfs", settings.tmpfs);
  for (const auto& entry : settings.devices) {
    out["devices"].push_back(
        fmt::format("{}:{}:{}", escaped(entry.host), escaped(entry.container), escaped(entry.permissions)));
  }
  out["restart"] = settings.restart;
  if (!settings.log_driver.empty()) out["logging"]["driver"] = escaped(settings.log_driver);
  for (const auto& [key, value] : settings.log_options) out["logging"]["options"][key] = value;
  set_filled(out, "labels", settings.labels);
  set_flag(out, "init", settings.init);
  set(out, "stop_signal", escaped(settings.stop_signal));
  out["stop_grace_period"] = fmt::format("{}s", settings.stop_grace_period.count());
  if (settings.healthcheck != domain::ContainerHealthcheck{}) out["healthcheck"] = health(settings.healthcheck);
  set_reachable(out, settings);
  set_limits(out, settings);
  set_isolation(out, settings);
  return out;
}

std::vector<std::string> named_volumes(const domain::ContainerSettings& settings) {
  std::vector<std::string> names;
  for (const auto& volume : settings.volumes) {
    const auto source = volume.substr(0, volume.find(':'));
    const bool is_path = source.empty() || source.find_first_of("/$") != std::string::npos;
    if (!is_path && std::ranges::find(names, source) == names.end()) names.push_back(source);
  }
  return names;
}

}  // namespace deploy::adopt
