#include "agent/proxy/nginx_on_host.hpp"

#include <fmt/format.h>

#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <csignal>
#include <system_error>

#include "agent/base/error.hpp"
#include "agent/base/proc.hpp"
#include "agent/base/text.hpp"

namespace deploy::proxy {

namespace {

constexpr std::chrono::milliseconds run_deadline{30000};
constexpr std::size_t dump_bytes_max = 16 << 20;
constexpr auto nonlocal_bind = "/sys/net/ipv4/ip_nonlocal_bind";
constexpr std::string_view master_title_start = "nginx: master process";

/// nullopt where the file holds no process id.
std::optional<std::int64_t> pid_in(std::string_view text) {
  text = trim(text);
  std::int64_t pid = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), pid);
  if (failure != std::errc() || end != text.data() + text.size() || pid <= 1) return std::nullopt;
  return pid;
}

}  // namespace

std::string NginxOnHost::how_to_include(const std::filesystem::path& folder) const {
  return fmt::format("add \"include {}/*.conf;\" inside http {{}} of nginx.conf", folder.string());
}

Task<RunningNginx> NginxOnHost::find() {
  const auto text = proc::read_file(pid_file_);
  if (!text) {
    throw Error(ErrorKind::unreachable, fmt::format("Nginx on this host has no pid file {}; start it, or set "
                                                    "proxy.nginx.pid in agent.yaml to the file that its \"pid\" names",
                                                    pid_file_.string()));
  }
  const auto pid = pid_in(*text);
  if (!pid || !proc::title_of(proc_, *pid).starts_with(master_title_start)) {
    throw Error(ErrorKind::unreachable, fmt::format("Nginx on this host does not run: its pid file {} names no Nginx; "
                                                    "start it with: systemctl start nginx",
                                                    pid_file_.string()));
  }
  if (proc::owner_of(proc_, *pid) != ::geteuid()) {
    throw Error(ErrorKind::invalid,
                fmt::format("the process {} that {} names is not the agent's user's; Nginx's master "
                            "process must run as root",
                            *pid, pid_file_.string()));
  }
  // Nginx starts before Docker makes the network that it listens on, and must not wait for it.
  if (trim(proc::read_file(proc_ + nonlocal_bind).value_or("")) != "1") {
    throw Error(ErrorKind::invalid,
                "Nginx on this host has to listen on the routing network before Docker makes it: write "
                "\"net.ipv4.ip_nonlocal_bind = 1\" into /etc/sysctl.d/60-deployctl.conf and run: "
                "sysctl --system");
  }
  RunningNginx nginx{"", *pid, {}};
  co_return nginx;
}

Task<std::optional<RunningNginx>> NginxOnHost::find_running() {
  try {
    co_return co_await find();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::unreachable) throw;  // it runs, and is not as it must be
  }
  co_return std::nullopt;
}

Task<std::string> NginxOnHost::join(RunningNginx, std::string, std::string, std::set<std::string>,
                                    std::set<std::string>) {
  co_return "";
}

Task<ports::ProcessResult> NginxOnHost::run(std::vector<std::string> argv) {
  ports::ProcessSpec spec;
  spec.argv = std::move(argv);
  spec.deadline = run_deadline;
  spec.output_bytes_max = dump_bytes_max;
  std::string missing;
  try {
    co_return co_await runner_.run(std::move(spec));
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::not_found) throw;
    missing = error.message();
  }
  throw Error(ErrorKind::failed,
              fmt::format("cannot run nginx on this host: {}; it must be in the agent's PATH", missing));
}

Task<NginxPlace::Test> NginxOnHost::test(std::string, std::string master_title) {
  std::vector<std::string> argv{"nginx", "-T", "-q"};
  const auto paths = path_arguments(master_title);
  argv.insert(argv.end(), paths.begin(), paths.end());
  auto result = co_await run(std::move(argv));
  const bool passed = result.exit_code == 0;
  Test test{passed, passed ? std::move(result.output) : std::move(result.error_output)};
  co_return test;
}

Task<NginxVersion> NginxOnHost::version(std::string) {
  std::vector<std::string> argv{"nginx", "-v"};
  const auto result = co_await run(std::move(argv));
  co_return read_version(result.error_output);
}

Task<void> NginxOnHost::reload(RunningNginx nginx) {
  if (::kill(static_cast<pid_t>(nginx.pid), SIGHUP) == 0) co_return;
  throw Error(errno == ESRCH ? ErrorKind::unreachable : ErrorKind::failed,
              fmt::format("cannot tell Nginx on this host (process {}) to reload: {}", nginx.pid,
                          std::generic_category().message(errno)));
}

Task<Workers> NginxOnHost::workers(RunningNginx nginx) {
  if (!proc::lists_children(proc_, nginx.pid)) {
    throw Error(ErrorKind::unreachable,
                fmt::format("the workers of Nginx on this host (process {}) cannot be listed: it has "
                            "ended, or the kernel has no /proc/PID/task/TID/children",
                            nginx.pid));
  }
  std::vector<ports::ProcessEntry> processes{{nginx.pid, 0, proc::title_of(proc_, nginx.pid)}};
  for (const auto child : proc::children_of(proc_, nginx.pid)) {
    processes.push_back({child, nginx.pid, proc::title_of(proc_, child)});
  }
  auto workers = workers_of(processes, nginx.pid);
  if (!workers.master) {
    throw Error(ErrorKind::unreachable, fmt::format("Nginx on this host has ended (process {})", nginx.pid));
  }
  co_return workers;
}

Task<std::string> NginxOnHost::why_not_loaded(std::string) {
  co_return "its error log says why; most often another program has one of the ports";
}

}  // namespace deploy::proxy
