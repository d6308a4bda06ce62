// Docker Compose on the real engine: the containers that it makes of a file, and ours of the same file.
#pragma once

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "agent/adopt/compose_settings.hpp"
#include "agent/config/variables.hpp"
#include "agent/source/host_process_runner.hpp"
#include "tests/contract/engine_world.hpp"
#include "tests/fakes/temp_dir.hpp"

namespace deploy::tests {

/// Runs each command once: what Compose says of a file is the same for each of its services.
class RememberingRunner final : public ports::ProcessRunner {
 public:
  Task<ports::ProcessResult> run(ports::ProcessSpec spec) override {
    const auto known = results_.find(spec.argv);
    if (known != results_.end()) co_return known->second;
    auto result = co_await runner_.run(spec);
    results_[spec.argv] = result;
    co_return result;
  }

 private:
  source::HostProcessRunner runner_;
  std::map<std::vector<std::string>, ports::ProcessResult> results_;
};

/// A project of one file in a folder of its own. Needs what RealWorld needs, and `docker compose`.
class ComposeWorld {
 public:
  /// `volumes` are those of another project.
  explicit ComposeWorld(const nlohmann::json& services, const std::vector<std::string>& volumes = {})
      : project_(world_.prefix() + "p") {
    model_ = {{"name", project_},
              {"services", services},
              {"volumes", {{"data", nlohmann::json::object()}}},
              {"secrets", {{"token", {{"file", "./secret.txt"}}}}},
              {"configs", {{"app", {{"file", "./app.conf"}}}}}};
    for (const auto& name : volumes) model_["volumes"][name] = {{"name", name}, {"external", true}};
    for (auto& service : model_["services"]) {
      service["image"] = world_.image();
      const bool has_command = service.contains("command") || service.contains("entrypoint");
      if (!has_command) service["command"] = {"sleep", "1000"};  // the image has none
    }
    write("docker-compose.yml", model_.dump(1));
    write("secret.txt", "secret");
    write("app.conf", "conf");
  }
  ~ComposeWorld() {
    try {
      compose({"down", "--volumes", "--timeout", "0"});
    } catch (const std::exception&) {
      // The world's own clean-up says what is left.
    }
  }
  ComposeWorld(const ComposeWorld&) = delete;

  std::string path(const std::string& name) const { return folder_ / name; }
  void write(const std::string& name, const std::string& text) const { std::ofstream(folder_ / name) << text; }
  RealWorld& world() { return world_; }

  ports::ProcessResult compose(const std::vector<std::string>& words) {
    ports::ProcessSpec spec;
    spec.argv = {"docker", "compose", "--file", path("docker-compose.yml")};
    spec.argv.insert(spec.argv.end(), words.begin(), words.end());
    spec.deadline = std::chrono::minutes(4);
    source::HostProcessRunner runner;
    return run(runner.run(spec));
  }

  /// Compose makes the containers of all services, and starts none.
  void create() {
    const auto made = compose({"create", "--no-build"});
    if (made.exit_code != 0) throw std::runtime_error("docker compose create: " + made.error_output);
  }

  /// What the engine says of the one that Compose made.
  nlohmann::json theirs(const std::string& service) { return inspect(project_ + "-" + service + "-1"); }

  /// What a rollout would keep of a service.
  domain::Service settings(const std::string& name) {
    domain::Service service;
    service.name = name;
    config::ComposeSource source;
    source.files = {path("docker-compose.yml")};
    source.service = name;
    service = run(adopt::with_compose(runner_, service, source, "shared"));
    service.container.networks.clear();
    return service;
  }

  /// The same of one that is made with these settings, as a rollout makes it.
  nlohmann::json ours(const std::string& name) {
    ports::ContainerSpec spec;
    spec.settings = config::resolve(settings(name)).container;
    spec.name = world_.prefix() + name;
    spec.image = world_.image();
    spec.labels = {{world_label, world_.prefix()}};
    return inspect(run(world_.engine().create(spec)));
  }

 private:
  nlohmann::json inspect(const std::string& id) {
    return nlohmann::json::parse(world_.raw("GET", "/containers/" + id + "/json"));
  }

  RealWorld world_;
  TempDir folder_;
  std::string project_;
  nlohmann::json model_;
  RememberingRunner runner_;
};

}  // namespace deploy::tests
