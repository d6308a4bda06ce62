// validate: reads the configuration as the agent would, without one.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "agent/base/error.hpp"
#include "agent/config/schema.hpp"
#include "agent/ctl/commands.hpp"

namespace deploy::ctl {

namespace {

std::string counted(std::size_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

/// What the agent would miss on this machine, a sentence each: files that the configuration names, and variables in
/// them. No errors, because a configuration is also checked where its secrets are not.
std::vector<std::string> missing_here(const config::Configuration& configuration) {
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
      if (secret.env.empty()) note([&secret] { config::load_secret(secret); });
    }
  }
  for (const auto& service : configuration.services) {
    note([&service] { config::resolve(service); });
    if (!service.source.git) continue;
    const auto& git = *service.source.git;
    for (const auto& [key, file] :
         {std::pair("ssh_key", git.ssh_key), std::pair("ssh_known_hosts", git.ssh_known_hosts)}) {
      std::error_code problem;
      if (file.empty() || std::filesystem::exists(file, problem)) continue;
      missing.push_back(
          fmt::format("service {}: there is no file {}: make it, or correct source.git.{}", service.name, file, key));
    }
  }
  return missing;
}

}  // namespace

Task<int> validate(Session session, std::string agent_yaml) {
  const auto loaded = config::load(agent_yaml);
  std::vector<std::string> services;
  std::vector<std::string> notes;
  if (loaded.configuration) {
    notes = missing_here(*loaded.configuration);
    for (const auto& service : loaded.configuration->services) services.push_back(service.name);
  }
  const bool valid = loaded.configuration.has_value();
  if (session.json()) {
    session.print({{"valid", valid},
                   {"services", services},
                   {"diagnostics", loaded.diagnostics.to_json_value()},
                   {"notes", notes}});
  } else if (valid) {
    session.out << fmt::format("{} is valid: {}{}{}\n", agent_yaml, counted(services.size(), "service"),
                               services.empty() ? "" : ": ", fmt::join(services, ", "));
    for (const auto& note : notes) session.err << "note: " << note << '\n';
  } else {
    session.err << loaded.diagnostics.render();
    session.say(fmt::format("{} is not valid: {}", agent_yaml, counted(loaded.diagnostics.size(), "error")));
  }
  co_return valid ? exit_done : exit_usage;
}

}  // namespace deploy::ctl
