// What the fake and the real engine both do. What only a real one can show is in engine_contract_real.cpp.
#include <catch2/catch_all.hpp>
#include <thread>

#include "tests/contract/engine_world.hpp"
#include "tests/fakes/memory_tree.hpp"

namespace deploy::tests {

using namespace std::chrono_literals;
using Catch::Matchers::StartsWith;

namespace {

/// Polls a container until `condition` holds; the last state where it never does.
template <class Condition>
ports::Container wait_for(ports::ContainerEngine& engine, const std::string& id, Condition condition) {
  for (int i = 0; i < 300; ++i) {
    const auto container = run(engine.inspect(id));
    if (container && condition(*container)) return *container;
    std::this_thread::sleep_for(50ms);
  }
  FAIL("container " << id << " never became what was expected");
  return {};
}

ports::Container wait_exited(ports::ContainerEngine& engine, const std::string& id) {
  return wait_for(engine, id, [](const auto& container) { return container.state == "exited"; });
}

const ports::NetworkEndpoint* endpoint_of(const ports::Container& container, const std::string& network) {
  for (const auto& endpoint : container.networks) {
    if (endpoint.network == network) return &endpoint;
  }
  return nullptr;
}

}  // namespace

TEMPLATE_TEST_CASE("engine: a container is created, started, stopped and removed, each as often as one likes", "",
                   FakeWorld, RealWorld) {
  TestType world;
  auto& engine = world.engine();
  const auto id = run(engine.create(sleeper(world, "a")));
  auto container = run(engine.inspect(id)).value();
  CHECK(container.id == id);
  CHECK(container.name == world.prefix() + "a");
  CHECK(container.state == "created");
  CHECK(container.pid == 0);
  CHECK(container.labels.at(world_label) == world.prefix());
  CHECK(container.health == "none");

  run(engine.start(id));
  run(engine.start(id));
  container = run(engine.inspect(world.prefix() + "a")).value();
  CHECK(container.state == "running");
  CHECK(container.pid > 0);
  CHECK(container.image_id == run(engine.inspect_image(world.image())).value().id);

  run(engine.stop(id, 0s));
  run(engine.stop(id, 0s));
  container = run(engine.inspect(id)).value();
  CHECK(container.state == "exited");
  CHECK(container.pid == 0);

  run(engine.remove(id));
  run(engine.remove(id));
  CHECK_FALSE(run(engine.inspect(id)).has_value());
}

TEMPLATE_TEST_CASE("engine: what does not exist is not found", "", FakeWorld, RealWorld) {
  TestType world;
  auto& engine = world.engine();
  CHECK_FALSE(run(engine.inspect("nobody")).has_value());
  CHECK_FALSE(run(engine.inspect_network("nowhere")).has_value());
  CHECK_FALSE(run(engine.inspect_image("nothing:1")).has_value());
  const auto started = error_of([&] { run(engine.start("nobody")); });
  CHECK(started.kind() == ErrorKind::not_found);
  CHECK(started.message() == "start container nobody: No such container: nobody");
  CHECK(error_of([&] { run(engine.stop("nobody", 1s)); }).kind() == ErrorKind::not_found);
  CHECK(error_of([&] { run(engine.log_tail("nobody", 1)); }).kind() == ErrorKind::not_found);
  CHECK(error_of([&] { run(engine.exec("nobody", {{"true"}, 5s})); }).kind() == ErrorKind::not_found);
  auto spec = sleeper(world, "a");
  spec.image = "contract/unknown:1";
  const auto created = error_of([&] { run(engine.create(spec)); });
  CHECK(created.kind() == ErrorKind::not_found);
  CHECK(created.message() == "create container " + spec.name + ": No such image: contract/unknown:1");
}

TEMPLATE_TEST_CASE("engine: a name is taken once", "", FakeWorld, RealWorld) {
  TestType world;
  auto& engine = world.engine();
  run(engine.create(sleeper(world, "a")));
  const auto error = error_of([&] { run(engine.create(sleeper(world, "a"))); });
  CHECK(error.kind() == ErrorKind::conflict);
  const auto name = world.prefix() + "a";
  CHECK_THAT(error.message(), StartsWith("create container " + name + ": Conflict. The container name \"/" + name +
                                         "\" is already in use"));
}

TEMPLATE_TEST_CASE("engine: a container is renamed while it runs, to a name that nobody has", "", FakeWorld,
                   RealWorld) {
  TestType world;
  auto& engine = world.engine();
  const auto a = run(engine.create(sleeper(world, "a")));
  run(engine.create(sleeper(world, "b")));
  run(engine.start(a));
  const auto prefix = world.prefix();
  CHECK(error_of([&] { run(engine.rename(a, prefix + "b")); }).kind() == ErrorKind::conflict);
  CHECK(error_of([&] { run(engine.rename(prefix + "unknown", prefix + "c")); }).kind() == ErrorKind::not_found);
  run(engine.rename(a, prefix + "c"));
  CHECK(run(engine.inspect(prefix + "c"))->id == a);
  CHECK_FALSE(run(engine.inspect(prefix + "a")));
}

TEMPLATE_TEST_CASE("engine: containers are listed by all their labels", "", FakeWorld, RealWorld) {
  TestType world;
  auto& engine = world.engine();
  auto one = sleeper(world, "a");
  one.labels["role"] = "x=y";
  auto two = sleeper(world, "b");
  two.labels["role"] = "z";
  two.settings.labels[world_label] = "the users' own does not win";
  run(engine.create(one));
  run(engine.start(run(engine.create(two))));
  CHECK(run(engine.list({{world_label, world.prefix()}})).size() == 2);
  const auto found = run(engine.list({{world_label, world.prefix()}, {"role", "x=y"}}));
  REQUIRE(found.size() == 1);
  CHECK(found.front().name == one.name);
  CHECK(found.front().state == "created");
  CHECK(found.front().labels.at("role") == "x=y");
  CHECK(run(engine.list({{world_label, world.prefix()}, {"role", "none"}})).empty());
}

TEMPLATE_TEST_CASE("engine: a command's exit code and output come back", "", FakeWorld, RealWorld) {
  TestType world;
  auto& engine = world.engine();
  const auto id = run(engine.create(sleeper(world, "a")));
  const auto early = error_of([&] { run(engine.exec(id, {{"true"}, 5s})); });
  CHECK(early.kind() == ErrorKind::conflict);
  // The engine's own words begin with a capital or not, from version to version.
  CHECK(early.message().starts_with("run true in container " + id + ": "));
  CHECK(early.message().ends_with("ontainer " + id + " is not running"));
  run(engine.start(id));
  const auto written = run(engine.exec(id, {{"sh", "-c", script_output}, 10s}));
  CHECK(written.exit_code == 0);
  // Two pipes carry the streams: only the order within each is certain.
  CHECK_THAT(written.output, Catch::Matchers::ContainsSubstring("out\n"));
  CHECK_THAT(written.output, Catch::Matchers::ContainsSubstring("err\n"));
  CHECK(written.output.size() == std::string("out\nerr\nend").size());
  const auto failed = run(engine.exec(id, {{"sh", "-c", script_failure}, 10s}));
  CHECK(failed.exit_code == 3);
  CHECK(failed.output.empty());
}

TEMPLATE_TEST_CASE("engine: the log holds both streams, and a last line without an end", "", FakeWorld, RealWorld) {
  TestType world;
  auto& engine = world.engine();
  const auto id = run(engine.create(scripted(world, "a", script_output)));
  run(engine.start(id));
  CHECK(wait_exited(engine, id).exit_code == 0);
  auto lines = run(engine.log_tail(id, 10));
  std::sort(lines.begin(), lines.end());
  CHECK(lines == std::vector<std::string>{"end", "err", "out"});
  CHECK(run(engine.log_tail(id, 1)).size() == 1);
  std::vector<std::string> followed;
  run(engine.follow_logs(id, {-1, true}, [&](std::string_view line) { followed.emplace_back(line); }));
  std::sort(followed.begin(), followed.end());
  CHECK(followed == lines);
}

TEMPLATE_TEST_CASE("engine: an exit code is kept", "", FakeWorld, RealWorld) {
  TestType world;
  auto& engine = world.engine();
  const auto id = run(engine.create(scripted(world, "a", script_failure)));
  run(engine.start(id));
  const auto container = wait_exited(engine, id);
  CHECK(container.exit_code == 3);
  CHECK(container.restart_count == 0);
  CHECK(run(engine.established_connections(id, 80)) == 0);
}

TEMPLATE_TEST_CASE("engine: a container that ends at once is restarted where it asks for it", "", FakeWorld,
                   RealWorld) {
  TestType world;
  auto& engine = world.engine();
  auto spec = scripted(world, "a", script_failure);
  spec.settings.restart = "unless-stopped";
  const auto id = run(engine.create(spec));
  run(engine.start(id));
  const auto container = wait_for(engine, id, [](const auto& seen) { return seen.restart_count > 0; });
  CHECK(container.exit_code == 3);
}

TEMPLATE_TEST_CASE("engine: addresses on a network with a subnet are fixed", "", FakeWorld, RealWorld) {
  TestType world;
  auto& engine = world.engine();
  const auto network = world.prefix() + "net";
  const auto subnet = world.subnet();
  ports::NetworkSpec spec{network, subnet + ".0/24", subnet + ".128/25", true, {{world_label, world.prefix()}}};
  run(engine.create_network(spec));
  const auto taken = error_of([&] { run(engine.create_network(spec)); });
  CHECK(taken.kind() == ErrorKind::conflict);
  CHECK_THAT(taken.message(),
             StartsWith("create network " + network + ": network with name " + network + " already exists"));
  auto overlapping = spec;
  overlapping.name = world.prefix() + "other";
  CHECK(error_of([&] { run(engine.create_network(overlapping)); }).kind() == ErrorKind::conflict);

  auto fixed = sleeper(world, "fixed");
  fixed.network = {network, subnet + ".10", {"alias-a"}};
  const auto fixed_id = run(engine.create(fixed));
  auto automatic = sleeper(world, "automatic");
  automatic.network = {network, "", {}};
  const auto automatic_id = run(engine.create(automatic));
  run(engine.start(automatic_id));
  run(engine.start(fixed_id));

  const auto container = run(engine.inspect(fixed_id)).value();
  const auto* endpoint = endpoint_of(container, network);
  REQUIRE(endpoint != nullptr);
  CHECK(endpoint->address == subnet + ".10");
  CHECK(std::count(endpoint->aliases.begin(), endpoint->aliases.end(), "alias-a") == 1);
  CHECK(container.network_mode == network);

  const auto seen = run(engine.inspect_network(network)).value();
  CHECK(seen.subnets == std::vector<std::string>{subnet + ".0/24"});
  CHECK(seen.labels.at(world_label) == world.prefix());
  REQUIRE(seen.endpoints.size() == 2);
  const auto& own = seen.endpoints[0].network == fixed_id ? seen.endpoints[0] : seen.endpoints[1];
  CHECK(own.network == fixed_id);
  CHECK(own.address == subnet + ".10");
  const auto other = run(engine.inspect(automatic_id)).value();
  CHECK_THAT(endpoint_of(other, network)->address, StartsWith(subnet + ".1"));
  CHECK(endpoint_of(other, network)->address != subnet + ".1");

  // It keeps its address while it is stopped.
  run(engine.stop(fixed_id, 0s));
  const auto stopped = run(engine.inspect(fixed_id)).value();
  CHECK(endpoint_of(stopped, network)->address == subnet + ".10");
  const auto all = run(engine.networks());
  CHECK(std::count_if(all.begin(), all.end(), [&](const auto& entry) { return entry.name == network; }) == 1);
}

TEMPLATE_TEST_CASE("engine: an address is taken once", "", FakeWorld, RealWorld) {
  TestType world;
  auto& engine = world.engine();
  const auto network = world.prefix() + "net";
  const auto subnet = world.subnet();
  run(engine.create_network({network, subnet + ".0/24", subnet + ".128/25", true, {}}));
  auto one = sleeper(world, "a");
  one.network = {network, subnet + ".10", {}};
  run(engine.start(run(engine.create(one))));
  auto two = sleeper(world, "b");
  two.network = {network, subnet + ".10", {}};
  const auto id = run(engine.create(two));
  const auto error = error_of([&] { run(engine.start(id)); });
  CHECK(error.kind() == ErrorKind::conflict);
  CHECK(error.message() == "start container " + id + ": Address already in use");
  CHECK(run(engine.inspect(id)).value().state == "created");
}

TEMPLATE_TEST_CASE("engine: a running container is connected to a network and disconnected", "", FakeWorld, RealWorld) {
  TestType world;
  auto& engine = world.engine();
  const auto network = world.prefix() + "net";
  const auto subnet = world.subnet();
  run(engine.create_network({network, subnet + ".0/24", subnet + ".128/25", true, {}}));
  const auto id = run(engine.create(sleeper(world, "a")));
  run(engine.start(id));
  run(engine.connect(id, {network, subnet + ".20", {"llm", "backend"}}));
  const auto again = error_of([&] { run(engine.connect(id, {network, subnet + ".21", {}})); });
  CHECK(again.kind() == ErrorKind::conflict);
  const auto container = run(engine.inspect(id)).value();
  const auto* endpoint = endpoint_of(container, network);
  REQUIRE(endpoint != nullptr);
  CHECK(endpoint->address == subnet + ".20");
  CHECK(std::count(endpoint->aliases.begin(), endpoint->aliases.end(), "llm") == 1);
  CHECK(std::count(endpoint->aliases.begin(), endpoint->aliases.end(), "backend") == 1);
  CHECK(container.networks.size() == 2);

  run(engine.disconnect(id, network));
  run(engine.disconnect(id, network));
  CHECK(endpoint_of(run(engine.inspect(id)).value(), network) == nullptr);
  CHECK(error_of([&] { run(engine.connect(id, {"nowhere", "", {}})); }).kind() == ErrorKind::not_found);
}

TEMPLATE_TEST_CASE("engine: a container is connected before it starts", "", FakeWorld, RealWorld) {
  TestType world;
  auto& engine = world.engine();
  const auto network = world.prefix() + "net";
  const auto subnet = world.subnet();
  run(engine.create_network({network, subnet + ".0/24", subnet + ".128/25", true, {}}));
  const auto id = run(engine.create(sleeper(world, "a")));
  run(engine.connect(id, {network, subnet + ".20", {}}));
  CHECK(endpoint_of(run(engine.inspect(id)).value(), network)->address == subnet + ".20");
  CHECK(run(engine.inspect_network(network)).value().endpoints.empty());
  run(engine.start(id));
  CHECK(endpoint_of(run(engine.inspect(id)).value(), network)->address == subnet + ".20");
  CHECK(run(engine.inspect_network(network)).value().endpoints.size() == 1);
}

TEMPLATE_TEST_CASE("engine: processes are listed by their host's ids", "", FakeWorld, RealWorld) {
  TestType world;
  auto& engine = world.engine();
  const auto id = run(engine.create(sleeper(world, "a")));
  CHECK(error_of([&] { run(engine.processes(id, 0)); }).kind() == ErrorKind::conflict);
  run(engine.start(id));
  const auto processes = run(engine.processes(id, 0));
  REQUIRE(processes.size() == 1);
  CHECK(processes.front().pid == run(engine.inspect(id)).value().pid);
  CHECK(processes.front().title == "sleep 1000");
  const auto pid = processes.front().pid;
  CHECK(run(engine.processes(id, pid)).at(0).title == "sleep 1000");
  CHECK(run(engine.processes(id, pid + 1)).at(0).pid == pid);
}

TEMPLATE_TEST_CASE("engine: a signal needs a running container", "", FakeWorld, RealWorld) {
  TestType world;
  auto& engine = world.engine();
  const auto id = run(engine.create(sleeper(world, "a")));
  const auto error = error_of([&] { run(engine.signal(id, "SIGHUP")); });
  CHECK(error.kind() == ErrorKind::conflict);
  CHECK_THAT(error.message(), StartsWith("signal container " + id + ": "));
  run(engine.start(id));
  run(engine.signal(id, "SIGWINCH"));
  CHECK(run(engine.inspect(id)).value().state == "running");
}

TEMPLATE_TEST_CASE("engine: an image is built, found by its label, and removed when nothing uses it", "", FakeWorld,
                   RealWorld) {
  TestType world;
  auto& engine = world.engine();
  auto tree = std::make_shared<MemoryTree>();
  tree->add("Dockerfile", "FROM contract/busybox:1\nLABEL fresh=" + world.prefix() + "\n");
  ports::BuildRequest request;
  request.context = tree;
  request.dockerfile = "Dockerfile";
  request.tag = "contract/" + world.prefix() + "app:1";
  request.labels = {{world_label, world.prefix()}};
  const auto id = run(engine.build(request, [](std::string_view) {}));
  CHECK_THAT(id, StartsWith("sha256:"));
  const auto image = run(engine.inspect_image(request.tag)).value();
  CHECK(image.id == id);
  CHECK(image.tags == std::vector<std::string>{request.tag});
  CHECK(image.labels.at(world_label) == world.prefix());
  CHECK_FALSE(image.has_healthcheck);
  CHECK(run(engine.inspect_image(world.health_image())).value().has_healthcheck);
  CHECK(run(engine.inspect_image(id)).value().id == id);
  const auto listed = run(engine.images(request.labels));
  REQUIRE(listed.size() == 1);
  CHECK(listed.front().id == id);
  CHECK(listed.front().tags == image.tags);

  auto spec = sleeper(world, "a");
  spec.image = request.tag;
  const auto container = run(engine.create(spec));
  CHECK_FALSE(run(engine.remove_image(request.tag)));
  CHECK(run(engine.inspect_image(request.tag)).has_value());
  run(engine.remove(container));
  CHECK(run(engine.remove_image(request.tag)));
  CHECK_FALSE(run(engine.remove_image(request.tag)));
  CHECK_FALSE(run(engine.inspect_image(request.tag)).has_value());
}

}  // namespace deploy::tests
