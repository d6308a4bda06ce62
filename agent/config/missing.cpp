#include "agent/config/missing.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <utility>

#include "agent/base/error.hpp"

namespace deploy::config {

namespace {

/// `whose` and `section` are for the sentences.
void look_for_keys(const domain::GitSource& git, const std::string& whose, const std::string& section,
                   std::vector<std::string>& missing) {
  for (const auto& [key, file] :
       {std::pair("ssh_key", git.ssh_key), std::pair("ssh_known_hosts", git.ssh_known_hosts)}) {
    std::error_code problem;
    if (file.empty() || std::filesystem::exists(file, problem)) continue;
    missing.push_back(fmt::format("{}there is no file {}: make it, or correct {}.{}", whose, file, section, key));
  }
}

void look_for_work_tree(const domain::ConfigRepo& config, std::vector<std::string>& missing) {
  std::error_code problem;
  if (std::filesystem::exists(std::filesystem::path(config.folder) / ".git", problem)) return;
  missing.push_back(fmt::format("there is no git work tree in {}: clone {} there, or correct config_repo.folder",
                                config.folder, config.repo));
}

}  // namespace

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
  for (const auto& service : configuration.services) {
    note([&service] { resolve(service); });
    const auto whose = "service " + service.name + ": ";
    if (service.source.git) look_for_keys(*service.source.git, whose, "source.git", missing);
    for (const auto& other : service.rebuilt_by) {
      if (other.git) look_for_keys(*other.git, whose, "rebuilt_by", missing);
    }
  }
  if (const auto& config = configuration.agent.config_repo) {
    look_for_keys(config->git, "", "config_repo", missing);
    look_for_work_tree(*config, missing);
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
