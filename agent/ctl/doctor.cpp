// doctor: looks at the host as the agent would meet it; needs no agent.
#include <fmt/format.h>

#include <unistd.h>

#include <algorithm>
#include <boost/asio/thread_pool.hpp>
#include <cerrno>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "agent/adopt/compose_settings.hpp"
#include "agent/adopt/doctor.hpp"
#include "agent/base/atomic_file.hpp"
#include "agent/base/error.hpp"
#include "agent/base/host_clock.hpp"
#include "agent/base/text.hpp"
#include "agent/config/schema.hpp"
#include "agent/ctl/commands.hpp"
#include "agent/ctl/text.hpp"
#include "agent/engine/docker_client.hpp"
#include "agent/proxy/nginx_place.hpp"
#include "agent/source/git_mirror.hpp"
#include "agent/source/host_process_runner.hpp"

namespace deploy::ctl {

namespace {

using adopt::Finding;

/// For what git needs of a folder to ask a remote with; gone afterwards.
class TemporaryFolder {
 public:
  TemporaryFolder() : path_(std::filesystem::temp_directory_path() / "deployctl-doctor-XXXXXX") {
    auto pattern = path_.string();
    if (mkdtemp(pattern.data()) == nullptr) throw file_error("make", pattern, errno);
    path_ = pattern;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

Colour colour_of(Finding::Level level) {
  switch (level) {
    case Finding::Level::good:
      return Colour::green;
    case Finding::Level::note:
      return Colour::yellow;
    case Finding::Level::problem:
      break;
  }
  return Colour::red;
}

Task<Finding> agent_answers(Session session) {
  Finding finding{Finding::Level::problem, "agent", ""};
  try {
    const auto version = co_await session.client.version();
    finding = {Finding::Level::good, "agent", "deployd " + version.version + " answers"};
  } catch (const Error& error) {
    finding.text = error.message();
  }
  co_return finding;
}

/// Where GitHub reaches this agent, by what last came.
Task<std::optional<Finding>> last_delivery(Session session, const config::AgentConfig& agent) {
  if (!agent.webhook) co_return std::nullopt;
  const auto status = co_await session.client.status();
  Finding finding{Finding::Level::note, "webhook",
                  "no delivery has come yet; at GitHub, the webhook's page \"Recent Deliveries\" shows what became of "
                  "those that were sent"};
  if (const auto& last = status.last_delivery) {
    finding = {Finding::Level::good, "webhook",
               fmt::format("the last delivery came {}, {} of {}: {}", local_time(last->received, session.environment),
                           printable(last->event), printable(last->repo), printable(last->outcome))};
  }
  co_return finding;
}

/// deployd is beside deployctl.
std::string fetch_program() {
  const auto self = std::filesystem::read_symlink("/proc/self/exe");
  return (self.parent_path() / "deployd").string();
}

Task<std::vector<Finding>> look_around(const config::Configuration& configuration) {
  asio::thread_pool pool(1);
  source::HostProcessRunner runner;
  engine::RegistryLogins logins(config::registry_users(configuration.agent), configuration.agent.docker_config, runner);
  engine::DockerClient engine(configuration.agent.engine, pool, "/proc", &logins);
  std::unique_ptr<proxy::NginxPlace> nginx;
  if (const auto& settings = configuration.agent.nginx) {
    nginx = proxy::nginx_place(engine, runner, settings->container, settings->pid_file);
  }
  const TemporaryFolder mirrors;
  source::GitMirrorOptions options;
  options.folder = mirrors.path();
  options.fetch_program = fetch_program();
  source::GitMirror source(options, runner, pool);
  adopt::Host host{configuration, engine, nginx.get(), source, clock_in_step, std::chrono::system_clock::now()};
  co_return co_await adopt::examine(host);
}

/// Settings that a service's own file leaves to Compose's files.
Task<std::vector<Finding>> compose_findings(const config::Configuration& configuration) {
  std::vector<Finding> findings;
  source::HostProcessRunner runner;
  for (const auto& service : configuration.services) {
    const auto source = configuration.compose.find(service.name);
    if (source == configuration.compose.end()) continue;
    try {
      co_await adopt::with_compose(runner, service, source->second, configuration.agent.network);
    } catch (const Error& error) {
      findings.push_back({Finding::Level::problem, "compose", error.message()});
    }
  }
  if (findings.empty() && !configuration.compose.empty()) {
    findings.push_back({Finding::Level::good, "compose",
                        "Docker Compose reads the files of " + counted(configuration.compose.size(), "service")});
  }
  co_return findings;
}

}  // namespace

Task<int> doctor(Session session, std::string agent_yaml) {
  const auto loaded = config::load(agent_yaml);
  if (!loaded.configuration) {
    session.err << loaded.diagnostics.render();
    session.say(agent_yaml + " is not valid; correct it first");
    co_return exit_usage;
  }
  auto findings = co_await look_around(*loaded.configuration);
  const auto of_compose = co_await compose_findings(*loaded.configuration);
  findings.insert(findings.end(), of_compose.begin(), of_compose.end());
  findings.push_back(co_await agent_answers(session));
  if (findings.back().level == Finding::Level::good) {
    auto delivery = co_await last_delivery(session, loaded.configuration->agent);
    if (delivery) findings.push_back(std::move(*delivery));
  }
  const bool healthy = std::none_of(findings.begin(), findings.end(),
                                    [](const Finding& finding) { return finding.level == Finding::Level::problem; });
  if (session.json()) {
    auto list = nlohmann::json::array();
    for (const auto& finding : findings) {
      list.push_back({{"level", to_string(finding.level)}, {"subject", finding.subject}, {"text", finding.text}});
    }
    session.print({{"healthy", healthy}, {"findings", list}});
  } else {
    Table table({"", "ABOUT", "FINDING"});
    for (const auto& finding : findings) {
      table.add({{to_string(finding.level), colour_of(finding.level)}, {finding.subject}, {finding.text}});
    }
    session.out << table.render(session.look().colours);
  }
  co_return healthy ? exit_done : exit_failed;
}

}  // namespace deploy::ctl
