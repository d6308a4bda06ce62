#include "agent/adopt/doctor.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <utility>

#include "agent/adopt/certificates.hpp"
#include "agent/adopt/source_access.hpp"
#include "agent/base/error.hpp"
#include "agent/base/memory.hpp"
#include "agent/base/text.hpp"
#include "agent/config/missing.hpp"
#include "agent/domain/labels.hpp"
#include "agent/domain/rollout.hpp"
#include "agent/proxy/upstream_file.hpp"

namespace deploy::adopt {

namespace {

constexpr std::size_t secret_characters_least = 10;  // different ones: 64 hexadecimal digits have nearly all of theirs
constexpr std::size_t certificate_bytes_max = std::size_t{1} << 20;
constexpr int certificate_days_least = 21;  // certbot renews thirty days before the end

class Examination {
 public:
  explicit Examination(Host host) : host_(host), agent_(host.configuration.agent) {}

  Task<std::vector<Finding>> run() {
    files();
    secrets();
    clock();
    memory();
    const bool reached = co_await look("engine", &Examination::engine);
    if (reached) {
      co_await look("network", &Examination::shared_network);
      co_await look("routing", &Examination::routing_network);
      if (host_.nginx != nullptr) co_await look("nginx", &Examination::nginx);
    }
    names();
    auto sources = co_await source_access(host_, reached);
    findings_.insert(findings_.end(), sources.begin(), sources.end());
    co_return std::move(findings_);
  }

 private:
  void good(std::string subject, std::string text) {
    findings_.push_back({Finding::Level::good, std::move(subject), std::move(text)});
  }
  void note(std::string subject, std::string text) {
    findings_.push_back({Finding::Level::note, std::move(subject), std::move(text)});
  }
  void problem(std::string subject, std::string text) {
    findings_.push_back({Finding::Level::problem, std::move(subject), std::move(text)});
  }

  /// What a look throws is what it found. Returns whether it could look.
  Task<bool> look(const char* subject, Task<void> (Examination::*at)()) {
    std::string failure;
    try {
      co_await (this->*at)();
      co_return true;
    } catch (const Error& error) {
      failure = error.message();
    }
    problem(subject, failure);
    co_return false;
  }

  void files() {
    const auto missing = config::missing_here(host_.configuration);
    for (const auto& text : missing) problem("files", text);
    if (missing.empty()) {
      good("files", counted(host_.configuration.services.size(), "service") +
                        ", and every file and secret that they name is here");
    }
    std::error_code failure;
    if (agent_.nginx && !std::filesystem::is_directory(agent_.nginx->upstreams, failure)) {
      problem("files", fmt::format("there is no folder {}: make it, and let Nginx include its *.conf files",
                                   agent_.nginx->upstreams.string()));
    }
    const auto space = std::filesystem::space(agent_.state, failure);
    if (!failure) free_space(agent_.state.string(), space.available);
  }

  void free_space(const std::string& folder, std::uint64_t free) {
    const auto keep = static_cast<std::uint64_t>(agent_.disk.keep_free_bytes);
    const auto text = fmt::format("{} are free for {}", human_bytes(free), folder);
    if (free >= keep) return good("disk", text);
    problem("disk",
            fmt::format("only {}, and disk.keep_free is {}: nothing is fetched, built or pulled; free some space", text,
                        human_bytes(keep)));
  }

  void memory() {
    const auto available = available_memory();
    if (!available) return;
    const auto text = fmt::format("{} are available", human_bytes(static_cast<std::uint64_t>(*available)));
    memory_for_two(*available);
    if (*available >= agent_.memory.keep_free_bytes) return good("memory", text);
    problem("memory", fmt::format("only {}, and memory.keep_free is {}: there is no room for two versions beside each "
                                  "other; stop what is not needed, or use strategy: recreate",
                                  text, human_bytes(static_cast<std::uint64_t>(agent_.memory.keep_free_bytes))));
  }

  /// Two versions run beside each other for a while, each with what its limit allows.
  void memory_for_two(std::int64_t available) {
    for (const auto& service : host_.configuration.services) {
      if (service.strategy == domain::StrategyKind::recreate || service.container.memory_bytes == 0) continue;
      const bool all_at_once = service.strategy == domain::StrategyKind::blue_green;
      const auto beside = all_at_once ? service.replicas : std::max(1, service.max_surge);
      const auto needed = beside * service.container.memory_bytes;
      if (available - needed >= agent_.memory.keep_free_bytes) continue;
      note("memory", fmt::format("during a rollout {} may take {} more (container.mem_limit of {} at once), and {} are "
                                 "available; lower the limit, let fewer run beside each other (strategy: rolling), or "
                                 "use strategy: recreate",
                                 service.name, human_bytes(static_cast<std::uint64_t>(needed)),
                                 counted(static_cast<std::size_t>(beside), "container"),
                                 human_bytes(static_cast<std::uint64_t>(available))));
    }
  }

