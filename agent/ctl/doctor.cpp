// doctor: looks at the host as the agent would meet it; needs no agent.
#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/thread_pool.hpp>
#include <nlohmann/json.hpp>

#include "agent/adopt/doctor.hpp"
#include "agent/base/error.hpp"
#include "agent/config/schema.hpp"
#include "agent/ctl/commands.hpp"
#include "agent/engine/docker_client.hpp"
#include "agent/proxy/nginx_place.hpp"
#include "agent/source/host_process_runner.hpp"

namespace deploy::ctl {

namespace {

using adopt::Finding;

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

Task<std::vector<Finding>> look_around(const config::Configuration& configuration) {
  asio::thread_pool pool(1);
  engine::DockerClient engine(configuration.agent.engine, pool);
  source::HostProcessRunner runner;
  std::unique_ptr<proxy::NginxPlace> nginx;
  if (const auto& settings = configuration.agent.nginx) {
    nginx = proxy::nginx_place(engine, runner, settings->container, settings->pid_file);
  }
  adopt::Host host{configuration, engine, nginx.get()};
  co_return co_await adopt::examine(host);
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
  findings.push_back(co_await agent_answers(session));
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
