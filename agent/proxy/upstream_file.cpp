#include "agent/proxy/upstream_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>

#include "agent/base/error.hpp"
#include "agent/base/text.hpp"
#include "agent/proxy/passing_server.hpp"
#include "agent/proxy/routing.hpp"

namespace deploy::proxy {

namespace {

constexpr std::string_view generation_prefix = "# generation ";
constexpr std::string_view service_prefix = "# Service ";
constexpr std::string_view seal_prefix = "# Unchanged since deployctl wrote it: ";
constexpr std::string_view nginx_itself = "127.0.0.1";

bool is_name(std::string_view text) {
  const auto allowed = [](unsigned char c) { return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.'; };
  return !text.empty() && text.front() != '.' && std::all_of(text.begin(), text.end(), allowed);
}

void check_name(std::string_view what, const std::string& name) {
  if (is_name(name)) return;
  throw Error(ErrorKind::invalid, fmt::format("the {} name \"{}\" cannot stand in an Nginx file; use letters, digits, "
                                              "'-', '_' and '.'",
                                              what, name));
}

void check_fragment(std::string_view what, const std::string& upstream, const std::string& text) {
  if (text.find_first_of("{};#\r\n") == std::string::npos) return;
  throw Error(ErrorKind::invalid,
              fmt::format("the {} \"{}\" of upstream {} must be one Nginx directive's arguments without "
                          "'{{', '}}', ';', '#' and line ends",
                          what, text, upstream));
}

void check(const std::vector<ports::Route>& routes) {
  std::set<std::string> upstreams;
  std::set<std::string> services;
  for (const auto& route : routes) {
    check_name("service", route.service);
    if (!services.insert(route.service).second) {
      throw Error(ErrorKind::invalid, fmt::format("service {} has two routes", route.service));
    }
    const auto& upstream = route.settings.upstream;
    if (upstream.empty()) continue;
    check_name("upstream", upstream);
    if (upstream + ".conf" == internal_file) {
      throw Error(ErrorKind::invalid,
                  fmt::format("service {} cannot have the upstream name {}: the file {} is used for "
                              "calls between services; choose another name",
                              route.service, upstream, internal_file));
    }
    if (!upstreams.insert(upstream).second) {
      throw Error(ErrorKind::invalid, fmt::format("two services have the upstream {}; each needs its own", upstream));
    }
    check_fragment("server parameter", upstream, route.settings.server_parameters);
    for (const auto& directive : route.settings.directives) check_fragment("directive", upstream, directive);
  }
}

/// The `server` lines of an upstream block; a block without any is an error to Nginx.
std::string server_lines(const std::vector<ports::Endpoint>& targets, std::string_view parameters) {
  if (targets.empty()) return fmt::format("    server {}:1 down;  # no target: answered 502\n", nginx_itself);
  std::string lines;
  for (const auto& target : targets) {
    lines +=
        fmt::format("    server {}:{}{}{};\n", target.address, target.port, parameters.empty() ? "" : " ", parameters);
  }
  return lines;
}

std::string outside_block(const std::string& upstream, const ports::Route& route) {
  std::string text = fmt::format("upstream {} {{\n", upstream);
  text += server_lines(route.targets, route.settings.server_parameters);
  for (const auto& directive : route.settings.directives) text += fmt::format("    {};\n", directive);
  return text + "}\n";
}

std::string outside_file(const ports::Route& route) {
  return fmt::format("{}{}{}, for traffic from outside.\n{}", file_header, service_prefix, route.service,
                     outside_block(route.settings.upstream, route));
}

/// The users' configuration may still name it: it must load, and a request must find the service there. `heir` is the
/// route of the service now.
std::string former_file(const std::string& upstream, const std::string& service, const ports::Route* heir) {
  std::string text(file_header);
  if (heir != nullptr) {
    const auto& now = heir->settings.upstream;
    text += fmt::format("{}{} had this upstream and has {} now.", service_prefix, service,
                        now.empty() ? "none" : "the upstream " + now);
  } else if (!service.empty()) {
    text += fmt::format("{}{} had this upstream and gets no traffic any more.", service_prefix, service);
  } else {
    text += "# No service in deploy.d has this upstream.";
  }
  text += " deployctl removes this file when nothing in Nginx's configuration names it.\n";
  return text + outside_block(upstream, heir != nullptr ? *heir : ports::Route{});
}

std::string marker_server(const UpstreamFilesInput& input) {
  return fmt::format(R"(
# Tells which of these files a worker has loaded; deployctl asks it after every reload.
server {{
    listen {listen};
    access_log off;
    allow {callers};
    deny all;
    location = {path} {{
        default_type text/plain;
        return 200 "{generation}\n";
    }}
    location / {{
        return 404;
    }}
}}
)",
                     fmt::arg("listen", fmt::format("{}{}", input.on_host ? "127.0.0.1:" : "", input.marker_port)),
                     fmt::arg("callers", input.on_host ? nginx_itself : input.routing_subnet),
                     fmt::arg("path", marker_path), fmt::arg("generation", input.generation));
}

std::string internal_upstream(const std::string& name, const std::vector<ports::Endpoint>& targets) {
  // max_fails=0: no target is left out because of one failed call. keepalive_requests 1: no connection to a target is
  // used twice, because a target that closes an idle one at the wrong moment costs a POST. Nginx 1.29.7 and later keep
  // them by default and 1.22 does not know `keepalive 0`.
  return fmt::format("upstream {} {{\n{}    keepalive 1;\n    keepalive_requests 1;\n}}\n", name,
                     server_lines(targets, "max_fails=0"));
}

/// The servers for calls between services that arrive on one port.
std::string port_servers(const UpstreamFilesInput& input, std::uint16_t port,
                         const std::vector<const ports::Route*>& routes) {
  const std::string listen = fmt::format("{}:{}", input.nginx_address, port);
  const std::string as_default = listen + " default_server";
  const bool shared = input.wildcard_ports.contains(port);
  const auto grpc_protocol = input.http2_directive ? Protocol::grpc : Protocol::grpc_by_listen;
  std::string text;
  for (const auto* route : routes) {
    const bool alone = routes.size() == 1 && !shared;
    const bool grpc = route->settings.grpc;
    text += fmt::format("\n# Calls to {}://{}:{} from other services.\n", grpc ? "grpc" : "http", route->service, port);
    const std::string upstream = "deployctl." + route->service;
    text += internal_upstream(upstream, route->targets);
    text += passing_server({alone ? as_default : listen, route->service, input.routing_subnet, upstream},
                           grpc ? grpc_protocol : Protocol::http);
  }
  if (shared) {
    text += fmt::format("\n# Other names on port {}: the servers of this Nginx that are not ours.\n", port);
    const std::string upstream = fmt::format("deployctl-port.{}", port);
    text += internal_upstream(upstream, {{std::string(nginx_itself), port}});
    text += passing_server({as_default, "_", input.routing_subnet, upstream}, Protocol::http);
  } else if (routes.size() > 1) {
    text += fmt::format(R"(
# Port {port} belongs to several services: without one of their names nobody can tell whose request it is.
server {{
    listen {listen};
    server_name _;
    access_log off;
    default_type text/plain;
    return 421 "deployctl: several services have port {port} and none of them is called $host\n";
}}
)",
                        fmt::arg("port", port), fmt::arg("listen", as_default));
  }
  return text;
}

/// Do calls from other services to this one pass through Nginx?
bool passes_on(const ports::Route& route) { return route.settings.port != 0 && !route.settings.dns; }

std::string internal_text(const UpstreamFilesInput& input) {
  std::map<std::uint16_t, std::vector<const ports::Route*>> by_port;
  const auto blocked = blocked_services(input);
  for (const auto& route : input.routes) {
    const bool passed = std::find(blocked.begin(), blocked.end(), route.service) == blocked.end();
    if (passes_on(route) && passed) by_port[route.settings.port].push_back(&route);
  }
  std::string text(file_header);
  text += "# Calls between services, and the proof that this file is loaded.\n";
  text += generation_line(input.generation);
  text += marker_server(input);
  if (by_port.empty()) return text;

  text += R"(
map $http_upgrade $deployctl_connection {
    default upgrade;
    '' close;
}
)";
  std::string helper;
  for (const auto& [port, routes] : by_port) {
    text += port_servers(input, port, routes);
    const bool users = input.wildcard_ports.contains(port) || input.address_ports.contains(port);
    if (!input.on_host && !users && port != input.marker_port) helper += fmt::format("    listen {};\n", port);
  }
  if (!helper.empty()) {
    text += "\n# Lets Nginx start where it is not connected to the routing network, and answers nobody.\nserver {\n" +
            helper + "    server_name _;\n    access_log off;\n    return 444;\n}\n";
  }
  return text;
}

