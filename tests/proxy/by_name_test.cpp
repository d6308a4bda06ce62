// Where there is no proxy.
#include "agent/proxy/by_name.hpp"

#include <catch2/catch_all.hpp>

#include "agent/domain/labels.hpp"
#include "tests/fakes/fake_engine.hpp"
#include "tests/fakes/run.hpp"

using namespace deploy;

TEST_CASE("who has the requests is read from the containers' names") {
  tests::FakeEngine engine;
  tests::run(engine.create_network({"internal", "10.1.0.0/16", "", false, {}}));
  tests::run(engine.create_network({"deployctl", "10.2.0.0/16", "", false, {}}));
  const auto make = [&](const std::string& name, const std::string& instance, const std::string& address) {
    ports::ContainerSpec spec;
    spec.name = name;
    spec.image = engine.add_image(name + ":1");
    spec.network.network = "internal";
    spec.labels = {{domain::labels::instance, instance}, {domain::labels::service, "backend"}};
    const auto id = tests::run(engine.create(spec));
    tests::run(engine.connect(id, {"deployctl", address, {}}));
  };
  make("backend-3f2a1c9-c0de-1", "ours", "10.2.0.10");
  proxy::ByName proxy(engine, "ours", "deployctl");
  CHECK(tests::run(proxy.routed()).empty());
  make("backend", "ours", "10.2.0.11");
  CHECK(tests::run(proxy.routed()) == std::vector<ports::Endpoint>{{"10.2.0.11", 0}});
  CHECK(tests::run(proxy::ByName(engine, "another", "deployctl").routed()).empty());
  CHECK_FALSE(tests::run(proxy.apply({})).proxied);
}
