// The container engine over the Docker Engine API. Methods are described at the port. One thread; the pool is for what
// blocks.
#pragma once

#include <boost/asio/thread_pool.hpp>
#include <string>

#include "agent/domain/image_reference.hpp"
#include "agent/engine/engine_connection.hpp"
#include "agent/engine/registry_login.hpp"
#include "agent/ports/container_engine.hpp"

namespace deploy::engine {

class DockerClient final : public ports::ContainerEngine {
 public:
  /// `endpoint` as connector_for takes it. `proc_root` is where the engine's host shows its processes. `logins`: of
  /// registries; nullptr: there are none.
  DockerClient(std::string endpoint, asio::thread_pool& pool, std::string proc_root = "/proc",
               RegistryLogins* logins = nullptr)
      : engine_(std::move(endpoint)), pool_(pool), proc_root_(std::move(proc_root)), logins_(logins) {}

  Task<ports::EngineVersion> version() override;
  Task<void> follow_events(ports::OnEvent on_event) override;
  Task<std::optional<ports::DiskSpace>> disk_space() override;

  Task<std::vector<ports::Container>> list(ports::Labels labels) override;
  Task<std::optional<ports::Container>> inspect(std::string id_or_name) override;
  Task<std::string> create(ports::ContainerSpec spec) override;
  Task<void> rename(std::string id, std::string name) override;
  Task<void> start(std::string id) override;
  Task<void> stop(std::string id, std::chrono::seconds grace) override;
  Task<void> signal(std::string id, std::string signal) override;
  Task<void> remove(std::string id) override;
  Task<std::vector<std::string>> log_tail(std::string id, int lines) override;
  Task<void> follow_logs(std::string id, ports::LogOptions options, ports::OnLog on_line) override;
  Task<ports::ExecResult> exec(std::string id, ports::ExecRequest request) override;
  Task<std::vector<ports::ProcessEntry>> processes(std::string id, std::int64_t pid) override;
  Task<std::optional<int>> established_connections(std::string id, std::uint16_t port) override;

  Task<std::vector<ports::Network>> networks() override;
  Task<std::optional<ports::Network>> inspect_network(std::string name) override;
  Task<void> create_network(ports::NetworkSpec spec) override;
  Task<void> connect(std::string container_id, ports::NetworkEndpoint endpoint) override;
  Task<void> disconnect(std::string container_id, std::string network) override;

  Task<std::string> build(ports::BuildRequest request, ports::OnLog on_log) override;
  Task<ports::Image> pull(std::string reference, ports::OnLog on_log) override;
  Task<std::string> remote_digest(std::string reference) override;
  Task<std::optional<ports::Image>> inspect_image(std::string reference) override;
  Task<std::vector<ports::Image>> images(ports::Labels labels) override;
  Task<bool> remove_image(std::string reference) override;

  /// What the engine says of a container, as it is; null where there is none.
  Task<Json> container_json(std::string id);
  /// The same of an image.
  Task<Json> image_json(std::string id);

 private:
  Task<ports::Container> require(std::string what, std::string id);
  Task<std::string> stop_signal(std::string id);
  Task<void> wait_removed(std::string id);
  Task<void> read_logs(std::string id, ports::LogOptions options, ports::OnLog on_line);
  Task<RegistryLogin> login_for(domain::Reference image);
  Task<void> pull_private_bases(std::shared_ptr<ports::SourceTree> context, std::string dockerfile,
                                ports::OnLog on_log);
  Task<ports::ExecResult> run_exec(std::string id, ports::ExecRequest request);

  EngineConnection engine_;
  asio::thread_pool& pool_;
  std::string proc_root_;
  RegistryLogins* logins_;
};

}  // namespace deploy::engine
