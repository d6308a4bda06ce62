#include "agent/config/container_schema.hpp"

#include <algorithm>
#include <array>
#include <boost/asio/ip/address.hpp>
#include <boost/system/error_code.hpp>
#include <charconv>
#include <string_view>
#include <utility>

#include "agent/config/interpolation.hpp"
#include "agent/config/isolation_schema.hpp"
#include "agent/config/scalars.hpp"

namespace deploy::config {

namespace {

using std::chrono::milliseconds;

struct ElsewhereKey {
  std::string_view key;
  std::string_view hint;
};

/// Keys of Compose that a user may bring along, and where what they say belongs.
constexpr std::array<ElsewhereKey, 7> elsewhere{{
    {"expose", "set `proxy.port`"},
    {"container_name", "deployctl names containers after service and revision, so that two can run at once"},
    {"image", "write it as `source.image`"},
    {"build", "write it as `source.git`"},
    {"depends_on", "write it at the top level of the file"},
    {"deploy",
     "write its limits as mem_limit, cpus and pids_limit, its devices as `gpus`, and `replicas` at the top level"},
    {"env_file", "list the file under `vars` and name what the container needs in `environment`: NAME: ${NAME}"},
}};

/// A list of words, or one text that is split as a shell would.
void read_words(Fields& fields, const std::string& key, std::vector<std::string>& out) {
  auto value = fields.find(key);
  if (!value) return;
  if (value->is_list()) {
    out = value->texts(&Value::template_text);
    return;
  }
  auto text = value->template_text();
  if (!text) return;
  auto words = split_words(*text);
  if (words) {
    out = std::move(*words);
  } else {
    value->error("has a quote that is never closed", "write a list of words to avoid quoting");
  }
}

void read_volumes(Fields& fields, std::vector<std::string>& out) {
  auto value = fields.find("volumes");
  if (!value) return;
  for (const auto& item : value->items()) {
    if (item.is_map()) {
      item.error("must be a text", "write the short form: source:/target or source:/target:ro");
      continue;
    }
    auto text = item.template_text();
    if (!text) continue;
    auto whole = text->starts_with("${") ? variable_end(*text, 0) : std::nullopt;
    auto colon = text->find(':', whole.value_or(0));
    auto source = text->substr(0, colon);
    auto target = colon == std::string::npos ? std::string() : text->substr(colon + 1);
    if (source.empty() || !(target.starts_with('/') || target.starts_with('$'))) {
      item.error("must be source:/target or source:/target:ro");
    } else if (source.starts_with('.') || source.starts_with('~')) {
      item.error("must have an absolute path or a volume's name before the colon",
                 "write the whole path of `" + source + "`");
    } else {
      out.push_back(std::move(*text));
    }
  }
}

/// A list of "name:address" or "name=address", or a map.
void read_extra_hosts(Fields& fields, std::vector<std::string>& out) {
  auto value = fields.find("extra_hosts");
  if (!value) return;
  if (value->is_map()) {
    for (const auto& [name, address] : value->template_map()) out.push_back(name + ":" + address);
    return;
  }
  for (const auto& item : value->items()) {
    auto text = item.template_text();
    if (!text) continue;
    auto separator = text->find_first_of("=:");
    if (separator == std::string::npos || separator == 0 || separator + 1 == text->size()) {
      item.error("must be name:address", "e.g. host.docker.internal:host-gateway");
    } else {
      out.push_back(text->substr(0, separator) + ":" + text->substr(separator + 1));
    }
  }
}

void read_tmpfs(Fields& fields, std::vector<std::string>& out) {
  auto value = fields.find("tmpfs");
  if (!value) return;
  if (value->is_list()) {
    out = value->texts(&Value::template_text);
  } else if (auto text = value->template_text()) {
    out = {std::move(*text)};
  }
}

/// "8080:80", "127.0.0.1:8080:80", "[::1]:53:53/udp": Compose's short form, of single ports.
std::optional<domain::PublishedPort> parse_published(std::string_view text) {
  domain::PublishedPort port;
  if (const auto slash = text.find('/'); slash != std::string_view::npos) {
    port.protocol = text.substr(slash + 1);
    if (port.protocol != "tcp" && port.protocol != "udp") return std::nullopt;
    text = text.substr(0, slash);
  }
  const auto number = [](std::string_view digits, std::uint16_t& out) {
    const auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), out);
    return problem == std::errc() && end == digits.data() + digits.size() && out != 0;
  };
  const auto last = text.rfind(':');
  if (last == std::string_view::npos || !number(text.substr(last + 1), port.container)) return std::nullopt;
  text = text.substr(0, last);
  const auto before = text.rfind(':');
  if (!number(before == std::string_view::npos ? text : text.substr(before + 1), port.host)) return std::nullopt;
  if (before == std::string_view::npos) return port;
  auto address = text.substr(0, before);
  if (address.starts_with('[') && address.ends_with(']')) address = address.substr(1, address.size() - 2);
  boost::system::error_code problem;
  boost::asio::ip::make_address(std::string(address), problem);
  if (problem) return std::nullopt;
  port.address = address;
  return port;
}

void read_ports(Fields& fields, std::vector<domain::PublishedPort>& out) {
  auto value = fields.find("ports");
  if (!value) return;
  for (const auto& item : value->items()) {
    auto text = item.filled_text();
    if (!text) continue;
    if (auto port = parse_published(*text)) {
      out.push_back(std::move(*port));
    } else {
      item.error("must be host:container, e.g. \"8080:80\" or \"127.0.0.1:8080:80/tcp\"",
                 "behind Nginx no port of the host is needed: set `proxy.port` alone");
    }
  }
}

