// The changes that one service needs in Nginx's configuration: all of them, or none with the reasons. Pure.
#pragma once

#include <string>
#include <vector>

#include "agent/adopt/nginx_edit.hpp"
#include "agent/adopt/nginx_levels.hpp"

namespace deploy::adopt {

struct NginxServiceEdit {
  NginxServiceOutcome outcome;
  std::vector<NginxFinding> findings;
  std::vector<NginxReplacement> replacements;
  bool renames = false;  // an address got another name
};

/// `included`: the configuration has deployctl's folder already, so what has the upstream's name was changed before.
NginxServiceEdit edit_service(const NginxConf& conf, const ServiceInNginx& service, const std::string& folder,
                              bool included);

}  // namespace deploy::adopt
