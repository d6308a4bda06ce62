// The location by which GitHub's webhooks reach deployd through the users' Nginx. Pure.
#pragma once

#include <string>
#include <vector>

#include "agent/adopt/nginx_conf.hpp"

namespace deploy::adopt {

struct WebhookLocation {
  bool added = false;
  bool there = false;  // it was there already
  std::string text;    // what was done, or why nothing was
};

/// Adds `location = <path>` to the server that passes most requests on to these upstreams or hosts, in `files`: those
/// of `conf` that were changed, to which the server's may be added. An edit of nginx_edit may have come before.
WebhookLocation add_webhook_location(const NginxConf& conf, std::vector<NginxFile>& files,
                                     const std::vector<std::string>& upstreams, const std::string& path,
                                     const std::string& socket);

}  // namespace deploy::adopt
