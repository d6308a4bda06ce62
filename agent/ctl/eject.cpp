// eject: what is live as files that need no deployctl, and the commands that lead there.
#include "agent/adopt/eject.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "agent/adopt/compose_edit.hpp"
#include "agent/adopt/compose_import.hpp"
#include "agent/adopt/compose_runner.hpp"
#include "agent/adopt/compose_settings.hpp"
#include "agent/base/atomic_file.hpp"
#include "agent/base/error.hpp"
#include "agent/config/schema.hpp"
#include "agent/ctl/commands.hpp"
#include "agent/ctl/text.hpp"
#include "agent/source/host_process_runner.hpp"

namespace deploy::ctl {

namespace {

namespace fs = std::filesystem;

/// Readable for its owner alone: the users' settings are nobody else's.
constexpr mode_t file_mode = 0600;

/// What its Compose files say by now is noted where that is not what is live.
Task<void> look_at_compose(adopt::LiveService& service, const config::Configuration& configuration,
                           std::vector<std::string>& notes) {
  source::HostProcessRunner runner;
  const auto& source = *service.compose;
  auto configured = service.settings;
  configured.container = {};
  for (const auto& other : configuration.services) {
    if (other.name == configured.name) configured = other;
  }
  const auto now = co_await adopt::with_compose(runner, configured, source, configuration.agent.network);
  if (now.container != service.settings.container) {
    notes.push_back(
        fmt::format("{}: {} say something else than what is live by now, and the new containers will be like "
                    "that: deployctl plan {}",
                    now.name, fmt::join(source.files, ", "), now.name));
  }
  const auto files = adopt::compose_files(source);
  const auto model = co_await adopt::read_compose(runner, files);
  service.network_key = adopt::network_key(model.resolved, source.service, configuration.agent.network);
  const auto profiles = adopt::import_service(model.resolved, nullptr, source.service).profiles;
  service.left_to_deployctl = std::ranges::find(profiles, adopt::deployed_profile) != profiles.end();
}

Task<std::vector<adopt::LiveService>> live_services(Session session, const config::Configuration& configuration,
                                                    std::vector<std::string>& notes) {
  const auto view = co_await session.client.live();
  if (!view.under_way.empty()) {
    throw Error(ErrorKind::conflict,
                fmt::format("{} {} being rolled out: wait for the end, or cancel it", fmt::join(view.under_way, ", "),
                            view.under_way.size() == 1 ? "is" : "are"));
  }
  std::vector<adopt::LiveService> services;
  for (const auto& live : view.services) {
    adopt::LiveService service;
    service.settings = domain::service_from_json(nlohmann::json::parse(live.config));
    service.image = live.image;
    service.containers = live.containers;
    const auto source = configuration.compose.find(live.service);
    if (source != configuration.compose.end()) {
      service.compose = source->second;
      co_await look_at_compose(service, configuration, notes);
    }
    services.push_back(std::move(service));
  }
  co_return services;
}

void write_files(const adopt::Ejection& ejection, const fs::path& folder) {
  std::error_code problem;
  if (fs::exists(folder, problem)) {
    throw Error(ErrorKind::conflict,
                fmt::format("{} is there already: remove it, or name another folder with --into", folder.string()));
  }
  for (const auto& [name, text] : ejection.files) {
    const auto file = folder / name;
    fs::create_directories(file.parent_path(), problem);
    write_atomically(file, text, file_mode);
  }
}

}  // namespace

Task<int> eject(Session session, EjectOptions options) {
  const auto loaded = config::load(options.config);
  if (!loaded.configuration) {
    session.err << loaded.diagnostics.render();
    session.say(options.config + " is not valid; correct it first");
    co_return exit_usage;
  }
  std::vector<std::string> notes;
  const auto services = co_await live_services(session, *loaded.configuration, notes);
  if (services.empty()) throw Error(ErrorKind::not_found, "no service is live, so there is nothing to give back");
  const auto folder = fs::absolute(options.into).lexically_normal();
  auto ejection = adopt::eject(loaded.configuration->agent, services, folder.string());
  write_files(ejection, folder);
  ejection.notes.insert(ejection.notes.begin(), notes.begin(), notes.end());
  if (session.json()) {
    std::vector<std::string> files;
    for (const auto& [name, text] : ejection.files) files.push_back((folder / name).string());
    session.print({{"files", files}, {"commands", ejection.commands}, {"notes", ejection.notes}});
    co_return exit_done;
  }
  session.say(
      fmt::format("wrote {} files to {}, and changed nothing else. These commands, in this order, let the host do "
                  "without deployctl:",
                  ejection.files.size(), folder.string()));
  for (const auto& command : ejection.commands) session.out << printable(command) << "\n";
  for (const auto& note : ejection.notes) session.err << "note: " << printable(note) << "\n";
  co_return exit_done;
}

}  // namespace deploy::ctl