/// Where the last line begins if it is a seal, else the text's end.
std::size_t seal_position(std::string_view text) {
  const auto start = text.rfind(seal_prefix);
  const bool is_last = start != std::string_view::npos && text.find('\n', start) + 1 == text.size();
  return is_last && (start == 0 || text[start - 1] == '\n') ? start : text.size();
}

}  // namespace

std::string unsealed(std::string text) {
  text.resize(seal_position(text));
  return text;
}

std::string sealed(std::string text) {
  text = unsealed(std::move(text));
  const auto sum = sha256_hex(text);
  return std::move(text) + std::string(seal_prefix) + sum + "\n";
}

std::vector<std::string> edited_in(const FileMap& files) {
  const auto has_seal = [](const auto& file) { return seal_position(file.second) != file.second.size(); };
  const bool some_have = std::any_of(files.begin(), files.end(), has_seal);
  std::vector<std::string> edited;
  for (const auto& file : files) {
    const bool changed = has_seal(file) ? sealed(file.second) != file.second : !targets_in({file}).empty();
    if (some_have && changed) edited.push_back(file.first);
  }
  return edited;
}

std::string first_upstream_file(const std::string& service, const domain::ProxySettings& settings,
                                const std::string& address) {
  const auto& parameters = settings.server_parameters;
  std::string text = fmt::format(
      "{}{}{}, for traffic from outside, as nginx.conf had it.\nupstream {} {{\n    server {}{}{};\n", file_header,
      service_prefix, service, settings.upstream, address, parameters.empty() ? "" : " ", parameters);
  for (const auto& directive : settings.directives) text += fmt::format("    {};\n", directive);
  return sealed(text + "}\n");
}

