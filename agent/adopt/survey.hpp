// What runs on a host before deployctl is there: containers, the Compose projects and repositories that they come from,
// and Nginx. Values, filled by host_survey and read by service_finder and proposal. Holds secrets: never stored, never
// logged.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "agent/adopt/compose_import.hpp"
#include "agent/adopt/compose_runner.hpp"
#include "agent/adopt/git_checkout.hpp"
#include "agent/adopt/inspected.hpp"
#include "agent/adopt/nginx_conf.hpp"

namespace deploy::adopt {

struct ComposeProject {
  std::string name;
  std::string folder;
  std::vector<std::string> files;  // absolute
  ComposeModel model;
  std::map<std::string, std::string> texts;  // of each file
};

/// The Nginx that passes requests to the services, in a container.
struct NginxOnHost {
  InspectedContainer container;
  std::optional<NginxConf> conf;
  std::map<std::string, std::string> host_paths;  // of those files that can be changed from here: Nginx's path -> ours
  std::string upstreams;                          // the folder of upstreams, on this host
  std::string upstreams_inside;                   // as Nginx sees it
  bool sees_upstreams = false;                    // the folder is mounted already
};

/// A port of the host that is to be Nginx's, once the container that has it now is gone.
struct WaitingPort {
  std::string service;
  std::uint16_t host = 0;
  bool operator==(const WaitingPort&) const = default;
};

/// A container that deployd takes up, or took up, as its service's first revision.
struct TakenUp {
  std::string service;
  std::string container;  // its whole id
};

struct EnvFileValues {
  std::string path;
  std::map<std::string, std::string> values;
};

struct Survey {
  std::vector<InspectedContainer> containers;  // that run
  std::vector<ComposeProject> projects;
  std::optional<NginxOnHost> nginx;
  std::vector<GitCheckout> checkouts;
  std::vector<EnvFileValues> env_files;
  std::map<std::string, std::string> present;    // path -> text of deployctl's own files that are there already
  std::vector<std::string> service_files;        // names of services that have a file already
  std::map<std::string, std::string> upstreams;  // of those: service -> its `proxy.upstream`
  std::set<std::string> other_projects;          // of Compose, which are not asked about
  std::vector<WaitingPort> waiting_ports;
  std::vector<TakenUp> taken_up;
  std::string config_folder;  // "/etc/deployctl"
  std::string state_folder;
  std::string routing_network;
  std::string routing_subnet;   // CIDR
  std::string routing_address;  // Nginx's in it
  std::string network;          // of an agent.yaml that is there; empty: to be found
  std::string webhook_secret;   // for a new file
};

}  // namespace deploy::adopt
