// A ContainerEngine of which nothing may be called: a base for scripted engines that need a few calls only.
#pragma once

#include <stdexcept>

#include "agent/ports/container_engine.hpp"

namespace deploy::tests {

// The names of parameters say nothing that the port's do not.
class NullEngine : public ports::ContainerEngine {
 public:
  Task<ports::EngineVersion> version() override { unexpected("version"); }
  Task<void> follow_events(ports::OnEvent) override { unexpected("follow_events"); }
  Task<std::optional<ports::DiskSpace>> disk_space() override { unexpected("disk_space"); }
  Task<std::vector<ports::Container>> list(ports::Labels) override { unexpected("list"); }
  Task<std::optional<ports::Container>> inspect(std::string) override { unexpected("inspect"); }
  Task<std::string> create(ports::ContainerSpec) override { unexpected("create"); }
  Task<void> start(std::string) override { unexpected("start"); }
  Task<void> stop(std::string, std::chrono::seconds) override { unexpected("stop"); }
  Task<void> rename(std::string, std::string) override { unexpected("rename"); }
  Task<void> signal(std::string, std::string) override { unexpected("signal"); }
  Task<void> remove(std::string) override { unexpected("remove"); }
  Task<std::vector<std::string>> log_tail(std::string, int) override { unexpected("log_tail"); }
  Task<void> follow_logs(std::string, ports::LogOptions, ports::OnLog) override { unexpected("follow_logs"); }
  Task<ports::ExecResult> exec(std::string, ports::ExecRequest) override { unexpected("exec"); }
  Task<std::vector<ports::ProcessEntry>> processes(std::string, std::int64_t) override { unexpected("processes"); }
  Task<std::optional<int>> established_connections(std::string, std::uint16_t) override {
    unexpected("established_connections");
  }
  Task<std::vector<ports::Network>> networks() override { unexpected("networks"); }
  Task<std::optional<ports::Network>> inspect_network(std::string) override { unexpected("inspect_network"); }
  Task<void> create_network(ports::NetworkSpec) override { unexpected("create_network"); }
  Task<void> connect(std::string, ports::NetworkEndpoint) override { unexpected("connect"); }
  Task<void> disconnect(std::string, std::string) override { unexpected("disconnect"); }
  Task<std::string> build(ports::BuildRequest, ports::OnLog) override { unexpected("build"); }
  Task<ports::Image> pull(std::string, ports::OnLog) override { unexpected("pull"); }
  Task<std::string> remote_digest(std::string) override { unexpected("remote_digest"); }
  Task<std::optional<ports::Image>> inspect_image(std::string) override { unexpected("inspect_image"); }
  Task<std::vector<ports::Image>> images(ports::Labels) override { unexpected("images"); }
  Task<bool> remove_image(std::string) override { unexpected("remove_image"); }

 private:
  [[noreturn]] static void unexpected(const char* call) {
    throw std::logic_error(std::string("the engine's ") + call + " was not expected to be called");
  }
};

}  // namespace deploy::tests
