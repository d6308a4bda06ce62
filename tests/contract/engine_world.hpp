// What the engine contract runs in: an engine, fake or real, with an image of a few commands, and a name of its own.
#pragma once

#include <boost/asio/thread_pool.hpp>
#include <memory>
#include <string>
#include <vector>

#include "agent/engine/docker_client.hpp"
#include "tests/fakes/fake_engine.hpp"
#include "tests/fakes/run.hpp"

namespace deploy::tests {

/// Of this test alone, so that tests can share an engine.
std::string unique_prefix();

inline constexpr auto world_label = "deployctl.contract-test";

/// The image's commands: ["sleep","1000"], and ["sh","-c",…] as the scripts below.
inline constexpr auto script_output = "echo out; echo err >&2; printf end";
inline constexpr auto script_failure = "exit 3";

class FakeWorld {
 public:
  FakeWorld();
  ports::ContainerEngine& engine() { return engine_; }
  FakeEngine& fake() { return engine_; }
  std::string image() const { return "contract/busybox:1"; }
  std::string health_image() const { return "contract/busybox:health"; }
  const std::string& prefix() const { return prefix_; }
  /// The first three numbers of a subnet that no other test uses.
  std::string subnet() const { return "10.201.7"; }

 private:
  FakeEngine engine_;
  std::string prefix_ = unique_prefix();
};

/// Needs DEPLOYCTL_TEST_ENGINE=unix:///path of an engine whose containers, networks and images may be changed. Skips
/// the test where it is "none", and fails it where it is not set: a test that is left out by mistake must be noticed.
class RealWorld {
 public:
  RealWorld();
  ~RealWorld();
  RealWorld(const RealWorld&) = delete;
  ports::ContainerEngine& engine() { return *engine_; }
  asio::thread_pool& pool() { return pool_; }
  const std::string& endpoint() const { return endpoint_; }
  std::string image() const { return "contract/busybox:1"; }
  std::string health_image() const { return "contract/busybox:health"; }
  const std::string& prefix() const { return prefix_; }
  std::string subnet() const { return subnet_; }
  /// A call that the port does not have. Returns the answer's body.
  std::string raw(const std::string& method, const std::string& target, http::Headers headers = {});

 private:
  void make_images();

  std::string endpoint_;
  asio::thread_pool pool_{2};
  std::unique_ptr<engine::DockerClient> engine_;
  std::string prefix_ = unique_prefix();
  std::string subnet_;
};

/// A container of this world that sleeps.
template <class World>
ports::ContainerSpec sleeper(World& world, const std::string& name) {
  ports::ContainerSpec spec;
  spec.name = world.prefix() + name;
  spec.image = world.image();
  spec.labels = {{world_label, world.prefix()}};
  spec.settings.command = {"sleep", "1000"};
  spec.settings.restart = "no";
  return spec;
}

template <class World>
ports::ContainerSpec scripted(World& world, const std::string& name, const std::string& script) {
  auto spec = sleeper(world, name);
  spec.settings.command = {"sh", "-c", script};
  return spec;
}

}  // namespace deploy::tests
