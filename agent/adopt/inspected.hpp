// A container that runs, as `docker inspect` shows it and its image, in deployctl's terms: what was set for it, without
// what the image says anyway. Pure. Source: Docker Engine API v1.41, ContainerInspect and ImageInspect.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "agent/domain/service.hpp"

namespace deploy::adopt {

/// A folder or file of the host that a container sees.
struct BindMount {
  std::string host;
  std::string inside;
};

/// Holds secrets: values of variables are as the container has them.
struct InspectedContainer {
  std::string id;
  std::string name;
  std::string image;     // as it was asked for, e.g. "shop/backend:latest"
  std::string image_id;  // sha256:…
  std::vector<std::string> image_digests;
  std::vector<std::string> image_tags;
  std::map<std::string, std::string> image_labels;
  bool running = false;
  std::int64_t pid = 0;
  bool ours = false;                     // deployctl made it
  std::string ours_for;                  // the service that it made it for
  bool has_healthcheck = false;          // its own or the image's
  bool healthy = false;                  // says that
  std::vector<std::string> health_test;  // its own or the image's
  std::string project;                   // of Compose; empty: Compose did not make it
  std::string service;                   // in that project
  std::string project_folder;
  std::vector<std::string> project_files;
  std::map<std::string, std::string> environment;      // all of it
  domain::ContainerSettings settings;                  // without `environment` and `networks`; texts with `$` as `$$`
  std::map<std::string, std::string> set_environment;  // what is not the image's
  std::map<std::string, std::vector<std::string>> networks;  // name -> the names that it has there
  std::map<std::string, std::string> addresses;              // network -> IPv4, dotted
  std::vector<std::uint16_t> exposed_ports;                  // TCP
  std::vector<BindMount> binds;
  std::vector<std::string> left_out;  // what cannot be said in a service's file, a sentence each
};

/// `image`: of the same container, null where it is gone. Throws Error(invalid) where the JSON is not what the engine
/// answers.
InspectedContainer read_inspected(const nlohmann::json& container, const nlohmann::json& image);

}  // namespace deploy::adopt
