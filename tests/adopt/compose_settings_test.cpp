#include "agent/adopt/compose_settings.hpp"

#include <catch2/catch_all.hpp>
#include <fstream>
#include <nlohmann/json.hpp>

#include "agent/base/error.hpp"
#include "agent/config/variables.hpp"
#include "tests/fakes/run.hpp"
#include "tests/fakes/temp_dir.hpp"

namespace deploy::tests {
namespace {

using Texts = std::vector<std::string>;

/// Answers as Compose 2.26.1 does: `written` with --no-interpolate, `resolved` without.
class PrintingCompose final : public ports::ProcessRunner {
 public:
  Task<ports::ProcessResult> run(ports::ProcessSpec spec) override {
    if (spec.argv[2] == "version") co_return ports::ProcessResult{0, "2.26.1\n", ""};
    const auto& printed = spec.argv.back() == "--no-interpolate" ? written : resolved;
    ports::ProcessResult result{0, R"({"services": {"web": )" + printed + R"(}, "networks": {"default":
      {"name": "shop_default"}, "internal": {"name": "internal"}}})",
                                warnings};
    co_return result;
  }

  std::string resolved = "{}";
  std::string written = "{}";
  std::string warnings;
};

struct Shop {
  Shop() {
    source.files = {path("docker-compose.yml")};
    source.service = "web";
    write("docker-compose.yml", "");
    service.name = "backend";
  }
  std::string path(const std::string& name) const { return folder / name; }
  void write(const std::string& name, const std::string& text) const { std::ofstream(folder / name) << text; }
  domain::Service complete() { return run(adopt::with_compose(compose, service, source, "internal")); }
  /// What is wrong, without the service's name in front.
  std::string problem(ErrorKind kind = ErrorKind::invalid) {
    const auto error = error_of([this] { complete(); });
    CHECK(error.kind() == kind);
    CHECK(error.message().starts_with("service backend: "));
    return error.message().substr(std::string("service backend: ").size());
  }

  TempDir folder;
  PrintingCompose compose;
  config::ComposeSource source;
  domain::Service service;
};

}  // namespace

TEST_CASE("a service with `compose` gets its container from there, and the files of its variables") {
  Shop shop;
  shop.write(".env", "A=1\n");
  shop.write("app.env", "TOKEN=s3cret\n");
  shop.service.vars = {"/dev/null"};
  shop.service.container.pre_stop = {"drain", "$A"};
  shop.compose.resolved = R"({"environment": {"URL": "a/1", "TOKEN": "s3cret"}, "command": ["run", "$$HOME"],
      "healthcheck": {"test": ["CMD", "ping", "-a", "1"]}, "logging": {"driver": "x", "options": {"token": "1"}},
      "build": {"context": "/srv", "ssh": ["default"]}, "image": "web:1", "networks": {"default": null, "internal": null}})";
  shop.compose.written = R"({"environment": ["URL=a/${A}"], "command": ["run", "$$HOME"],
      "healthcheck": {"test": ["CMD", "ping", "-a", "${A}"]}, "logging": {"driver": "x", "options": {"token": "$A"}},
      "env_file": [{"path": ")" +
                         shop.path("app.env") + R"(", "required": true},
                   {"path": ")" +
                         shop.path("none.env") + R"(", "required": false}]})";
  const auto service = shop.complete();
  CHECK(service.container.environment == std::map<std::string, std::string>{{"TOKEN", "${TOKEN}"}, {"URL", "a/${A}"}});
  CHECK(service.container.command == Texts{"run", "$$HOME"});
  CHECK(service.container.healthcheck.test == Texts{"CMD", "ping", "-a", "${A}"});
  CHECK(service.container.log_options == std::map<std::string, std::string>{{"token", "$A"}});
  CHECK(service.container.networks == Texts{"shop_default"});
  CHECK(service.container.pre_stop == Texts{"drain", "$A"});
  CHECK(service.vars == Texts{"/dev/null", shop.path(".env"), shop.path("app.env")});
  CHECK(config::resolve(service).container.environment.at("TOKEN") == "s3cret");
}

