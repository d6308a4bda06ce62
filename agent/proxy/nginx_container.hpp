// The users' Nginx in a container, as the container engine shows it.
#pragma once

#include <set>
#include <string>

#include "agent/ports/container_engine.hpp"
#include "agent/proxy/nginx_place.hpp"

namespace deploy::proxy {

/// The engine must outlive it.
class NginxContainer final : public NginxPlace {
 public:
  NginxContainer(ports::ContainerEngine& engine, std::string name) : engine_(engine), name_(std::move(name)) {}

  std::string text() const override { return "in container " + name_; }
  std::string how_to_include(const std::filesystem::path& folder) const override;
  Task<RunningNginx> find() override;
  Task<std::optional<RunningNginx>> find_running() override;
  /// A connected endpoint cannot be given a name, so it is disconnected and connected again where one is missing.
  Task<std::string> join(RunningNginx nginx, std::string network, std::string address, std::set<std::string> aliases,
                         std::set<std::string> others) override;
  Task<Test> test(std::string id, std::string master_title) override;
  Task<NginxVersion> version(std::string id) override;
  Task<void> reload(RunningNginx nginx) override;
  Task<Workers> workers(RunningNginx nginx) override;
  /// The newest line of its log in which Nginx says why it cannot go on.
  Task<std::string> why_not_loaded(std::string id) override;

 private:
  ports::ContainerEngine& engine_;
  std::string name_;
};

}  // namespace deploy::proxy
