#include "agent/config/missing.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <utility>

#include "agent/base/error.hpp"

namespace deploy::config {

std::vector<std::string> missing_here(const Configuration& configuration) {
  std::vector<std::string> missing;
  const auto note = [&missing](const auto& look) {
    try {
      look();
    } catch (const Error& error) {
      missing.push_back(error.message());
    }
  };
  if (configuration.agent.webhook) {
    for (const auto& secret : configuration.agent.webhook->secrets) {
      if (secret.env.empty()) note([&secret] { load_secret(secret); });
    }
  }
  if (const auto& github = configuration.agent.github; github && github->token.env.empty()) {
    note([&github] { load_token(github->token); });
  }
  for (const auto& registry : configuration.agent.registries) {
    if (registry.password.env.empty()) note([&registry] { load_password(registry.password, registry.host); });
  }
  const auto login = [&missing](const std::string& service, const std::string& at, const domain::GitSource& git) {
    for (const auto& [key, file] :
         {std::pair("ssh_key", git.ssh_key), std::pair("ssh_known_hosts", git.ssh_known_hosts)}) {
      std::error_code problem;
      if (file.empty() || std::filesystem::exists(file, problem)) continue;
      missing.push_back(
          fmt::format("service {}: there is no file {}: make it, or correct {}.{}", service, file, at, key));
    }
  };
  for (const auto& service : configuration.services) {
    note([&service] { resolve(service); });
    if (service.source.git) login(service.name, "source.git", *service.source.git);
    for (const auto& other : service.rebuilt_by) {
      if (other.git) login(service.name, "rebuilt_by", *other.git);
    }
  }
  return missing;
}

std::string missing_network(const std::string& name) {
  return fmt::format(
      "there is no Docker network \"{}\"; set `network` in agent.yaml to the network your containers share (`docker "
      "network "
      "ls` lists them; Compose puts its project's name in front)",
      name);
}

}  // namespace deploy::config