TEST_CASE("a variable of .env and one of the same name of an env file have both their values, or it is said") {
  Shop shop;
  shop.write(".env", "X=dot\n");
  shop.write("app.env", "X=filed\n");
  const std::string env_file = R"("env_file": [{"path": ")" + shop.path("app.env") + R"("}])";
  shop.compose.resolved = R"({"environment": {"Y": "dot"}})";
  shop.compose.written = R"({"environment": {"Y": "${X}"}, )" + env_file + "}";
  auto service = shop.complete();
  CHECK(service.vars == Texts{shop.path("app.env"), shop.path(".env")});
  shop.compose.resolved = R"({"environment": {"X": "filed"}})";
  shop.compose.written = "{" + env_file + "}";
  service = shop.complete();
  CHECK(service.vars == Texts{shop.path(".env"), shop.path("app.env")});
  shop.compose.resolved = R"({"environment": {"X": "filed", "Y": "dot"}})";
  shop.compose.written = R"({"environment": {"Y": "${X}"}, )" + env_file + "}";
  CHECK(shop.problem() ==
        "services.web.environment.X would have another value than Compose gives it: set its variables in one env file "
        "only");
}

TEST_CASE("what deployctl does not take over of a Compose file is an error, or ignored by name") {
  Shop shop;
  shop.compose.resolved = R"({"tty": true, "platform": "linux/arm64", "deploy": {"replicas": 2}})";
  CHECK(shop.problem() ==
        "services.web.platform is not supported: deployctl runs what the image is made for; services.web.tty is not "
        "supported: nobody sits in front of it; services.web.deploy.replicas is not supported: write `replicas: 2` "
        "beside `compose`, not 1; what the service can do without, list under compose.ignore");
  shop.source.ignore = {"services.web.tty", "services.web.platform", "services.web.deploy.replicas"};
  CHECK(shop.complete().replicas == 1);
  shop.compose.resolved = R"({"tty": true, "platform": "linux/arm64"})";
  CHECK(shop.problem() ==
        "compose.ignore names services.web.deploy.replicas, and there is nothing to ignore: take it out");
}

TEST_CASE("what cannot run twice at once is recreated, whatever file says so") {
  using domain::StrategyKind;
  Shop shop;
  shop.compose.resolved = R"({"ports": [{"target": 80, "published": "8080", "protocol": "tcp"}]})";
  CHECK(shop.complete().strategy == StrategyKind::recreate);
  shop.source.strategy_is_named = true;
  CHECK(shop.problem() ==
        "services.web.ports publishes port 8080 of the host, which only one container at a time can have: let Nginx "
        "listen there and take it out, or write `strategy: recreate`");
  shop.service.strategy = StrategyKind::recreate;
  CHECK(shop.complete().strategy == StrategyKind::recreate);
  shop.service.replicas = 2;
  shop.source.ignore = {"services.web.deploy.replicas"};
  CHECK(shop.problem() ==
        "services.web.ports publishes port 8080 of the host, which only one container at a time can have: write "
        "`replicas: 1`");
  Shop device;
  device.compose.resolved = R"({"devices": ["/dev/kfd"]})";
  CHECK(device.complete().strategy == StrategyKind::recreate);
  device.source.strategy_is_named = true;
  CHECK(device.complete().strategy == StrategyKind::rolling);
  device.source.exclusive = {"/dev/kfd", "data"};
  CHECK(device.problem() == "`exclusive` names data, which its container has not; it has the volumes ");
}

TEST_CASE("files, services and variables that are not there are named") {
  Shop shop;
  shop.source.service = "wed";
  CHECK(shop.problem() == shop.path("docker-compose.yml") +
                              " has no service wed; did you mean `web`?; one of a profile is there only where "
                              "compose.profiles names it");
  shop.source.service = "web";
  shop.compose.warnings =
      "time=\"x\" level=warning msg=\"The \\\"A\\\" variable is not set. Defaulting to a blank string.\"\n"
      "time=\"x\" level=warning msg=\"The \\\"AB\\\" variable is not set. Defaulting to a blank string.\"\n";
  shop.compose.resolved = R"({"user": ""})";
  shop.compose.written = R"({"user": "$A"})";
  CHECK(shop.problem(ErrorKind::not_found) ==
        "services.web uses the variable A, which is not set, and there is no "
        ".env beside " +
            shop.path("docker-compose.yml") + ": set it there, or give a default with ${A:-…}");
  shop.write(".env", "");
  shop.compose.written = R"({"user": "${A}:${AB}"})";
  CHECK(shop.problem(ErrorKind::not_found) == "services.web uses the variables A, AB, which are not set in " +
                                                  shop.path(".env") +
                                                  ": set them there, or give a default with ${A:-…}");
  shop.compose.written = R"({"user": "ABC"})";  // of other services
  shop.complete();
  shop.source.files.push_back(shop.path("other.yml"));
  CHECK(shop.problem(ErrorKind::not_found) ==
        "there is no file " + shop.path("other.yml") + ": make it, or correct compose.files");
}

}  // namespace deploy::tests
