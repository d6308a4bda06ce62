// The users' Nginx as a process of this host.
#pragma once

#include <filesystem>
#include <string>

#include "agent/ports/process_runner.hpp"
#include "agent/proxy/nginx_place.hpp"

namespace deploy::proxy {

/// The runner must outlive it. Needs the host's own process namespace, and the right to signal Nginx's master.
class NginxOnHost final : public NginxPlace {
 public:
  /// `pid_file`: that of Nginx's directive `pid`. `proc`: "/proc". What find() returns was proved to be Nginx's master,
  /// of the user that we are, because the files that its title names are read as that user.
  NginxOnHost(ports::ProcessRunner& runner, std::filesystem::path pid_file, std::string proc = "/proc")
      : runner_(runner), pid_file_(std::move(pid_file)), proc_(std::move(proc)) {}

  std::string text() const override { return "on this host"; }
  std::string how_to_include(const std::filesystem::path& folder) const override;
  Task<RunningNginx> find() override;
  Task<std::optional<RunningNginx>> find_running() override;
  /// Does nothing: a host reaches its containers.
  Task<std::string> join(RunningNginx nginx, std::string network, std::string address, std::set<std::string> aliases,
                         std::set<std::string> others) override;
  Task<Test> test(std::string id, std::string master_title) override;
  Task<NginxVersion> version(std::string id) override;
  Task<void> reload(RunningNginx nginx) override;
  Task<Workers> workers(RunningNginx nginx) override;
  Task<std::string> why_not_loaded(std::string id) override;

 private:
  Task<ports::ProcessResult> run(std::vector<std::string> argv);

  ports::ProcessRunner& runner_;
  std::filesystem::path pid_file_;
  std::string proc_;
};

}  // namespace deploy::proxy
