// What a location must say so that app and client get the headers they got before, when the address of its proxy_pass
// gets another name. Two defaults follow that name: the Host header that the app receives, and which redirects of the
// app Nginx rewrites. Pure.
// Source: nginx.org, ngx_http_proxy_module: "proxy_set_header" (Host is $proxy_host by default; inherited only by a
// level without any of its own), "proxy_redirect" (default); ngx_http_grpc_module likewise, without redirects.
#pragma once

#include <string>
#include <vector>

#include "agent/adopt/nginx_conf.hpp"

namespace deploy::adopt {

struct NginxReplacement {
  std::size_t file = 0;
  ByteRange range;
  std::string text;
  bool operator==(const NginxReplacement&) const = default;
};

struct KeptHeaders {
  std::vector<std::string> lines;              // directives that the location needs besides, each with its `;`
  std::vector<NginxReplacement> replacements;  // of words that the location has
  std::string obstacle;                        // why it cannot be done, and what to do; empty: it can
};

/// For a proxy_pass or grpc_pass whose address becomes `name`, an upstream's.
KeptHeaders keep_headers(const NginxConf& conf, const NginxPass& pass, const std::string& name);

/// Does this pass keep answers under keys that hold the address's name?
bool caches_by_address(const NginxConf& conf, const NginxPass& pass);

}  // namespace deploy::adopt
