// A user's Nginx configuration, all files of it, and what in it has to do with where requests go: upstreams, servers,
// and every directive that passes requests on. Pure: files are asked from the caller. nginx_edit changes it.
// Paths are Nginx's own, e.g. inside its container.
// Source: nginx.org, ngx_http_core, ngx_http_upstream and ngx_http_proxy modules; tried with 1.22 and 1.30.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/adopt/nginx_syntax.hpp"

namespace deploy::adopt {

struct NginxFile {
  std::string path;
  std::string text;
  bool editable = true;  // false: it comes with the image, say, and no change of it would last
};

/// The files that the argument of an `include` means, as Nginx orders them; relative ones were made absolute. None
/// where there is no such file, or it cannot be read.
using FindNginxFiles = std::function<std::vector<NginxFile>(const std::string& pattern)>;

/// Where requests go, as a configuration writes it: "backend:8080", "[::1]:80".
struct NginxAddress {
  std::string host;
  std::uint16_t port = 0;  // 0: none written
  bool operator==(const NginxAddress&) const = default;
};
/// Nullopt for a unix socket, and where the port is none.
std::optional<NginxAddress> parse_nginx_address(std::string_view text);

/// Nginx compares names of upstreams and hosts without regard to case.
bool same_host(std::string_view left, std::string_view right);

struct NginxUpstream {
  std::string name;
  const NginxDirective* directive = nullptr;
  std::vector<const NginxDirective*> servers;
  std::vector<const NginxDirective*> others;
};

struct NginxServer {
  const NginxDirective* directive = nullptr;
  std::vector<std::string> listens;  // the arguments of each `listen`, e.g. "443 ssl"
  std::vector<std::string> names;
};

/// A directive that passes requests on: proxy_pass, grpc_pass, fastcgi_pass and their like.
struct NginxPass {
  const NginxDirective* directive = nullptr;
  std::vector<const NginxDirective*> blocks;  // that it stands in, `http` first
  std::string scheme;                         // lower case: "http", "https", "grpc"; empty: none written
  std::string address_text;                   // "backend:8080" as it is written; empty where variables or a socket
  NginxAddress address;
  std::string uri;         // what follows the address, byte for byte; empty: none
  bool variables = false;  // the destination is known to nobody before a request comes
};

class NginxConfReader;

class NginxConf {
 public:
  /// Nullopt, and findings in `diagnostics`, where a file cannot be read as Nginx would, or two upstreams have one
  /// name.
  static std::optional<NginxConf> read(NginxFile main, const FindNginxFiles& find, config::Diagnostics& diagnostics);

  const std::vector<NginxFile>& files() const { return files_; }
  const NginxDirective* http() const { return http_; }
  const std::vector<NginxUpstream>& upstreams() const { return upstreams_; }
  const std::vector<NginxServer>& servers() const { return servers_; }
  const std::vector<NginxPass>& passes() const { return passes_; }
  /// Of `stream {}`: its `server` lines in upstreams and its proxy_pass.
  const std::vector<const NginxDirective*>& streams() const { return streams_; }
  /// Directives but for headers that hold $proxy_host or $proxy_port.
  const std::vector<const NginxDirective*>& naming_the_proxied() const { return naming_the_proxied_; }

  /// What stands in a block itself, included files in the place of their `include`.
  std::vector<const NginxDirective*> inside(const NginxDirective& block) const;
  /// Those of them with this name.
  std::vector<const NginxDirective*> inside(const NginxDirective& block, std::string_view name) const;
  /// The first directive of this name in http {} itself, such as keepalive_min_timeout or map; nullptr: there is none.
  const NginxDirective* in_http(std::string_view name) const;

  const NginxUpstream* upstream(std::string_view name) const;
  /// An `include` whose files are not here (mime.types apart, which says nothing of requests).
  bool is_unread(const NginxDirective& include) const;
  /// The argument of an `include`, made absolute.
  std::string pattern_of(const NginxDirective& include) const;
  /// The directive's words as they are written, quotes included, with a blank between them.
  std::string raw_words(const NginxDirective& directive, std::size_t from = 0) const;
  /// The comments in this range of this file, as they are written.
  std::vector<std::string> comments_in(std::size_t file, ByteRange range) const;
  /// "nginx.conf:12:5".
  std::string place(const NginxDirective& directive) const;

 private:
  friend NginxConfReader;
  NginxConf() = default;

  std::vector<NginxFile> files_;
  std::vector<NginxSyntax> syntax_;  // of each
  std::map<const NginxDirective*, std::vector<std::size_t>> included_;
  const NginxDirective* http_ = nullptr;
  std::vector<NginxUpstream> upstreams_;
  std::vector<NginxServer> servers_;
  std::vector<NginxPass> passes_;
  std::vector<const NginxDirective*> streams_;
  std::vector<const NginxDirective*> naming_the_proxied_;
};

}  // namespace deploy::adopt
