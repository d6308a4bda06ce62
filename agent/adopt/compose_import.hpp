// A service of a Compose file as deployctl's settings. Compose reads its own files: what is read here is what
// `docker compose config --format json` prints, see compose_runner. Pure.
// Source: Compose specification, "Services"; tried with what Compose 2.26 prints. Texts keep Compose's `$$` where
// ContainerSettings takes templates, because both read it as `$`.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "agent/domain/service.hpp"

namespace deploy::adopt {

/// A key that deployctl does not take over, and what to do about it.
struct ComposeProblem {
  std::string path;  // "services.backend.volumes[2]"
  std::string hint;  // empty: nothing but to do without
  bool operator==(const ComposeProblem&) const = default;
};

/// "services.backend.platform is not supported: hint".
std::string to_string(const ComposeProblem& problem);

struct ComposeBuild {
  std::string context;  // a folder of this host, or a URL
  std::string dockerfile;
  std::string target;
  std::map<std::string, std::string> args;
  bool operator==(const ComposeBuild&) const = default;
};

struct ComposeService {
  domain::ContainerSettings container;  // `networks`: all that Compose connects it to, by their names in Docker
  std::string image;
  std::optional<ComposeBuild> build;
  std::string container_name;
  std::vector<std::string> depends_on;
  std::vector<std::string> env_files;           // absolute; variables of `environment` that come from there are ${NAME}
  std::vector<std::string> optional_env_files;  // those of them that need not be there
  std::vector<std::string> profiles;
  int replicas = 1;
  std::vector<ComposeProblem> unsupported;
};

/// The names of the services in what Compose printed, in its order.
std::vector<std::string> compose_services(const nlohmann::json& model);

/// How the files call the network of that name in Docker, where the service is on it; else empty.
std::string network_key(const nlohmann::json& model, const std::string& service, const std::string& network);

/// `model`: with variables resolved. `raw`: the same with --no-interpolate, from which texts with variables are taken
/// as they are written, so that no secret gets into the settings; null: all texts are from `model`.
/// Throws Error(not_found) where there is no such service, Error(invalid) where the JSON is not what Compose prints.
ComposeService import_service(const nlohmann::json& model, const nlohmann::json& raw, const std::string& service);

}  // namespace deploy::adopt