/// "/dev/ttyUSB0", "/dev/ttyUSB0:/dev/modem", "/dev/ttyUSB0:/dev/modem:rw": Compose's short form.
std::optional<domain::Device> parse_device(const std::string& text) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == ':') {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  domain::Device device;
  device.host = device.container = parts.front();
  if (parts.size() > 1) device.container = parts[1];
  if (parts.size() > 2) device.permissions = parts[2];
  const auto is_path = [](const std::string& path) { return path.size() > 1 && path.front() == '/'; };
  const bool allowed = !device.permissions.empty() && device.permissions.find_first_not_of("rwm") == std::string::npos;
  if (parts.size() > 3 || !is_path(device.host) || !is_path(device.container) || !allowed) return std::nullopt;
  return device;
}

void read_devices(Fields& fields, std::vector<domain::Device>& out) {
  auto value = fields.find("devices");
  if (!value) return;
  for (const auto& item : value->items()) {
    auto text = item.filled_text();
    if (!text) continue;
    if (auto device = parse_device(*text)) {
      out.push_back(std::move(*device));
    } else {
      item.error("must be a path, e.g. \"/dev/ttyUSB0\" or \"/dev/ttyUSB0:/dev/modem:rw\"");
    }
  }
}

/// A command is a list of words: nothing here runs a shell.
void read_pre_stop(Fields& fields, std::vector<std::string>& out) {
  fields.template_texts("pre_stop", out);
  auto value = fields.find("pre_stop");
  if (value && value->is_list() && value->items().empty()) value->error("names no command", "e.g. [nginx, -s, quit]");
}

void read_restart(Fields& fields, std::string& out) {
  auto value = fields.find("restart");
  if (!value) return;
  auto text = value->filled_text();
  if (!text) return;
  if (text->starts_with("on-failure:")) {
    int retries = 0;
    auto number = std::string_view(*text).substr(11);
    auto [end, problem] = std::from_chars(number.data(), number.data() + number.size(), retries);
    if (problem != std::errc() || end != number.data() + number.size() || retries < 1) {
      value->error("must have a number above 0 after `on-failure:`");
      return;
    }
  } else if (!value->one_of({"no", "always", "unless-stopped", "on-failure"})) {
    return;
  }
  out = std::move(*text);
}

void read_logging(Fields& fields, domain::ContainerSettings& container) {
  auto value = fields.find("logging");
  if (!value) return;
  Fields logging(*value);
  logging.text("driver", container.log_driver);
  if (auto options = logging.find("options")) container.log_options = options->template_map();
  logging.finish();
}

void read_labels(Fields& fields, std::map<std::string, std::string>& out) {
  auto value = fields.find("labels");
  if (!value) return;
  out = value->template_map();
  for (const auto& [name, text] : out) {
    if (name == "deployctl" || name.starts_with("deployctl.")) {
      value->error("sets " + name + ", and labels that begin with `deployctl.` are deployctl's own",
                   "choose another name");
    }
  }
}

void read_limits_of(Fields& fields, domain::ContainerSettings& container) {
  // The engine refuses less.
  constexpr std::int64_t memory_bytes_min = 6 << 20;
  if (auto value = fields.find("mem_limit")) {
    auto bytes = value->size_bytes();
    if (bytes && *bytes != 0 && *bytes < memory_bytes_min) {
      value->error("must be at least 6m, the least that the engine takes");
    } else {
      container.memory_bytes = bytes.value_or(0);
    }
  }
  if (auto value = fields.find("cpus")) container.cpus = value->positive_number().value_or(0);
}

void read_stop(Fields& fields, domain::ContainerSettings& container) {
  if (auto value = fields.find("stop_signal")) {
    auto text = value->filled_text();
    bool ok = text && std::ranges::all_of(*text, [](char c) {
                return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' || c == '-';
              });
    if (ok) {
      container.stop_signal = std::move(*text);
    } else if (text) {
      value->error("must be a signal such as SIGTERM");
    }
  }
  if (auto value = fields.find("stop_grace_period")) {
    auto grace = value->duration(milliseconds(0), std::chrono::hours(1));
    if (grace && *grace % std::chrono::seconds(1) != milliseconds(0)) {
      value->error("must be whole seconds, e.g. 10s");
    } else if (grace) {
      container.stop_grace_period = std::chrono::duration_cast<std::chrono::seconds>(*grace);
    }
  }
}

}  // namespace

void read_container(const Value& value, domain::ContainerSettings& container) {
  Fields fields(value);
  if (auto environment = fields.find("environment")) container.environment = environment->template_map();
  read_words(fields, "command", container.command);
  read_words(fields, "entrypoint", container.entrypoint);
  fields.template_text("user", container.user);
  fields.template_text("working_dir", container.working_dir);
  read_volumes(fields, container.volumes);
  read_extra_hosts(fields, container.extra_hosts);
  read_tmpfs(fields, container.tmpfs);
  read_ports(fields, container.ports);
  read_devices(fields, container.devices);
  read_restart(fields, container.restart);
  read_logging(fields, container);
  read_labels(fields, container.labels);
  read_limits_of(fields, container);
  fields.boolean("init", container.init);
  read_stop(fields, container);
  read_pre_stop(fields, container.pre_stop);
  read_isolation(fields, container);
  for (const auto& [key, hint] : elsewhere) fields.refuse(std::string(key), "has no place here", std::string(hint));
  fields.finish();
}

}  // namespace deploy::config
