#include "agent/adopt/settings_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <nlohmann/json.hpp>
#include <utility>

#include "agent/config/scalars.hpp"

namespace deploy::adopt {

namespace {

constexpr std::array<std::string_view, 9> words_of_yaml{"null", "true", "false", "yes", "no", "on", "off", "y", "n"};
constexpr std::size_t line_max = 110;

bool is_plain(const std::string& text) {
  const bool begins_well = !text.empty() && (std::isalpha(static_cast<unsigned char>(text.front())) != 0 ||
                                             (text.front() == '/' && text.size() > 1));
  if (!begins_well) return false;
  std::string lower = text;
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (std::ranges::find(words_of_yaml, lower) != words_of_yaml.end()) return false;
  return std::ranges::all_of(
      text, [](unsigned char c) { return std::isalnum(c) != 0 || c == '_' || c == '.' || c == '/' || c == '-'; });
}

/// "${NAME}", which needs no quotes at the end of a line.
bool is_variable(const std::string& text) {
  return text.size() > 3 && text.starts_with("${") && text.find('}') == text.size() - 1 &&
         std::all_of(text.begin() + 2, text.end() - 1,
                     [](unsigned char c) { return std::isalnum(c) != 0 || c == '_'; });
}

std::string number_text(double number) {
  auto text = fmt::format("{:.3f}", number);
  text.erase(text.find_last_not_of('0') + 1);
  return text.ends_with('.') ? text + "0" : text;
}

std::string port_text(const domain::PublishedPort& port) {
  const auto address = port.address.find(':') == std::string::npos ? port.address : "[" + port.address + "]";
  return fmt::format("{}{}{}:{}{}", address, address.empty() ? "" : ":", port.host, port.container,
                     port.protocol == "tcp" ? "" : "/" + port.protocol);
}

std::string device_text(const domain::Device& device) {
  const bool usual = device.permissions.empty() || device.permissions == "rwm";
  return device.host + ":" + device.container + (usual ? "" : ":" + device.permissions);
}

std::string duration_text(std::chrono::milliseconds duration) { return config::format_duration(duration); }

class Writer {
 public:
  explicit Writer(std::string_view indent) : indent_(indent) {}

  void line(const std::string& key, const std::string& value) {
    out_ += fmt::format("{}{}: {}\n", indent_, key, value);
  }
  void text(const std::string& key, const std::string& value) {
    if (!value.empty()) line(key, yaml_text(value));
  }
  void flag(const std::string& key, bool value) {
    if (value) line(key, "true");
  }
  void number(const std::string& key, std::int64_t value) {
    if (value != 0) line(key, std::to_string(value));
  }
  /// On one line where it fits.
  void list(const std::string& key, const std::vector<std::string>& values) {
    if (values.empty()) return;
    const auto together = yaml_list(values);
    if (together.size() <= line_max) return line(key, together);
    out_ += fmt::format("{}{}:\n", indent_, key);
    for (const auto& value : values) out_ += fmt::format("{}  - {}\n", indent_, yaml_text(value));
  }
  void map(const std::string& key, const std::map<std::string, std::string>& values) {
    if (values.empty()) return;
    const auto together = yaml_map(values);
    if (together.size() <= line_max) return line(key, together);
    out_ += fmt::format("{}{}:\n", indent_, key);
    for (const auto& [name, value] : values) {
      out_ += fmt::format("{}  {}: {}\n", indent_, yaml_text(name), is_variable(value) ? value : yaml_text(value));
    }
  }
  std::string take() { return std::move(out_); }