std::string pass_directive(const domain::ProxySettings& settings) {
  return (settings.grpc ? "grpc_pass grpc://" : "proxy_pass http://") + settings.upstream + ";";
}

std::vector<std::string> blocked_services(const UpstreamFilesInput& input) {
  std::vector<std::string> blocked;
  for (const auto& route : input.routes) {
    const auto port = route.settings.port;
    const auto sharing = std::count_if(input.routes.begin(), input.routes.end(), [&](const auto& other) {
      return passes_on(other) && other.settings.port == port;
    });
    if (passes_on(route) && route.settings.grpc && (sharing > 1 || input.wildcard_ports.contains(port)))
      blocked.push_back(route.service);
  }
  return blocked;
}

FileMap render_upstream_files(const UpstreamFilesInput& input) {
  check(input.routes);
  FileMap files;
  for (const auto& route : input.routes) {
    if (!route.settings.upstream.empty()) files[route.settings.upstream + ".conf"] = outside_file(route);
  }
  for (const auto& [upstream, service] : input.present_upstreams) {
    const auto heir = std::find_if(input.routes.begin(), input.routes.end(),
                                   [&, &owner = service](const auto& route) { return route.service == owner; });
    files.try_emplace(upstream + ".conf",
                      former_file(upstream, service, heir == input.routes.end() ? nullptr : &*heir));
  }
  files[std::string(internal_file)] = internal_text(input);
  for (auto& [name, text] : files) text = sealed(std::move(text));
  return files;
}

std::map<std::string, std::string> upstreams_in(const FileMap& files) {
  constexpr std::string_view suffix = ".conf";
  std::map<std::string, std::string> upstreams;
  for (const auto& [name, content] : files) {
    if (name == internal_file || !name.ends_with(suffix)) continue;
    auto& service = upstreams[name.substr(0, name.size() - suffix.size())];
    std::string_view text = content;
    if (!text.starts_with(file_header)) continue;
    text.remove_prefix(file_header.size());
    if (!text.starts_with(service_prefix)) continue;
    text.remove_prefix(service_prefix.size());
    service = text.substr(0, text.find_first_of(", \n"));
  }
  return upstreams;
}

std::vector<ports::Endpoint> targets_in(const FileMap& files) {
  constexpr std::string_view keyword = "server ";
  std::set<ports::Endpoint> targets;
  for (const auto& [name, content] : files) {
    const std::string_view text = content;
    for (auto at = text.find(keyword); at != std::string_view::npos; at = text.find(keyword, at + 1)) {
      const auto rest = text.substr(at + keyword.size());
      const auto word = rest.substr(0, rest.find_first_of(" ;\r\n"));
      const auto colon = word.find(':');
      if (colon == std::string_view::npos) continue;
      const auto address = word.substr(0, colon);
      const auto port = word.substr(colon + 1);
      std::uint16_t number = 0;
      const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
      const bool whole = error == std::errc() && end == port.data() + port.size();
      // A target has an address of the routing network; on this one Nginx reaches itself, or nobody.
      if (whole && parse_address(address) && address != nginx_itself) targets.insert({std::string(address), number});
    }
  }
  return {targets.begin(), targets.end()};
}

FileMap shape_of(FileMap files) {
  constexpr std::string_view keyword = "    server ";
  const auto generation = generation_in(files).value_or("");
  for (auto& [name, text] : files) {
    text = unsealed(std::move(text));
    if (!generation.empty()) text = replaced(std::move(text), generation, "*");
    for (auto at = text.find(keyword); at != std::string::npos; at = text.find(keyword, at + keyword.size())) {
      const auto address = at + keyword.size();
      text.replace(address, text.find_first_of(": ;", address) - address, "*");
    }
  }
  return files;
}

std::string generation_line(std::string_view generation) {
  return fmt::format("{}{}\n", generation_prefix, generation);
}

std::optional<std::string> generation_in(const FileMap& files) {
  const auto file = files.find(std::string(internal_file));
  if (file == files.end()) return std::nullopt;
  const auto start = file->second.find(generation_prefix);
  if (start == std::string::npos) return std::nullopt;
  const auto from = start + generation_prefix.size();
  const auto end = file->second.find('\n', from);
  return file->second.substr(from, end == std::string::npos ? end : end - from);
}

}  // namespace deploy::proxy