  /// Those that can be read from here: the agent's own environment cannot.
  void secrets() {
    if (!agent_.webhook) return;
    for (const auto& source : agent_.webhook->secrets) {
      std::string secret;
      try {
        secret = config::load_secret(source);
      } catch (const Error&) {
        continue;  // missing_here says it
      }
      const auto different = std::set<char>(secret.begin(), secret.end()).size();
      if (different >= secret_characters_least) continue;
      note("secret", fmt::format("the webhook secret in {} has only {} different characters, and may be guessed; make "
                                 "one with `openssl rand -hex 32`, name it beside the old one, and enter it at GitHub",
                                 source.env.empty() ? source.file.string() : "the variable " + source.env, different));
    }
  }

  void clock() {
    const auto in_step = host_.clock_in_step();
    if (!in_step) return;
    if (*in_step) return good("clock", "kept by a time server");
    note("clock",
         "no time server keeps this host's clock, and with a wrong one certificates are refused and the history lies; "
         "start one: timedatectl set-ntp true, or install chrony");
  }

  Task<void> engine() {
    const auto version = co_await host_.engine.version();
    good("engine", fmt::format("Docker Engine {}, API {}", version.engine, version.api));
    const auto space = co_await host_.engine.disk_space();
    if (space) free_space(space->folder, space->free_bytes);
  }

  Task<void> shared_network() {
    const auto network = co_await host_.engine.inspect_network(agent_.network);
    if (!network) {
      problem("network", config::missing_network(agent_.network));
      co_return;
    }
    good("network", agent_.network + " has " + counted(network->endpoints.size(), "running container"));
  }

  Task<void> routing_network() {
    const auto& name = agent_.routing.network;
    const auto network = co_await host_.engine.inspect_network(name);
    if (!network) {
      note("routing", fmt::format("the network {} is not there yet: deployd makes it when it starts", name));
    } else if (!network->labels.contains(domain::labels::instance)) {
      problem("routing", fmt::format("the Docker network {} is not deployctl's; choose another name with "
                                     "`routing.network` in agent.yaml",
                                     name));
    } else {
      good("routing", fmt::format("{} has the subnet {}", name, fmt::join(network->subnets, ", ")));
      co_await callers(*network);
    }
  }

  /// Who shares the users' network and does not know the names that Nginx has on ours.
  Task<void> callers(ports::Network routing) {
    const auto shared = co_await host_.engine.inspect_network(agent_.network);
    if (!shared) co_return;
    std::vector<std::string> names;
    for (const auto& endpoint : shared->endpoints) {
      const bool knows = std::any_of(routing.endpoints.begin(), routing.endpoints.end(),
                                     [&](const auto& other) { return other.network == endpoint.network; });
      const auto container = co_await host_.engine.inspect(endpoint.network);
      if (!container) continue;
      if (!knows) names.push_back(container->name);
      namesakes(*container);
    }
    if (names.empty()) co_return;
    std::sort(names.begin(), names.end());
    note("routing",
         fmt::format("these are on {} alone, and calls from them do not follow a rollout; connect those that call a "
                     "service to {}, too: {}",
                     agent_.network, agent_.routing.network, fmt::join(names, ", ")));
  }

  /// Docker asks the shared network for a name before ours, which is internal; but for what deployd connected to it.
  void namesakes(const ports::Container& container) {
    for (const auto& service : host_.configuration.services) {
      if (service.proxy.port == 0 || service.proxy.dns || !agent_.nginx) continue;
      const bool has_name =
          std::any_of(container.networks.begin(), container.networks.end(), [&](const auto& endpoint) {
            const bool alias =
                std::find(endpoint.aliases.begin(), endpoint.aliases.end(), service.name) != endpoint.aliases.end();
            return endpoint.network == agent_.network && (alias || container.name == service.name);
          });
      if (!has_name) continue;
      note("routing",
           fmt::format(
               "the container {} has the name {} on {}, so calls to {} from containers that deployctl did not make "
               "or take up reach it and do not follow a rollout; where {}'s first rollout does not take it away, "
               "rename or remove it",
               container.name, service.name, agent_.network, service.name, service.name));
    }
  }