 private:
  std::string_view indent_;
  std::string out_;
};

void write_health(Writer& writer, const domain::ContainerHealthcheck& check) {
  if (check == domain::ContainerHealthcheck{}) return;
  std::vector<std::string> parts;
  if (check.test == std::vector<std::string>{"NONE"}) {
    parts.emplace_back("disable: true");
  } else if (!check.test.empty()) {
    parts.push_back("test: " + yaml_list(check.test));
  }
  for (const auto& [key, duration] : {std::pair{"interval", check.interval}, std::pair{"timeout", check.timeout},
                                      std::pair{"start_period", check.start_period}}) {
    if (duration.count() != 0) parts.push_back(fmt::format("{}: {}", key, duration_text(duration)));
  }
  if (check.retries != 0) parts.push_back(fmt::format("retries: {}", check.retries));
  std::string all;
  for (const auto& part : parts) all += (all.empty() ? "" : ", ") + part;
  writer.line("healthcheck", "{ " + all + " }");
}

void write_gpus(Writer& writer, const std::vector<domain::DeviceRequest>& requests) {
  if (requests.empty()) return;
  std::string all;
  for (const auto& gpu : requests) {
    std::vector<std::string> parts;
    if (!gpu.driver.empty()) parts.push_back("driver: " + yaml_text(gpu.driver));
    if (gpu.count != 0) parts.push_back(gpu.count < 0 ? "count: all" : fmt::format("count: {}", gpu.count));
    if (!gpu.ids.empty()) parts.push_back("device_ids: " + yaml_list(gpu.ids));
    if (!gpu.capabilities.empty()) parts.push_back("capabilities: " + yaml_list(gpu.capabilities));
    if (!gpu.options.empty()) parts.push_back("options: " + yaml_map(gpu.options));
    std::string one;
    for (const auto& part : parts) one += (one.empty() ? "" : ", ") + part;
    all += (all.empty() ? "" : ", ") + ("{ " + one + " }");
  }
  writer.line("gpus", "[" + all + "]");
}

void write_limits(Writer& writer, const domain::ContainerSettings& settings) {
  writer.number("mem_limit", settings.memory_bytes);
  writer.number("mem_reservation", settings.memory_reservation_bytes);
  if (settings.cpus > 0) writer.line("cpus", number_text(settings.cpus));
  writer.number("pids_limit", settings.pids_limit);
  writer.number("shm_size", settings.shm_bytes);
  std::string all;
  for (const auto& [name, limit] : settings.ulimits) {
    const auto both = limit.soft == limit.hard ? std::to_string(limit.soft)
                                               : fmt::format("{{ soft: {}, hard: {} }}", limit.soft, limit.hard);
    all += (all.empty() ? "" : ", ") + name + ": " + both;
  }
  if (!all.empty()) writer.line("ulimits", "{ " + all + " }");
}

void write_isolation(Writer& writer, const domain::ContainerSettings& settings) {
  writer.list("group_add", settings.group_add);
  writer.list("cap_add", settings.cap_add);
  writer.list("cap_drop", settings.cap_drop);
  writer.list("security_opt", settings.security_opt);
  writer.map("sysctls", settings.sysctls);
  writer.list("dns", settings.dns);
  writer.list("dns_search", settings.dns_search);
  writer.list("dns_opt", settings.dns_options);
  write_gpus(writer, settings.device_requests);
  writer.flag("privileged", settings.privileged);
  writer.flag("read_only", settings.read_only);
  writer.text("hostname", settings.hostname);
  writer.text("pid", settings.pid);
  writer.text("ipc", settings.ipc);
  writer.text("runtime", settings.runtime);
}

}  // namespace

std::string yaml_text(const std::string& text) {
  if (is_plain(text)) return text;
  // A JSON text is one of YAML's, too.
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string yaml_list(const std::vector<std::string>& texts) {
  std::string all;
  for (const auto& text : texts) all += (all.empty() ? "" : ", ") + yaml_text(text);
  return "[" + all + "]";
}

std::string yaml_map(const std::map<std::string, std::string>& texts) {
  std::string all;
  for (const auto& [name, text] : texts) all += (all.empty() ? "" : ", ") + yaml_text(name) + ": " + yaml_text(text);
  return "{ " + all + " }";
}

std::string container_text(const domain::ContainerSettings& settings, std::string_view indent) {
  Writer writer(indent);
  writer.map("environment", settings.environment);
  writer.list("entrypoint", settings.entrypoint);
  writer.list("command", settings.command);
  writer.text("user", settings.user);
  writer.text("working_dir", settings.working_dir);
  writer.list("volumes", settings.volumes);
  writer.list("extra_hosts", settings.extra_hosts);
  writer.list("tmpfs", settings.tmpfs);
  std::vector<std::string> ports;
  for (const auto& port : settings.ports) ports.push_back(port_text(port));
  writer.list("ports", ports);
  std::vector<std::string> devices;
  for (const auto& device : settings.devices) devices.push_back(device_text(device));
  writer.list("devices", devices);
  writer.list("networks", settings.networks);
  if (settings.restart != domain::ContainerSettings{}.restart) writer.line("restart", "\"" + settings.restart + "\"");
  if (!settings.log_driver.empty() || !settings.log_options.empty()) {
    const auto driver = settings.log_driver.empty() ? "" : "driver: " + yaml_text(settings.log_driver);
    const auto options = settings.log_options.empty() ? "" : "options: " + yaml_map(settings.log_options);
    writer.line("logging", "{ " + driver + (driver.empty() || options.empty() ? "" : ", ") + options + " }");
  }
  writer.map("labels", settings.labels);
  write_limits(writer, settings);
  writer.flag("init", settings.init);
  writer.text("stop_signal", settings.stop_signal);
  writer.list("pre_stop", settings.pre_stop);
  if (settings.stop_grace_period != domain::ContainerSettings{}.stop_grace_period) {
    writer.line("stop_grace_period", duration_text(settings.stop_grace_period));
  }
  write_health(writer, settings.healthcheck);
  write_isolation(writer, settings);
  return writer.take();
}

}  // namespace deploy::adopt
