// Which container a name leads to, where several have it. Needs what engine_contract_real needs.
#include <catch2/catch_all.hpp>

#include "tests/contract/engine_world.hpp"

namespace deploy::tests {

using namespace std::chrono_literals;

TEST_CASE("real engine: a link's name leads to its container, whoever else has the name, and while it runs") {
  RealWorld world;
  auto& engine = world.engine();
  const auto shared = world.prefix() + "shared";
  const auto routing = world.prefix() + "routing";
  const auto subnet = world.subnet();
  run(engine.create_network({shared, "", "", false, {}}));
  run(engine.create_network({routing, subnet + ".0/24", subnet + ".128/25", true, {}}));
  const auto on_shared = [&](const std::string& name) {
    auto spec = sleeper(world, name);
    spec.network.network = shared;
    return run(engine.create(spec));
  };
  const auto name = world.prefix() + "llm";
  const ports::Links links{{name, world.prefix() + "nginx"}};
  const auto namesake = on_shared("llm");  // as a container that was taken up
  const auto nginx = on_shared("nginx");
  run(engine.connect(nginx, {routing, subnet + ".2", {name}}));
  const auto made = on_shared("made");  // connected before it starts, as a target
  run(engine.connect(made, {routing, "", {}, links}));
  const auto taken_up = on_shared("taken-up");  // and while it runs
  for (const auto& id : {namesake, nginx, made, taken_up}) run(engine.start(id));
  run(engine.connect(taken_up, {routing, "", {}, links}));
  run(engine.connect(namesake, {routing, subnet + ".3", {}, links}));
  const auto leads_to = [&](const std::string& from) {
    const auto said = run(engine.exec(from, {{"ping", "-c", "1", "-W", "1", name}, 10s})).output;
    return said.substr(0, said.find(')'));  // "PING name (address"
  };
  for (int times = 0; times < 10; ++times) {  // of several addresses the engine gives any first
    for (const auto& from : {made, taken_up, namesake}) CHECK(leads_to(from) == "PING " + name + " (" + subnet + ".2");
  }
  run(engine.stop(nginx, 0s));
  run(engine.disconnect(namesake, routing));
  const auto left = run(engine.inspect(namesake)).value().networks.front().address;
  CHECK(leads_to(made) == "PING " + name + " (" + left);
}

}  // namespace deploy::tests
