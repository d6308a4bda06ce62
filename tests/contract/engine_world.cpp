#include "tests/contract/engine_world.hpp"

#include <unistd.h>

#include <catch2/catch_all.hpp>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "tests/fakes/memory_tree.hpp"

namespace deploy::tests {

using namespace std::chrono_literals;

namespace {

int next_world() {
  static int number = 0;
  return ++number;
}

std::string read_program(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream content;
  content << file.rdbuf();
  if (!file || content.str().empty()) throw std::runtime_error("cannot read " + path + "; install busybox-static");
  return std::move(content).str();
}

constexpr auto base_dockerfile = R"(FROM scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox", "--install", "-s", "/bin"]
)";

constexpr auto health_dockerfile = R"(FROM contract/busybox:1
HEALTHCHECK --interval=1s --timeout=2s --retries=1 CMD cat /state && test -f /healthy
)";

void ignore_line(std::string_view) {}

}  // namespace

std::string unique_prefix() { return "ct" + std::to_string(::getpid()) + "-" + std::to_string(next_world()) + "-"; }

FakeWorld::FakeWorld() {
  engine_.add_image(image());
  engine_.add_image(health_image(), {}, true);
  engine_.behave = [](const ports::ContainerSpec& spec) {
    FakeEngine::Behaviour behaviour;
    const std::string script = spec.settings.command.back();
    if (script == script_output) {
      behaviour.exits = true;
      behaviour.log = {"out", "err", "end"};
    } else if (script == script_failure) {
      behaviour.exits = true;
      behaviour.exit_code = 3;
    }
    return behaviour;
  };
  engine_.on_exec = [](const FakeEngine::Record&, const ports::ExecRequest& request) {
    const auto& script = request.argv.back();
    if (script == script_output) return ports::ExecResult{0, "out\nerr\nend"};
    if (script == script_failure) return ports::ExecResult{3, ""};
    return ports::ExecResult{};
  };
}

RealWorld::RealWorld() {
  const char* value = std::getenv("DEPLOYCTL_TEST_ENGINE");
  if (value == nullptr) {
    FAIL(
        "DEPLOYCTL_TEST_ENGINE is not set: name a private Docker Engine (unix:///path), or \"none\" to leave out what "
        "needs one");
  }
  endpoint_ = value;
  if (endpoint_ == "none") SKIP("DEPLOYCTL_TEST_ENGINE=none");
  engine_ = std::make_unique<engine::DockerClient>(endpoint_, pool_);
  // Subnets stay taken while an earlier test's network is being removed.
  subnet_ = "10.201." + std::to_string(next_world() % 250);
  make_images();
}

RealWorld::~RealWorld() {
  try {
    for (const auto& container : run(engine_->list({{world_label, prefix_}}))) run(engine_->remove(container.id));
    for (const auto& network : run(engine_->networks())) {
      if (network.name.starts_with(prefix_)) raw("DELETE", "/networks/" + network.id);
    }
  } catch (const std::exception& error) {
    UNSCOPED_INFO("clean-up: " << error.what());
  }
}

std::string RealWorld::raw(const std::string& method, const std::string& target, http::Headers headers) {
  http::Client client(engine::connector_for(endpoint_));
  http::Request request;
  request.method = method;
  request.target = target;
  request.headers = std::move(headers);
  return run(client.send(std::move(request), 60s)).body;
}

void RealWorld::make_images() {
  static bool made = false;
  if (made) return;
  auto tree = std::make_shared<MemoryTree>();
  tree->add("Dockerfile", base_dockerfile);
  tree->add("Dockerfile.health", health_dockerfile);
  tree->add("busybox", read_program("/bin/busybox"), MemoryTree::Kind::executable);
  ports::BuildRequest request;
  request.context = tree;
  request.dockerfile = "Dockerfile";
  request.tag = image();
  run(engine_->build(request, ignore_line));
  request.dockerfile = "Dockerfile.health";
  request.tag = health_image();
  run(engine_->build(request, ignore_line));
  made = true;
}

}  // namespace deploy::tests
