// validate: reads the configuration as the agent would, without one.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "agent/adopt/compose_settings.hpp"
#include "agent/base/error.hpp"
#include "agent/base/text.hpp"
#include "agent/config/json_schema.hpp"
#include "agent/config/missing.hpp"
#include "agent/ctl/commands.hpp"
#include "agent/source/host_process_runner.hpp"

namespace deploy::ctl {

namespace {

/// What speaks against the Compose files that services name. What is not on this machine is a note.
Task<void> check_compose(const config::Configuration& configuration, config::Diagnostics& diagnostics,
                         std::vector<std::string>& notes) {
  source::HostProcessRunner runner;
  for (const auto& service : configuration.services) {
    const auto source = configuration.compose.find(service.name);
    if (source == configuration.compose.end()) continue;
    try {
      co_await adopt::with_compose(runner, service, source->second, configuration.agent.network);
    } catch (const Error& error) {
      const auto& place = source->second.place;
      if (error.kind() == ErrorKind::not_found) {
        notes.push_back(error.message());
      } else {
        diagnostics.add({place.file, place.line, place.column, place.key_path, error.message(), ""});
      }
    }
  }
}

}  // namespace

Task<int> validate(Session session, std::string agent_yaml, std::string schema) {
  if (!schema.empty()) {
    session.out << (schema == "agent" ? config::agent_json_schema() : config::service_json_schema());
    co_return exit_done;
  }
  auto loaded = config::load(agent_yaml);
  std::vector<std::string> services;
  std::vector<std::string> notes;
  if (loaded.configuration) {
    notes = config::missing_here(*loaded.configuration);
    co_await check_compose(*loaded.configuration, loaded.diagnostics, notes);
  }
  const bool valid = loaded.diagnostics.empty();
  if (valid) {
    for (const auto& service : loaded.configuration->services) services.push_back(service.name);
  }
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
