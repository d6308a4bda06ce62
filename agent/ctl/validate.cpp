// validate: reads the configuration as the agent would, without one.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "agent/base/text.hpp"
#include "agent/config/missing.hpp"
#include "agent/ctl/commands.hpp"

namespace deploy::ctl {

Task<int> validate(Session session, std::string agent_yaml) {
  const auto loaded = config::load(agent_yaml);
  std::vector<std::string> services;
  std::vector<std::string> notes;
  if (loaded.configuration) {
    notes = config::missing_here(*loaded.configuration);
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
