#include "agent/proxy/nginx_container.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "agent/base/error.hpp"
#include "agent/base/text.hpp"

namespace deploy::proxy {

namespace {
constexpr std::chrono::milliseconds exec_deadline{30000};
constexpr int log_lines = 50;
}  // namespace

std::string NginxContainer::how_to_include(const std::filesystem::path&) const {
  return "mount it into the container (the folder, not single files) and add an include of its *.conf files inside "
         "http {} of nginx.conf, e.g. \"include /etc/nginx/upstreams/*.conf;\"";
}

Task<RunningNginx> NginxContainer::find() {
  const auto container = co_await engine_.inspect(name_);
  if (!container) {
    throw Error(ErrorKind::not_found, fmt::format("there is no Nginx container called {}; start it, or correct "
                                                  "proxy.nginx.container in agent.yaml",
                                                  name_));
  }
  if (container->state != "running") {
    const auto reason = co_await why_not_loaded(container->id);
    throw Error(ErrorKind::unreachable,
                fmt::format("the Nginx container {} is {}, not running; start it with: docker start {}; if it ends "
                            "again, docker logs {} says why{}",
                            name_, container->state.empty() ? "in an unknown state" : container->state, name_, name_,
                            reason.empty() ? "" : "; " + reason));
  }
  RunningNginx nginx{container->id, container->pid, container->networks};
  co_return nginx;
}

Task<std::optional<RunningNginx>> NginxContainer::find_running() {
  const auto container = co_await engine_.inspect(name_);
  if (!container || container->state != "running") co_return std::nullopt;
  RunningNginx nginx{container->id, container->pid, container->networks};
  co_return nginx;
}

Task<std::string> NginxContainer::join(RunningNginx nginx, std::string network, std::string address,
                                       std::set<std::string> aliases, std::set<std::string> others) {
  const auto endpoint = std::find_if(nginx.networks.begin(), nginx.networks.end(),
                                     [&](const auto& candidate) { return candidate.network == network; });
  if (endpoint != nginx.networks.end()) {
    const std::set<std::string> present(endpoint->aliases.begin(), endpoint->aliases.end());
    const bool named = std::includes(present.begin(), present.end(), aliases.begin(), aliases.end());
    const bool misnamed =
        std::any_of(others.begin(), others.end(), [&](const auto& name) { return present.contains(name); });
    if (named && !misnamed && endpoint->address == address) co_return "";
    // Between the two calls Nginx reaches no target: nothing may come in between.
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    co_await engine_.disconnect(nginx.id, network);
  }
  ports::NetworkEndpoint wanted{network, address, {aliases.begin(), aliases.end()}};
  co_await engine_.connect(nginx.id, wanted);
  co_await asio::this_coro::reset_cancellation_state(asio::enable_terminal_cancellation());
  co_return fmt::format("connected the container {} to the network {} as {} with the names {}", name_, network, address,
                        fmt::join(aliases, ", "));
}

Task<NginxPlace::Test> NginxContainer::test(std::string id, std::string master_title) {
  ports::ExecRequest request{{"nginx", "-T", "-q"}, exec_deadline};
  const auto paths = path_arguments(master_title);
  request.argv.insert(request.argv.end(), paths.begin(), paths.end());
  auto result = co_await engine_.exec(id, request);
  // 126 and 127 are the engine's: the program cannot be run, or is not there.
  if (result.exit_code == 126 || result.exit_code == 127) {
    throw Error(ErrorKind::failed,
                fmt::format("cannot run nginx -t in container {}: {}; it must have the program nginx "
                            "in its PATH",
                            name_, trim(result.output)));
  }
  Test test{result.exit_code == 0, std::move(result.output)};
  co_return test;
}

Task<NginxVersion> NginxContainer::version(std::string id) {
  const ports::ExecRequest request{{"nginx", "-v"}, exec_deadline};
  const auto result = co_await engine_.exec(id, request);
  co_return read_version(result.output);
}

Task<void> NginxContainer::reload(RunningNginx nginx) { co_await engine_.signal(nginx.id, "HUP"); }

Task<Workers> NginxContainer::workers(RunningNginx nginx) {
  const auto processes = co_await engine_.processes(nginx.id, nginx.pid);
  auto workers = workers_of(processes, nginx.pid);
  if (!workers.master) {
    const auto init =
        std::find_if(processes.begin(), processes.end(), [&](const auto& process) { return process.pid == nginx.pid; });
    if (init == processes.end() || init->title.starts_with("nginx")) {  // on its way up, or down
      const auto reason = co_await why_not_loaded(nginx.id);
      throw Error(ErrorKind::unreachable, fmt::format("Nginx in container {} does not start; docker logs {} says why{}",
                                                      name_, name_, reason.empty() ? "" : "; " + reason));
    }
    throw Error(
        ErrorKind::invalid,
        fmt::format("the first process of container {} is \"{}\" and not Nginx's master process, so it cannot be told "
                    "to reload; run Nginx as the container's own command (nginx -g \"daemon off;\")",
                    name_, init->title));
  }
  co_return workers;
}

Task<std::string> NginxContainer::why_not_loaded(std::string id) {
  const auto lines = co_await engine_.log_tail(id, log_lines);
  const auto found = std::find_if(lines.rbegin(), lines.rend(),
                                  [](const auto& line) { return line.find("[emerg]") != std::string::npos; });
  co_return found == lines.rend() ? std::string() : "the newest emergency in its log: " + *found;
}

}  // namespace deploy::proxy
