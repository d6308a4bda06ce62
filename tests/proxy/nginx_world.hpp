// proxy::Nginx beside a simulated Nginx, with a real folder of upstreams and virtual time.
#pragma once

#include <fstream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/proxy/nginx.hpp"
#include "agent/proxy/nginx_container.hpp"
#include "tests/fakes/run.hpp"
#include "tests/fakes/temp_dir.hpp"
#include "tests/proxy/simulated_nginx.hpp"

namespace deploy::proxy {

inline ports::Route backend(const std::string& address) {
  ports::Route route;
  route.service = "backend";
  route.settings.upstream = "backend";
  route.settings.port = 8080;
  route.targets = {{address, 8080}};
  return route;
}

struct NginxWorld {
  tests::TempDir folder;
  tests::TempDir proc;  // in place of /proc
  tests::FakeClock clock;
  SimulatedNginx engine{clock, folder.path()};
  NginxContainer place{engine, "nginx"};
  std::optional<Nginx> nginx;

  NginxWorld() { start_agent(); }
  void start_agent() {
    NginxSettings settings{.upstreams = folder.path(),
                           .marker_port = 19010,
                           .network = "deployctl",
                           .address = "10.213.176.2",
                           .subnet = "10.213.176.0/22",
                           .aliases = {"backend"},
                           .proc = proc.path()};
    nginx.emplace(place, clock, settings, [this] { return engine.ask_marker(); });
  }
  ports::SwitchReport apply(std::vector<ports::Route> routes) {
    return tests::run_virtual(clock, nginx->apply(std::move(routes)));
  }
  Error error_of_apply(std::vector<ports::Route> routes) {
    return tests::error_of([&] { apply(std::move(routes)); });
  }
  bool wait_retired(std::chrono::milliseconds limit) {
    return tests::run_virtual(clock, nginx->wait_retired_workers(limit));
  }
  void write(const std::string& name, const std::string& content) { std::ofstream(folder / name) << content; }
  std::string read(const std::string& name) const {
    std::ifstream file(folder / name);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  bool exists(const std::string& name) const { return std::filesystem::exists(folder / name); }
  int accepting() const {
    return static_cast<int>(
        std::count_if(engine.processes_now.begin(), engine.processes_now.end(),
                      [](const auto& process) { return process.title == "nginx: worker process"; }));
  }
};

}  // namespace deploy::proxy
