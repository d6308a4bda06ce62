#include <catch2/catch_all.hpp>

#include "agent/config/schema.hpp"
#include "tests/config/support.hpp"

using namespace deploy;
using deploy::tests::service_errors;

TEST_CASE("`compose` names a service of Compose files, beside which `container` has little to say") {
  config::Diagnostics diagnostics;
  const auto file = config::parse_service("/etc/deployctl/deploy.d/web.yaml",
                                          "{ service: web, on: manual, source: { image: web }, exclusive: [data], "
                                          "compose: { files: [../a.yml, /srv/b.yml], service: api, profiles: [p], "
                                          "project: shop, ignore: [services.api.tty] }, container: { pre_stop: [x] } }",
                                          diagnostics);
  CHECK(diagnostics.render().empty());
  const auto& compose = file.value().compose.value();
  CHECK(compose.files == std::vector<std::string>{"/etc/deployctl/a.yml", "/srv/b.yml"});
  CHECK(compose.service == "api");
  CHECK(compose.profiles == std::vector<std::string>{"p"});
  CHECK(compose.project == "shop");
  CHECK(compose.ignore == std::vector<std::string>{"services.api.tty"});
  CHECK(compose.exclusive == std::vector<std::string>{"data"});
  CHECK_FALSE(compose.strategy_is_named);
  CHECK(file.value().service.strategy == domain::StrategyKind::recreate);
  CHECK(file.value().service.container.pre_stop == std::vector<std::string>{"x"});
  CHECK(config::parse_service("w.yaml", "{ service: web, on: manual, source: { image: web }, compose: { files: [a] } }",
                              diagnostics)
            ->compose->service == "web");
  CHECK(
      service_errors("service: web\non: manual\nsource: { image: web }\ncompose: { files: [a.yml] }\n"
                     "container:\n  pre_stop: [x]\n  user: root\n") ==
      "s.yaml:7:3: error: `container.user` cannot stand beside `compose`, whose files say what the container is like\n"
      "    user: root\n"
      "    ^\n"
      "  hint: write it there; only `container.pre_stop` can stand here\n");
}
