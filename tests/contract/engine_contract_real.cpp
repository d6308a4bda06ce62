// What only a real engine can show: builds, pulls, health checks, and connections in the kernel's tables.
#include <boost/asio/ip/tcp.hpp>
#include <catch2/catch_all.hpp>
#include <cstdlib>
#include <thread>

#include "tests/contract/engine_world.hpp"
#include "tests/fakes/memory_tree.hpp"

namespace deploy::tests {

using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::EndsWith;
using Catch::Matchers::StartsWith;

namespace {

using Kind = MemoryTree::Kind;

std::string join(const std::vector<std::string>& lines) {
  std::string text;
  for (const auto& line : lines) text += line + "\n";
  return text;
}

/// A build of this tree; what it logged is in `log`.
struct Build {
  explicit Build(RealWorld& world) : world_(world) {
    request.context = tree;
    request.dockerfile = "Dockerfile";
    request.tag = "contract/" + world.prefix() + "built:1";
  }
  ~Build() {
    try {
      run(world_.engine().remove_image(request.tag));
    } catch (const std::exception& error) {
      UNSCOPED_INFO("clean-up: " << error.what());
    }
  }
  std::string run_build() {
    return run(world_.engine().build(request, [this](std::string_view line) { log.emplace_back(line); }));
  }
  /// What a command of the image prints.
  std::string output_of(const std::string& script) {
    auto spec = scripted(world_, "run", script);
    spec.image = request.tag;
    auto& engine = world_.engine();
    const auto id = run(engine.create(spec));
    run(engine.start(id));
    std::string text;
    run(engine.follow_logs(id, {-1, true}, [&text](std::string_view line) { text += std::string(line) + "\n"; }));
    run(engine.remove(id));
    return text;
  }

  std::shared_ptr<MemoryTree> tree = std::make_shared<MemoryTree>();
  ports::BuildRequest request;
  std::vector<std::string> log;

