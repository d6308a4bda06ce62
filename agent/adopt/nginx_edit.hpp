// Makes a user's Nginx configuration send requests to the upstreams that deployctl writes, and changes nothing else:
// every other byte stays. A service's own `upstream` block goes, because deployctl's file defines it; a bare
// `proxy_pass http://backend:8080` gets the upstream's name, and its location what keeps the headers as they were.
// What cannot be done without guessing is named, and then nothing of that service is changed. Pure. Where nothing was
// left, a second edit changes nothing.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/adopt/nginx_conf.hpp"

namespace deploy::adopt {

/// A service as Nginx knows it.
struct ServiceInNginx {
  std::string service;
  std::string upstream;                 // its `proxy.upstream`: the name that deployctl's file defines
  std::vector<NginxAddress> addresses;  // what the configuration calls it now, each with its port
};

struct NginxWish {
  std::vector<ServiceInNginx> services;
  std::string folder;  // deployctl's, as Nginx sees it: "/etc/nginx/upstreams"
};

struct NginxFinding {
  enum class Level {
    changed,
    note,  // nothing to do, but to be known
    left,  // not changed, and why
  };
  Level level = Level::changed;
  std::string place;    // "nginx.conf:12:5"
  std::string service;  // empty: of no single one
  std::string text;
};

/// "nginx.conf:12:5: backend: text".
std::string to_string(const NginxFinding& finding);

struct NginxServiceOutcome {
  std::string service;
  bool left =
      false;  // something is in the way: nothing of it was changed, and its upstream file may not be written yet
  bool routed = false;                  // requests from outside get to it through its upstream
  bool found_upstream = false;          // a block was replaced, and these are for the service's file:
  std::string server_parameters;        // proxy.server_parameters
  std::vector<std::string> directives;  // proxy.directives
};

struct NginxEdit {
  std::vector<NginxFile> files;  // those that changed, as they are to be
  std::vector<NginxFinding> findings;
  std::vector<NginxServiceOutcome> services;  // in the order of the wish
};

NginxEdit edit_nginx_conf(const NginxConf& conf, const NginxWish& wish);

/// The name of an upstream block that leads to these addresses alone and can be a service's `proxy.upstream`; nullopt
/// where there is none.
std::optional<std::string> upstream_leading_to(const NginxConf& conf, const std::vector<NginxAddress>& addresses);

}  // namespace deploy::adopt
