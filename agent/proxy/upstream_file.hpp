// The text of the files that Nginx includes inside http {}: one `upstream` per service for traffic from outside, and
// one file for calls between services and for the proof of a switch. Pure: the same input gives the same text.
// Source: nginx.org, ngx_http_core, ngx_http_proxy and ngx_http_upstream modules; tried with 1.22 and 1.30.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "agent/ports/upstream_proxy.hpp"

namespace deploy::proxy {

/// File name inside the folder -> content.
using FileMap = std::map<std::string, std::string>;

/// The first line of every file that we write: what carries it is ours to replace and to remove.
inline constexpr std::string_view file_header = "# Written by deployctl. Changes made here are lost.\n";

/// The file with the marker and the servers for calls between services.
inline constexpr std::string_view internal_file = "deployctl.conf";

/// The path that the marker answers.
inline constexpr std::string_view marker_path = "/generation";

struct UpstreamFilesInput {
  std::vector<ports::Route> routes;
  std::string generation;  // decimal digits
  std::uint16_t marker_port = 0;
  std::string routing_subnet;  // CIDR: who may ask the marker and use the routes between services
  std::string nginx_address;   // Nginx's own on the routing network
  /// Upstreams that our files in the folder have now, with the service that each belongs to (empty: not known). One
  /// that no route names any more keeps its file, with the targets of its service's route, or none where there is no
  /// such route.
  std::map<std::string, std::string> present_upstreams;
  /// Ports on which the users' own servers listen on every address.
  std::set<std::uint16_t> wildcard_ports;
  /// Ports on which they listen on single addresses only.
  std::set<std::uint16_t> address_ports;
  /// Nginx runs on this host: the marker listens on 127.0.0.1 alone, and Nginx may listen on an address that is not
  /// there yet, so it needs no helper and takes no port of the host's own addresses.
  bool on_host = false;
  /// Nginx has the directive `http2` (since 1.25.1); before, it is a parameter of `listen`.
  bool http2_directive = true;
};

/// Calls between services arrive at `nginx_address` and are told apart by port, then by host name where services share
/// a port. These servers listen on that address alone, so a request from outside cannot reach them whatever its Host
/// says, and the users' servers stay the default ones of their ports. Nginx binds a port of which some server
/// takes every address only once, for every address; a helper server sees to that, because otherwise Nginx would not
/// start on a host where its routing network is not connected yet.
///
/// Limits: where several services have one port, a request whose Host is none of their names is answered 421 (a caller
/// that passes on a foreign Host needs the service to have a port of its own); where the users' servers have that port,
/// it goes to those servers. What the users set in http {} and what has no "off", such as limit_req, holds here, too.
///
/// A service that is called with gRPC has no server where others have its port, see blocked_services().
///
/// Each file is sealed. Throws Error(invalid) where a name, a parameter or a directive cannot stand in an Nginx file,
/// or where two routes have one upstream or service name.
FileMap render_upstream_files(const UpstreamFilesInput& input);

/// What `<upstream>.conf` says until deployd writes it for the first time: requests go on to where nginx.conf sent
/// them. `address` is a name and a port, as it stood there.
std::string first_upstream_file(const std::string& service, const domain::ProxySettings& settings,
                                const std::string& address);

/// The directive with which nginx.conf sends requests to a service's upstream: "proxy_pass http://backend;".
std::string pass_directive(const domain::ProxySettings& settings);

/// Services whose calls cannot be passed on: HTTP/2 without TLS needs a port that nobody else has.
std::vector<std::string> blocked_services(const UpstreamFilesInput& input);

/// The upstreams for traffic from outside that files of ours have, with the service that each file says it belongs to.
std::map<std::string, std::string> upstreams_in(const FileMap& files);

/// The targets that files of ours name, in order and each once; the placeholder of an upstream without targets and what
/// passes requests on inside of Nginx are none.
std::vector<ports::Endpoint> targets_in(const FileMap& files);

/// The generation of a folder's files; nullopt where there is none.
std::optional<std::string> generation_in(const FileMap& files);

/// The files without what a switch changes in them: the targets' addresses, and the generation. Nginx accepts either
/// every set of files of one shape or none.
FileMap shape_of(FileMap files);

/// The text with a last line by which a change made to it by hand is noticed; one that it has already is replaced.
std::string sealed(std::string text);
/// The text without that line.
std::string unsealed(std::string text);

/// The names of those files of ours that somebody changed since they were written. What has no seal was written by a
/// deployd that made none, or in advance for a service that has no target yet, unless other files have one and it names
/// targets.
std::vector<std::string> edited_in(const FileMap& files);

/// The line of the internal file that holds the generation.
std::string generation_line(std::string_view generation);

}  // namespace deploy::proxy
