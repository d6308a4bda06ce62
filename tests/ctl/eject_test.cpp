// eject against an agent that answers by a script.
#include <catch2/catch_all.hpp>
#include <fstream>
#include <nlohmann/json.hpp>

#include "agent/api/views.hpp"
#include "agent/domain/service.hpp"
#include "tests/ctl/scripted_agent.hpp"

using namespace deploy;
using namespace deploy::tests;
using nlohmann::json;

namespace {

struct Host {
  Host() {
    std::filesystem::create_directory(folder / "deploy.d");
    std::ofstream(config) << "network: internal\nproxy: { nginx: { container: nginx, upstreams: /srv/up } }\n";
  }
  std::vector<std::string> command() const {
    return {"--socket", agent.socket(), "eject", "--config", config, "--into", into};
  }

  TempDir folder;
  ScriptedAgent agent;
  std::string config = folder / "agent.yaml";
  std::string into = folder / "out";
};

api::LiveServicesView live_backend() {
  domain::Service service;
  service.name = "backend";
  service.proxy.port = 8080;
  service.proxy.upstream = "backend";
  service.container.environment = {{"PASSWORD", "${PASSWORD}"}};
  return {{{"backend", "backend-1-1", "sha256:1", domain::to_json_value(service).dump(), {"backend-1-1-1-1"}}}, {}};
}

}  // namespace

TEST_CASE("eject writes files for their owner alone, and prints commands") {
  Host host;
  host.agent.on("GET /v1/live", live_backend());
  const auto ran = deployctl(host.command());
  CHECK(ran.code == 0);
  CHECK(ran.err.starts_with("deployctl: wrote 2 files to " + host.into +
                            ", and changed nothing else. These commands, in this order, let the host do without "
                            "deployctl:\nnote: deployd's files ("));
  CHECK(ran.out.starts_with("# deployd ends; what is live serves on\nsystemctl disable --now deployd\n"));
  for (const auto* name : {"/backend.yml", "/upstreams/backend.conf"}) {
    CHECK(std::filesystem::status(host.into + name).permissions() ==
          (std::filesystem::perms::owner_read | std::filesystem::perms::owner_write));
  }
  const auto again = deployctl(host.command());
  CHECK(again.code == 2);
  CHECK(again.err == "deployctl: " + host.into + " is there already: remove it, or name another folder with --into\n");
  CHECK(again.out.empty());
}

TEST_CASE("eject writes nothing where what is live would not stay so, or nothing is") {
  Host host;
  auto view = live_backend();
  view.under_way = {"backend"};
  host.agent.on("GET /v1/live", view);
  view = {};
  host.agent.on("GET /v1/live", view);
  const auto busy = deployctl(host.command());
  CHECK(busy.code == 2);
  CHECK(busy.err == "deployctl: backend is being rolled out: wait for the end, or cancel it\n");
  const auto idle = deployctl(host.command());
  CHECK(idle.code == 2);
  CHECK(idle.err == "deployctl: no service is live, so there is nothing to give back\n");
  std::ofstream(host.config) << "network: 1\nnetwork: 2\n";
  const auto invalid = deployctl(host.command());
  CHECK(invalid.code == 2);
  CHECK(invalid.err.ends_with("deployctl: " + host.config + " is not valid; correct it first\n"));
  CHECK_FALSE(std::filesystem::exists(host.into));
}
