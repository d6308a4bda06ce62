// What `nginx -T` and `nginx -v` say about the users' configuration, as far as a switch has to know it. Pure.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

namespace deploy::proxy {

struct ConfigDump {
  /// The largest keepalive_min_timeout anywhere; nullopt: not set.
  std::optional<std::chrono::milliseconds> keepalive_min_timeout;
  std::set<std::uint16_t> wildcard_ports;  // of the users' own servers that listen on every IPv4 address
  std::set<std::uint16_t> address_ports;   // of those that listen on single addresses only
  bool has_own_files = false;              // a file of ours is included
  /// Those of the asked upstreams that no request can reach: the users' text holds their names nowhere, comments and
  /// longer words included, and no directive takes its destination from a variable. None where the dump is cut off.
  std::set<std::string> unnamed;
  /// Path -> text of the files that are not ours, and what they include, as written there.
  std::map<std::string, std::string> users_files;
  std::set<std::string> includes;
  std::set<std::string> certificates;  // files after `ssl_certificate`, as written there
  bool complete = false;               // false: the beginning was cut off, so ports and times may be missing
};

/// Reads the output of a successful `nginx -T -q`, warnings in it or not, and looks for these upstreams in it. A dump
/// that is cut off gives what is there.
ConfigDump read_dump(std::string_view raw, const std::set<std::string>& upstreams = {});

struct NginxVersion {
  std::string text;  // "nginx/1.30.6"
  std::array<int, 3> number{0, 0, 0};
};

/// Reads the output of `nginx -v`; an unknown form gives its text and the number 0.0.0.
NginxVersion read_version(std::string_view output);

/// keepalive_min_timeout exists since 1.27.4.
bool has_keepalive_min_timeout(const NginxVersion& version);

/// What a reload of this Nginx may cost and what to do against it, for people; empty where it costs nothing.
std::string idle_connections_cost(const NginxVersion& version, const ConfigDump& dump);

/// `http2` is a directive since 1.25.1.
bool has_http2_directive(const NginxVersion& version);

}  // namespace deploy::proxy