  Task<void> nginx() {
    const auto running = co_await host_.nginx->find();
    const auto workers = co_await host_.nginx->workers(running);
    const auto test = co_await host_.nginx->test(running.id, workers.master->title);
    if (!test.passed) {
      problem("nginx", fmt::format("nginx -t {} refuses the configuration; repair it: {}", host_.nginx->text(),
                                   trim(test.output)));
      co_return;
    }
    std::set<std::string> upstreams;
    for (const auto& service : host_.configuration.services) {
      if (!service.proxy.upstream.empty()) upstreams.insert(service.proxy.upstream);
    }
    const auto dump = proxy::read_dump(test.output, upstreams);
    const auto version = co_await host_.nginx->version(running.id);
    good("nginx", fmt::format("{} {} accepts its configuration", version.text, host_.nginx->text()));
    certificates(running, dump);
    const auto cost = proxy::idle_connections_cost(version, dump);
    if (!cost.empty()) note("nginx", cost);
    if (dump.complete && !dump.has_own_files) {
      note("nginx", fmt::format("it has read no file of deployctl's yet; before the first rollout {}",
                                host_.nginx->how_to_include(agent_.nginx->upstreams)));
    }
    for (const auto& service : host_.configuration.services) {
      if (!dump.unnamed.contains(service.proxy.upstream)) continue;
      note("nginx", fmt::format("nothing that it reads names the upstream {}, so no request from outside gets there; "
                                "write \"{}\" into nginx.conf after the first rollout",
                                service.proxy.upstream, proxy::pass_directive(service.proxy)));
    }
  }

  /// Read where Nginx has them.
  void certificates(const proxy::RunningNginx& running, const proxy::ConfigDump& dump) {
    const auto root = host_.proc / std::to_string(running.pid) / "root";
    std::optional<std::pair<std::chrono::system_clock::time_point, std::string>> first;
    for (const auto& file : dump.certificates) {
      const std::filesystem::path path(file);
      if (file.find('$') != std::string::npos || !path.is_absolute()) continue;
      std::ifstream in(root / path.relative_path(), std::ios::binary);
      std::string text(certificate_bytes_max, '\0');
      in.read(text.data(), static_cast<std::streamsize>(text.size()));
      text.resize(static_cast<std::size_t>(in.gcount()));
      const auto end = certificate_end(text);
      if (end && (!first || *end < first->first)) first = {*end, file};
    }
    if (!first) return;
    const auto days = std::chrono::floor<std::chrono::days>(first->first - host_.now).count();
    const auto date = domain::iso_time(first->first).substr(0, 10);
    if (days < 0) {
      problem("certificate",
              fmt::format("{} ended on {}, and browsers and GitHub refuse it; renew it, e.g. with certbot "
                          "renew, and reload Nginx",
                          first->second, date));
    } else if (days < certificate_days_least) {
      note("certificate", fmt::format("{} ends on {}, in {}; see why it was not renewed, e.g. with certbot renew "
                                      "--dry-run",
                                      first->second, date, counted(static_cast<std::size_t>(days), "day")));
    } else {
      good("certificate", fmt::format("{} ends first, on {}, in {} days", first->second, date, days));
    }
  }

  /// What is found by name, and not through Nginx.
  void names() {
    for (const auto& service : host_.configuration.services) {
      if (!service.proxy.dns) continue;
      const auto& name = service.name;
      if (service.strategy == domain::StrategyKind::recreate) {
        if (host_.nginx == nullptr) {
          note("names",
               fmt::format(
                   "there is no Nginx, so the old version of {0} stops before the new one starts and nobody answers "
                   "in between; with `route: dns` in its file the gap is some milliseconds",
                   name));
        }
        continue;
      }
      note("names",
           fmt::format(
               "{} is found by its container's name, so calls to it do not pass through Nginx: at each rollout its "
               "name is with nobody for some milliseconds, and who remembers its address goes on calling the old "
               "version until that is stopped",
               name));
    }
  }

  Host host_;
  const config::AgentConfig& agent_;
  std::vector<Finding> findings_;
};

}  // namespace

std::string to_string(Finding::Level level) {
  switch (level) {
    case Finding::Level::good:
      return "good";
    case Finding::Level::note:
      return "note";
    case Finding::Level::problem:
      return "problem";
  }
  return "";
}

Task<std::vector<Finding>> examine(Host host) {
  Examination examination(host);
  co_return co_await examination.run();
}

}  // namespace deploy::adopt
