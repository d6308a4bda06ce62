#include "agent/proxy/nginx_on_host.hpp"

#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <fstream>

#include "tests/fakes/run.hpp"
#include "tests/fakes/temp_dir.hpp"

namespace deploy::proxy {
namespace {

/// Answers every program with the same, and remembers what was asked.
class OneAnswer final : public ports::ProcessRunner {
 public:
  Task<ports::ProcessResult> run(ports::ProcessSpec spec) override {
    asked = std::move(spec.argv);
    if (missing) throw Error(ErrorKind::not_found, "there is no program nginx");
    co_return answer;
  }

  std::vector<std::string> asked;
  ports::ProcessResult answer;
  bool missing = false;
};

struct Host {
  tests::TempDir folder;
  OneAnswer runner;
  NginxOnHost nginx{runner, folder / "nginx.pid", (folder / "proc").string()};

  Host() { nonlocal_bind("1\n"); }
  void nonlocal_bind(const std::string& text) const {
    std::filesystem::create_directories(folder / "proc" / "sys/net/ipv4");
    std::ofstream(folder / "proc" / "sys/net/ipv4/ip_nonlocal_bind") << text;
  }
  void pid_file(const std::string& text) const { std::ofstream(folder / "nginx.pid") << text; }
  void process(int pid, const std::string& title, const std::string& children = "") const {
    const auto self = folder / "proc" / std::to_string(pid);
    const auto thread = self / "task" / std::to_string(pid);
    std::filesystem::create_directories(thread);
    std::ofstream(self / "cmdline") << title;
    std::ofstream(thread / "children") << children;
  }
};

}  // namespace

TEST_CASE("an Nginx of the host is found by its pid file, and its workers by their parent") {
  Host host;
  host.pid_file("100\n");
  host.process(100, "nginx: master process /usr/sbin/nginx -c /etc/nginx/other.conf", "99 101 102 103");
  host.process(99, "nginx: master process /usr/sbin/nginx");  // a worker that was just forked
  host.process(101, "nginx: worker process");
  host.process(102, "nginx: worker process is shutting down");
  host.process(103, "nginx: cache manager process");
  host.process(104, "nginx: worker process");  // of another Nginx
  const auto found = tests::run(host.nginx.find());
  CHECK(found.pid == 100);
  const auto workers = tests::run(host.nginx.workers(found));
  CHECK(workers.master->title == "nginx: master process /usr/sbin/nginx -c /etc/nginx/other.conf");
  CHECK(workers.accepting == std::set<std::int64_t>{101});
  CHECK(workers.shutting_down == std::set<std::int64_t>{102});
  CHECK(tests::run(host.nginx.join(found, "deployctl", "10.213.178.0", {"llm"}, {})).empty());
}

TEST_CASE("an Nginx of the host is tested with the paths that it was started with") {
  Host host;
  host.runner.answer = {0, "# configuration file /etc/nginx/nginx.conf:\n", "nginx: [warn] something\n"};
  const auto test = tests::run(host.nginx.test("", "nginx: master process nginx -c /etc/nginx/other.conf"));
  CHECK(host.runner.asked == std::vector<std::string>{"nginx", "-T", "-q", "-c", "/etc/nginx/other.conf"});
  CHECK(test.passed);
  CHECK(test.output == "# configuration file /etc/nginx/nginx.conf:\n");
  host.runner.answer = {1, "", "nginx: [emerg] unknown directive\n"};
  const auto refused = tests::run(host.nginx.test("", "nginx: master process nginx"));
  CHECK_FALSE(refused.passed);
  CHECK(refused.output == "nginx: [emerg] unknown directive\n");
  host.runner.answer = {0, "", "nginx version: nginx/1.22.1\n"};
  CHECK(tests::run(host.nginx.version("")).text == "nginx/1.22.1");
  CHECK(host.runner.asked == std::vector<std::string>{"nginx", "-v"});
}

TEST_CASE("an Nginx of the host that is missing, does not run or cannot be tested is refused with what to do") {
  Host host;
  const auto file = (host.folder / "nginx.pid").string();
  const auto refusal = [&] { return tests::error_of([&] { tests::run(host.nginx.find()); }); };
  CHECK(refusal().kind() == ErrorKind::unreachable);
  CHECK(refusal().message() ==
        "Nginx on this host has no pid file " + file +
            "; start it, or set proxy.nginx.pid in agent.yaml to the file that its \"pid\" names");
  CHECK_FALSE(tests::run(host.nginx.find_running()));

  const auto ended =
      "Nginx on this host does not run: its pid file " + file + " names no Nginx; start it with: systemctl start nginx";
  for (const std::string text : {"", "nonsense", "-5", "1", "100"}) {
    host.pid_file(text);
    CHECK(refusal().kind() == ErrorKind::unreachable);
    CHECK(refusal().message() == ended);
  }
  host.process(100, "/usr/bin/sshd");  // the number was given to another process
  CHECK(refusal().message() == ended);
  CHECK_FALSE(tests::run(host.nginx.find_running()));
  const auto workers = [&](std::int64_t pid) {
    return tests::error_of([&] { tests::run(host.nginx.workers({"", pid, {}})); }).message();
  };
  CHECK(workers(100) == "Nginx on this host has ended (process 100)");
  CHECK(workers(101) ==
        "the workers of Nginx on this host (process 101) cannot be listed: it has ended, or the kernel has no "
        "/proc/PID/task/TID/children");

  host.process(100, "nginx: master process nginx");
  host.nonlocal_bind("0\n");
  CHECK(refusal().message() ==
        "Nginx on this host has to listen on the routing network before Docker makes it: write "
        "\"net.ipv4.ip_nonlocal_bind = 1\" into /etc/sysctl.d/60-deployctl.conf and run: sysctl --system");
  CHECK(tests::error_of([&] { tests::run(host.nginx.find_running()); }).kind() == ErrorKind::invalid);
  host.nonlocal_bind("1\n");
  REQUIRE(::chown((host.folder / "proc" / "100").c_str(), 65534, 65534) == 0);
  CHECK(refusal().message() ==
        "the process 100 that " + file + " names is not the agent's user's; Nginx's master process must run as root");

  host.runner.missing = true;
  CHECK(tests::error_of([&] { tests::run(host.nginx.test("", "")); }).message() ==
        "cannot run nginx on this host: there is no program nginx; it must be in the agent's PATH");
}

}  // namespace deploy::proxy