 private:
  RealWorld& world_;
};

ports::Container wait_health(ports::ContainerEngine& engine, const std::string& id, const std::string& health) {
  for (int i = 0; i < 300; ++i) {
    auto container = run(engine.inspect(id)).value();
    if (container.health == health) return container;
    std::this_thread::sleep_for(50ms);
  }
  FAIL("container " << id << " never became " << health);
  return {};
}

Task<void> follow_until(ports::ContainerEngine& engine, std::string id, std::vector<std::string>& lines) {
  Signal enough(co_await asio::this_coro::executor);
  ports::OnLog add = [&lines, &enough](std::string_view line) {
    lines.emplace_back(line);
    if (lines.size() == 2) enough.notify_all();
  };
  auto finished = co_await first_of(engine.follow_logs(id, {-1, true}, add), enough.wait());
  CHECK_FALSE(finished.has_value());
}

}  // namespace

TEST_CASE("real engine: standard output is handed on as it comes, and standard error comes back") {
  RealWorld world;
  auto& engine = world.engine();
  const auto id = run(engine.create(sleeper(world, "a")));
  run(engine.start(id));
  std::string output;
  const auto keep = [&output](std::string_view data) { output += data; };
  const auto result = run(engine.exec(id, {{"sh", "-c", "echo rows; echo warning >&2; exit 3"}, 10s, {}, keep}));
  CHECK(output == "rows\n");
  CHECK(result.output == "warning\n");
  CHECK(result.exit_code == 3);
}

TEST_CASE("real engine: the version is negotiated") {
  RealWorld world;
  const auto version = run(world.engine().version());
  CHECK_FALSE(version.engine.empty());
  CHECK(version.api == engine::negotiate(version.api_minimum, version.api));
  CHECK(version.api >= "1.41");
}

TEST_CASE("real engine: nobody answers at another socket") {
  RealWorld world;
  engine::DockerClient client("unix:///nowhere/docker.sock", world.pool());
  const auto error = error_of([&] { run(client.list({})); });
  CHECK(error.kind() == ErrorKind::unreachable);
  CHECK(error.message() ==
        "the Docker Engine at unix:///nowhere/docker.sock does not answer: cannot connect to /nowhere/docker.sock: No "
        "such file or "
        "directory; is it running, and may this user open the socket?");
}

TEST_CASE("real engine: a build sends modes, links, long names, and what .dockerignore leaves") {
  RealWorld world;
  Build build(world);
  const std::string long_name = std::string(90, 'd') + "/" + std::string(120, 'f') + ".txt";
  build.tree->add("Dockerfile", "FROM contract/busybox:1\nWORKDIR /app\nCOPY . .\n")
      .add(".dockerignore", "*.log\n!keep.log\nnode_modules\nDockerfile\n")
      .add("run.sh", "#!/bin/sh\necho ran\n", Kind::executable)
      .add("plain.txt", "plain\n")
      .add("link", "plain.txt", Kind::symlink)
      .add("a.log", "no")
      .add("keep.log", "yes")
      .add("node_modules/x/y.js", "no")
      .add(long_name, "long")
      .add("sub/k\xC3\xB6rper.txt", "utf-8")
      .add("empty", "");
  build.run_build();
  CHECK(build.output_of("./run.sh; cat link; readlink link; stat -c '%a %Y' run.sh plain.txt") ==
        "ran\nplain\nplain.txt\n755 1700000000\n644 1700000000\n");
  CHECK(build.output_of("ls *.log; ls -d node_modules 2>&1; cat " + long_name +
                        "; echo; cat sub/k\xC3\xB6rper.txt; echo; wc -c <empty") ==
        "keep.log\nls: node_modules: No such file or directory\nlong\nutf-8\n0\n");
}

TEST_CASE("real engine: a large context arrives whole") {
  RealWorld world;
  Build build(world);
  build.tree->add("Dockerfile", "FROM contract/busybox:1\nCOPY data /data\n");
  std::string blob(3 << 20, '\0');
  for (std::size_t i = 0; i < blob.size(); ++i) blob[i] = static_cast<char>(i * 7 + i / 251);
  for (int i = 0; i < 8; ++i) build.tree->add("data/" + std::to_string(i), blob);
  build.run_build();
  const auto sum = build.output_of("cat /data/* | wc -c; md5sum /data/* | cut -d' ' -f1 | sort -u | wc -l");
  CHECK(sum == std::to_string(8 * blob.size()) + "\n1\n");
}

TEST_CASE("real engine: a build's target and arguments are those asked for") {
  RealWorld world;
  Build build(world);
  build.tree->add("docker/App.Dockerfile",
                  "FROM contract/busybox:1 AS one\nARG WORD=none\nRUN echo \"one $WORD\" >/word\n"
                  "FROM one AS two\nRUN echo two >/word\n");
  build.request.dockerfile = "docker/App.Dockerfile";
  build.request.target = "one";
  const std::string word = "a b&c='d' " + world.prefix();  // new to the build cache
  build.request.args = {{"WORD", word}};
  build.run_build();
  CHECK(build.output_of("cat /word") == "one " + word + "\n");
  CHECK_THAT(join(build.log), ContainsSubstring("] RUN echo \"one " + word + "\" >/word\n"));
}

TEST_CASE("real engine: a failing command's own output is in the error") {
  RealWorld world;
  Build build(world);
  build.tree->add("Dockerfile", "FROM contract/busybox:1\nRUN echo compiling; echo 'main.c:3: oops' >&2; exit 7\n");
  const auto error = error_of([&] { build.run_build(); });
  CHECK(error.kind() == ErrorKind::failed);
  CHECK_THAT(error.message(), StartsWith("build " + build.request.tag + ": "));
  CHECK_THAT(error.message(), ContainsSubstring("exit code: 7; it wrote last:\n"));
  CHECK_THAT(error.message(), ContainsSubstring("\n  compiling"));
  CHECK_THAT(error.message(), ContainsSubstring("\n  main.c:3: oops"));
  CHECK_THAT(join(build.log), ContainsSubstring("main.c:3: oops\n"));
  CHECK_FALSE(run(world.engine().inspect_image(build.request.tag)).has_value());
}

TEST_CASE("real engine: a Dockerfile that is missing or wrong is named") {
  RealWorld world;
  Build build(world);
  build.tree->add("src/main.c", "");
  const auto missing = error_of([&] { build.run_build(); });
  CHECK(missing.kind() == ErrorKind::not_found);
  CHECK(missing.message() == "build " + build.request.tag +
                                 ": the build context has no file \"Dockerfile\"; check source.git.context and "
                                 "source.git.dockerfile, and that it is committed");
  build.tree->add("Dockerfile", "FROM contract/busybox:1\nRUNN make\n");
  CHECK_THAT(error_of([&] { build.run_build(); }).message(), ContainsSubstring("unknown instruction: RUNN"));
  build.tree->add("Dockerfile", "FROM contract/busybox:1\nCOPY nothing /\n");
  CHECK_THAT(error_of([&] { build.run_build(); }).message(), ContainsSubstring("/nothing"));
}

TEST_CASE("real engine: a build that is cancelled ends") {
  RealWorld world;
  Build build(world);
  build.tree->add("Dockerfile", "FROM contract/busybox:1\nRUN echo begun; sleep 1000\n");
  const auto body = [&]() -> Task<bool> {
    Signal begun(co_await asio::this_coro::executor);
    ports::OnLog wait = [&begun](std::string_view line) {
      if (line == "begun") begun.notify_all();
    };
    auto result = co_await first_of(world.engine().build(build.request, wait), begun.wait());
    co_return result.has_value();
  };
  CHECK_FALSE(run(body()));
}

TEST_CASE("real engine: Docker's own health check is seen with its last output") {
  RealWorld world;
  auto& engine = world.engine();
  auto spec = scripted(world, "a", "echo not yet >/state; sleep 1000");
  spec.image = world.health_image();
  const auto id = run(engine.create(spec));
  run(engine.start(id));
  CHECK(run(engine.inspect(id)).value().health == "starting");
  CHECK(wait_health(engine, id, "unhealthy").health_output == "not yet");
  run(engine.exec(id, {{"sh", "-c", "echo fine >/state; touch /healthy"}, 10s}));
  CHECK(wait_health(engine, id, "healthy").health_output == "fine");
  const auto listed = run(engine.list(spec.labels));
  REQUIRE(listed.size() == 1);
  CHECK(listed.front().health == "healthy");
}

TEST_CASE("real engine: a container gets the settings that it was created with") {
  RealWorld world;
  auto& engine = world.engine();
  auto spec = sleeper(world, "a");
  spec.settings.command = {};
  spec.settings.entrypoint = {"/bin/sleep", "1000"};
  spec.settings.environment = {{"GREETING", "h\xC3\xA9llo = \"world\" $HOME"}};
  spec.settings.user = "1000:1000";
  spec.settings.working_dir = "/tmp";
  spec.settings.tmpfs = {"/scratch:size=1m", "/plain"};
  spec.settings.extra_hosts = {"db:10.1.2.3", "host:host-gateway"};
  spec.settings.memory_bytes = 64 << 20;
  spec.settings.cpus = 0.5;
  spec.settings.init = true;
  spec.settings.stop_signal = "SIGKILL";
  spec.settings.stop_grace_period = 3s;
  spec.settings.log_driver = "json-file";
  spec.settings.log_options = {{"max-size", "1m"}};
  spec.settings.volumes = {world.prefix() + "volume:/data:ro"};
  spec.settings.restart = "on-failure:2";
  const auto id = run(engine.create(spec));
  run(engine.start(id));
  const auto seen =
      run(engine.exec(id, {{"sh", "-c",
                            "echo \"$GREETING\"; id -u; pwd; grep -c ' /scratch \\| /plain \\| /data ' /proc/mounts;"
                            "grep -w db /etc/hosts; grep -cw host /etc/hosts"},
                           10s}));
  CHECK(seen.output == "h\xC3\xA9llo = \"world\" $HOME\n1000\n/tmp\n3\n10.1.2.3\tdb\n1\n");
  const auto value = engine::Json::parse(world.raw("GET", "/containers/" + id + "/json"));
  const auto& host = value.at("HostConfig");
  CHECK(host.at("Memory") == 64 << 20);
  CHECK(host.at("NanoCpus") == 500'000'000);
  CHECK(host.at("Init") == true);
  CHECK(host.at("RestartPolicy") == engine::Json{{"Name", "on-failure"}, {"MaximumRetryCount", 2}});
  CHECK(host.at("LogConfig") == engine::Json{{"Type", "json-file"}, {"Config", {{"max-size", "1m"}}}});
  CHECK(value.at("Config").at("StopSignal") == "SIGKILL");
  CHECK(value.at("Config").at("StopTimeout") == 3);
  run(engine.signal(id, ""));
  for (int i = 0; i < 100 && run(engine.inspect(id)).value().pid != 0; ++i) std::this_thread::sleep_for(50ms);
  run(engine.remove(id));
  world.raw("DELETE", "/volumes/" + world.prefix() + "volume");
}

TEST_CASE("real engine: connections are counted in both tables, the established ones to the port only") {
  RealWorld world;
  auto& engine = world.engine();
  // The first listens on IPv4 alone; what reaches the second, on [::], is in the kernel's table for IPv6.
  const auto id = run(engine.create(scripted(world, "a", "httpd -p 0.0.0.0:8080; httpd -p 8081; sleep 1000")));
  run(engine.start(id));
  const auto sh = [&](const std::string& script) { return run(engine.exec(id, {{"sh", "-c", script}, 5s})).output; };
  for (int i = 0; i < 100 && sh("netstat -ltn | grep -c ':808[01] '") != "2\n"; ++i) std::this_thread::sleep_for(20ms);
  CHECK(run(engine.established_connections(id, 8080)) == 0);
  CHECK(run(engine.established_connections(id, 8081)) == 0);
  sh("sleep 1000 | nc 127.0.0.1 8080 >/dev/null 2>&1 &");
  for (int i = 0; i < 2; ++i) sh("sleep 1000 | nc 127.0.0.1 8081 >/dev/null 2>&1 &");
  const auto wait_count = [&](std::uint16_t port, int wanted) {
    for (int i = 0; i < 100 && run(engine.established_connections(id, port)) != wanted; ++i)
      std::this_thread::sleep_for(20ms);
    return run(engine.established_connections(id, port)).value();
  };
  CHECK(wait_count(8080, 1) == 1);
  CHECK(wait_count(8081, 2) == 2);
  CHECK(sh("grep -c ':1F91 .* 01 ' /proc/net/tcp6") == "2\n");
  CHECK(run(engine.established_connections(id, 8082)) == 0);
  // Without the engine's PID namespace the process of that number is another one.
  engine::DockerClient elsewhere(world.endpoint(), world.pool(), "/nowhere");
  CHECK(run(elsewhere.established_connections(id, 8080)) == std::nullopt);
  run(engine.stop(id, 0s));
  CHECK(run(engine.established_connections(id, 8080)) == 0);
}

TEST_CASE("real engine: a log is followed as it is written, until the call is cancelled") {
  RealWorld world;
  auto& engine = world.engine();
  const auto id = run(engine.create(scripted(world, "a", "echo one; sleep 1; echo two; sleep 1000")));
  run(engine.start(id));
  std::vector<std::string> lines;
  run(follow_until(engine, id, lines));
  CHECK(lines == std::vector<std::string>{"one", "two"});
}

TEST_CASE("real engine: a command that takes too long is given up") {
  RealWorld world;
  auto& engine = world.engine();
  const auto id = run(engine.create(sleeper(world, "a")));
  run(engine.start(id));
  const auto error = error_of([&] { run(engine.exec(id, {{"sleep", "1000"}, 200ms})); });
  CHECK(error.kind() == ErrorKind::timed_out);
  CHECK(error.message() == "sleep in container " + id + " took longer than 0.2 s");
  const auto unknown = run(engine.exec(id, {{"no-such-program"}, 10s}));
  CHECK(unknown.exit_code != 0);
  CHECK_THAT(unknown.output, ContainsSubstring("executable file not found"));
}

TEST_CASE("real engine: a long log is cut to its newest 64 KiB") {
  RealWorld world;
  auto& engine = world.engine();
  const auto id = run(engine.create(scripted(world, "a", "seq 1 40000")));
  run(engine.start(id));
  run(engine.follow_logs(id, {-1, true}, [](std::string_view) {}));
  const auto lines = run(engine.log_tail(id, 30000));
  std::size_t bytes = 0;
  for (const auto& line : lines) bytes += line.size();
  CHECK(bytes <= 64 * 1024);
  CHECK(bytes > 63 * 1024);
  CHECK(lines.back() == "40000");
}

TEST_CASE("real engine: an image is pulled from a registry") {
  const char* registry = std::getenv("DEPLOYCTL_TEST_REGISTRY");
  RealWorld world;
  if (registry == nullptr)
    FAIL("DEPLOYCTL_TEST_REGISTRY is not set: name a registry (host:port) that may be written to");
  auto& engine = world.engine();
  const std::string repository = std::string(registry) + "/" + world.prefix() + "app";
  Build build(world);
  build.tree->add("Dockerfile", "FROM contract/busybox:1\nCOPY unique /\n").add("unique", world.prefix());
  build.request.tag = repository + ":latest";
  const auto id = build.run_build();
  const auto pushed = world.raw("POST", "/images/" + repository + "/push?tag=latest", {{"X-Registry-Auth", "e30="}});
  REQUIRE_THAT(pushed, ContainsSubstring("digest: sha256:"));
  REQUIRE(run(engine.remove_image(repository)));

  std::vector<std::string> log;
  const auto image = run(engine.pull(repository, [&log](std::string_view line) { log.emplace_back(line); }));
  CHECK(image.id == id);
  REQUIRE_FALSE(image.digests.empty());
  const auto pinned = *std::find_if(image.digests.begin(), image.digests.end(),
                                    [&](const auto& digest) { return digest.starts_with(repository + "@sha256:"); });
  CHECK_THAT(join(log), ContainsSubstring("Pulling from " + world.prefix() + "app\n"));
  CHECK_THAT(join(log), ContainsSubstring("layer 3 of 3: "));
  CHECK_THAT(join(log), !ContainsSubstring("Downloading"));
  CHECK(repository + "@" + run(engine.remote_digest(repository)) == pinned);
  CHECK(repository + "@" + run(engine.remote_digest(pinned)) == pinned);
  CHECK(run(engine.pull(pinned, [](std::string_view) {})).id == image.id);
  CHECK(run(engine.inspect_image(pinned)).value().id == image.id);

  const auto unknown = error_of([&] { run(engine.pull(repository + ":nope", [](std::string_view) {})); });
  CHECK(unknown.kind() == ErrorKind::not_found);
  CHECK(unknown.message() == "pull " + repository + ":nope: manifest for " + repository +
                                 ":nope not found: manifest unknown: manifest unknown; check the image's name and "
                                 "tag, and that it was pushed");
  const auto unasked = error_of([&] { run(engine.remote_digest(repository + ":nope")); });
  CHECK(unasked.kind() == ErrorKind::not_found);
  CHECK_THAT(unasked.message(), StartsWith("pull " + repository + ":nope: "));
  CHECK_THAT(unasked.message(), EndsWith("; check the image's name and tag, and that it was pushed"));
  run(engine.remove_image(pinned));
}

TEST_CASE("real engine: a registry that does not answer is said to be so") {
  RealWorld world;
  const auto error = error_of([&] { run(world.engine().pull("127.0.0.1:1/app:1", [](std::string_view) {})); });
  CHECK(error.kind() == ErrorKind::unreachable);
  CHECK_THAT(error.message(), StartsWith("pull 127.0.0.1:1/app:1: the registry does not answer: "));
  CHECK_THAT(error.message(), EndsWith("connection refused; check its address, that it runs, and that Docker on this "
                                       "host reaches it: docker pull 127.0.0.1:1/app:1"));
  const auto asked = error_of([&] { run(world.engine().remote_digest("127.0.0.1:1/app:1")); });
  CHECK(asked.kind() == ErrorKind::unreachable);
  CHECK_THAT(asked.message(), StartsWith("pull 127.0.0.1:1/app:1: the registry does not answer: "));
  CHECK(error_of([&] { run(world.engine().pull("a b", [](std::string_view) {})); }).kind() == ErrorKind::invalid);
}

}  // namespace deploy::tests
