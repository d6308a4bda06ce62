// A container engine with one container in it that behaves as Nginx does: the master reads the upstream folder when it
// is signalled, new workers start later than HUP returns, old ones go on accepting for a while and shut down after
// that. Source of the times: measured with 1.22 and 1.30 (design: "Switch"). Virtual time.
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "agent/base/error.hpp"
#include "agent/proxy/upstream_folder.hpp"
#include "tests/fakes/fake_clock.hpp"
#include "tests/fakes/null_engine.hpp"

namespace deploy::proxy {

class SimulatedNginx : public tests::NullEngine {
 public:
  using Duration = tests::FakeClock::Duration;

  SimulatedNginx(tests::FakeClock& clock, std::filesystem::path path) : folder(std::move(path)), clock_(clock) {
    container.id = "c1";
    container.name = "nginx";
    container.state = "running";
    container.pid = 100;
    processes_now = {{100, 1, "nginx: master process nginx -g daemon off;"}, {101, 100, "nginx: worker process"}};
  }

  // What a test may change.
  std::filesystem::path folder;
  std::optional<ports::Container> missing_container = ports::Container{};  // reset: there is no container
  ports::Container container;
  std::string users_config =
      "http { keepalive_min_timeout 5s; server { listen 80; location / { proxy_pass http://backend; } } }";
  std::string version_line = "nginx version: nginx/1.30.6";
  bool included = true;                                 // nginx.conf includes the folder
  int failing_reloads = 0;                              // HUP returns and the old configuration stays
  bool old_workers_stay = false;                        // true: they go on accepting
  std::string refused_word;                             // a file with this word fails the test
  std::string broken;                                   // every test fails with this
  Duration new_after = std::chrono::milliseconds(30);   // new answers begin
  Duration old_until = std::chrono::milliseconds(105);  // and old ones end
  Duration boots_until{0};
  std::optional<ports::ExecResult> exec_answer;  // in place of what Nginx says
  std::vector<ports::ProcessEntry> processes_now;

  // What happened.
  std::vector<std::string> calls;
  std::string loaded_generation;

  /// The marker: old and new workers answer in turn while both accept.
  Task<std::optional<std::string>> ask_marker() {
    settle();
    co_await clock_.sleep_for(std::chrono::milliseconds(1));
    settle();
    const std::string* answer = &loaded_generation;
    if (reload_ && clock_.elapsed() >= reload_->at + new_after) {
      old_turn_ = !old_turn_;
      if (!old_turn_) answer = &reload_->generation;
    }
    if (answer->empty()) co_return std::nullopt;
    co_return *answer;
  }

  Task<std::optional<ports::Container>> inspect(std::string name) override {
    if (!missing_container || name != "nginx") co_return std::nullopt;
    co_return container;
  }
  Task<std::vector<ports::ProcessEntry>> processes(std::string, std::int64_t) override {
    settle();
    if (clock_.elapsed() < boots_until) {
      std::vector<ports::ProcessEntry> booting{{100, 1, "/bin/sh /docker-entrypoint.sh nginx"}};
      co_return booting;
    }
    co_return processes_now;
  }
  Task<ports::ExecResult> exec(std::string, ports::ExecRequest request) override {
    std::string line;
    for (const auto& word : request.argv) line += (line.empty() ? "" : " ") + word;
    calls.push_back(line);
    if (exec_answer) co_return *exec_answer;
    ports::ExecResult result;
    if (line == "nginx -v") {
      result.output = version_line + "\n";
      co_return result;
    }
    result.output = test_output(result.exit_code);
    co_await clock_.sleep_for(std::chrono::milliseconds(95));
    co_return result;
  }
  Task<void> signal(std::string, std::string name) override {
    calls.push_back(name);
    settle();
    if (failing_reloads > 0) {
      --failing_reloads;
      co_return;
    }
    reload_ = Reload{clock_.elapsed(), included ? generation_in(files()).value_or("") : ""};
    const auto worker = next_pid_++;
    processes_now.push_back({worker, 100, "nginx: worker process"});
    new_worker_ = worker;
  }
  Task<std::vector<std::string>> log_tail(std::string, int) override {
    std::vector<std::string> lines{"[notice] signal 1 (SIGHUP) received, reconfiguring",
                                   "[emerg] bind() to 0.0.0.0:8000 failed", "[notice] last line"};
    co_return lines;
  }
  Task<void> connect(std::string, ports::NetworkEndpoint endpoint) override {
    std::string line = "connect " + endpoint.network + " " + endpoint.address;
    for (const auto& alias : endpoint.aliases) line += " " + alias;
    calls.push_back(line);
    container.networks.push_back(std::move(endpoint));
    co_return;
  }
  Task<void> disconnect(std::string, std::string network) override {
    calls.push_back("disconnect " + network);
    std::erase_if(container.networks, [&](const auto& endpoint) { return endpoint.network == network; });
    co_return;
  }

  FileMap files() const { return UpstreamFolder(folder).own_files(); }
  int count(const std::string& call) const { return static_cast<int>(std::count(calls.begin(), calls.end(), call)); }
  /// Old workers that still have a request end.
  void end_old_workers() {
    std::erase_if(processes_now,
                  [](const auto& process) { return process.title.find("shutting") != std::string::npos; });
  }

 private:
  struct Reload {
    Duration at;
    std::string generation;
  };

  std::string test_output(int& exit_code) const {
    std::string all;
    for (const auto& [name, content] : files())
      all += "\n# configuration file /etc/nginx/upstreams/" + name + ":\n" + content;
    const bool refused = !refused_word.empty() && all.find(refused_word) != std::string::npos;
    if (!broken.empty() || refused) {
      exit_code = 1;
      return (broken.empty() ? "nginx: [emerg] unknown directive \"" + refused_word + "\"" : broken) +
             "\nnginx: configuration file /etc/nginx/nginx.conf test failed\n";
    }
    return "# configuration file /etc/nginx/nginx.conf:\n" + users_config + "\n" + (included ? all : "");
  }

  /// What a reload has led to by now.
  void settle() {
    if (!reload_ || old_workers_stay || clock_.elapsed() < reload_->at + old_until) return;
    loaded_generation = reload_->generation;
    for (auto& process : processes_now) {
      if (process.pid != 100 && process.pid != new_worker_) process.title = "nginx: worker process is shutting down";
    }
    reload_.reset();
  }

  tests::FakeClock& clock_;
  std::optional<Reload> reload_;
  std::int64_t new_worker_ = 0;
  std::int64_t next_pid_ = 102;
  bool old_turn_ = false;
};

}  // namespace deploy::proxy
