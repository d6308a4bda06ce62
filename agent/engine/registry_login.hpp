// How a registry lets us in: by a login of agent.yaml, by a credential helper, or by what `docker login` has written.
// Each is looked up anew at every request, so that a new password needs no restart. One thread.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "agent/base/async.hpp"
#include "agent/domain/registry_user.hpp"
#include "agent/engine/docker_config.hpp"
#include "agent/ports/process_runner.hpp"

namespace deploy::engine {

/// What goes to a registry with a request. Holds a secret: never stored, never logged.
struct RegistryLogin {
  std::string header;   // X-Registry-Auth; empty: nothing is sent
  std::string from;     // where it stands, in words
  std::string trouble;  // why nothing is sent although a login is named, in words
};

class RegistryLogins {
 public:
  /// `docker_config` is the Docker CLI's config.json; it need not be there.
  RegistryLogins(std::vector<domain::RegistryUser> configured, std::filesystem::path docker_config,
                 ports::ProcessRunner& runner)
      : configured_(std::move(configured)), docker_config_(std::move(docker_config)), runner_(runner) {}

  /// Never throws for what a login lacks: an image that everybody may read does not need one.
  Task<RegistryLogin> find(std::string host);

 private:
  RegistryLogin configured(const domain::RegistryUser& login);
  Task<DockerLogin> ask_helper(DockerLogin login);

  std::vector<domain::RegistryUser> configured_;
  std::filesystem::path docker_config_;
  ports::ProcessRunner& runner_;
};

}  // namespace deploy::engine
