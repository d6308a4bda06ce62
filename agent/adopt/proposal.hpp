// What `init` proposes for a host: files of deployctl's own, changes of the users' Nginx and Compose files, and what of
// it a person has to know. Pure. What a file has already is not proposed again, so a second proposal is empty.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "agent/adopt/file_change.hpp"
#include "agent/adopt/health_search.hpp"
#include "agent/adopt/host_ports.hpp"
#include "agent/adopt/service_finder.hpp"

namespace deploy::adopt {

/// Nginx's container has to be made anew, because only then it sees a folder or has a port.
struct NginxRecreation {
  std::vector<std::string> reasons;  // why, e.g. "to see the folder /srv/nginx/upstreams"
  std::vector<std::string> files;    // of its Compose project
  std::string project;
  std::string service;
  std::string container;            // its name
  std::vector<PortHolder> holders;  // stopped right before that, and removed after it: Nginx gets their ports
};

struct Proposal {
  std::vector<FileChange> files;      // in the order in which they are written
  std::vector<std::string> folders;   // that have to be there first
  std::vector<std::string> changed;   // what changes in the users' files, with "file:line: " in front
  std::vector<std::string> notes;     // "backend: …"
  std::vector<std::string> problems;  // why nothing can be written
  std::vector<std::string> services;  // that get a file
  std::optional<NginxRecreation> recreate;
  bool recreate_can_wait = false;      // until the next `docker compose up -d`, which would do it unasked
  bool needs_routing_network = false;  // a Compose file names it from now on
};

Proposal make_proposal(const Survey& survey, const FoundServices& found,
                       const std::map<std::string, FoundHealth>& health);

/// The file beside agent.yaml by which deployd takes up the containers that run as first revisions.
inline constexpr auto take_up_file = "take-up.json";
/// The file beside agent.yaml with ports of the host that wait for Nginx.
inline constexpr auto waiting_ports_file = "waiting-ports.json";

}  // namespace deploy::adopt
