#include <unistd.h>

#include <catch2/catch_all.hpp>
#include <cstdlib>
#include <stdexcept>

#include "tests/config/support.hpp"

using namespace deploy;
using deploy::tests::TemporaryFolder;

namespace {

/// The effective user is nobody while this lives, where the test runs as root.
struct AsNobody {
  AsNobody() {
    if (root && ::seteuid(65534) != 0) throw std::runtime_error("cannot become nobody");
  }
  ~AsNobody() {
    if (root && ::seteuid(0) != 0) std::abort();
  }
  const bool root = ::geteuid() == 0;
};

const std::string least_agent = "network: shared\nproxy: { nginx: { container: nginx, upstreams: upstreams } }\n";

/// A service's file of one line.
std::string service(const std::string& name, const std::string& more = "") {
  return "{ service: " + name + ", on: manual, source: { image: a }" + more + " }\n";
}

std::string load_errors(const TemporaryFolder& folder) {
  auto result = config::load(folder.path() / "agent.yaml");
  CHECK(result.configuration.has_value() == result.diagnostics.empty());
  return folder.without_path(result.diagnostics.render());
}

}  // namespace

TEST_CASE("load reads agent.yaml and the services in the order of their files") {
  TemporaryFolder folder;
  folder.write("agent.yaml", least_agent);
  folder.write("deploy.d/c.json", "{\"service\": \"ccc\", \"on\": \"manual\", \"source\": {\"image\": \"a\"}}");
  folder.write("deploy.d/b.yml", service("bbb", ", depends_on: [aaa]"));
  folder.write("deploy.d/a.yaml", service("aaa", ", depends_on: [ccc]"));
  folder.write("deploy.d/.hidden.yaml", "[");
  folder.write("deploy.d/d.yaml.bak", "[");
  auto result = config::load(folder.path() / "agent.yaml");
  REQUIRE(result.diagnostics.render() == "");
  REQUIRE(result.configuration.has_value());
  CHECK(result.configuration->agent.nginx->upstreams == folder.path() / "upstreams");
  std::vector<std::string> names;
  for (const auto& one : result.configuration->services) names.push_back(one.name);
  CHECK(names == std::vector<std::string>{"aaa", "bbb", "ccc"});
}

TEST_CASE("files that are missing or unreadable are errors like others") {
  TemporaryFolder folder;
  CHECK(load_errors(folder) ==
        "DIR/agent.yaml: error: there is no such file\n  hint: check the path, or pass --config\n");
  folder.write("agent.yaml", "services: nowhere\n" + least_agent);
  CHECK(load_errors(folder) ==
        "DIR/agent.yaml:1:11: error: the services folder DIR/nowhere cannot be read: No such file or directory\n"
        "  services: nowhere\n"
        "            ^\n"
        "  hint: create it, or set `services`\n");
  folder.write("agent.yaml", least_agent);
  std::filesystem::create_directories(folder.path() / "deploy.d/dir.yaml");
  std::filesystem::create_symlink("nothing", folder.path() / "deploy.d/link.yaml");
  folder.write("deploy.d/large.yaml", std::string((1 << 20) + 1, '#'));
  CHECK(load_errors(folder) ==
        "DIR/deploy.d/dir.yaml: error: is not a regular file\n"
        "DIR/deploy.d/large.yaml: error: is larger than 1 MiB\n"
        "  hint: a configuration file is never that large\n"
        "DIR/deploy.d/link.yaml: error: there is no such file\n"
        "  hint: check the path\n");
}

TEST_CASE("a file without permission to read is an error") {
  // Root may read everything, so the test is somebody else for a moment.
  const AsNobody nobody;
  TemporaryFolder folder;
  auto path = folder.write("agent.yaml", least_agent);
  std::filesystem::permissions(path, std::filesystem::perms::none);
  CHECK(load_errors(folder) ==
        "DIR/agent.yaml: error: cannot be read: Permission denied\n  hint: check its permissions\n");
}

TEST_CASE("errors of all files, and between them, come at once") {
  TemporaryFolder folder;
  folder.write("agent.yaml", "netwrok: x\n" + least_agent);
  folder.write("deploy.d/1.yaml", service("one", ", depends_on: [two], proxy: { port: 80, upstream: web }"));
  folder.write("deploy.d/2.yaml", service("two", ", depends_on: [one, threee, postgres]"));
  folder.write("deploy.d/3.yaml", service("three", ", depends_on: [three], proxy: { port: 9145, upstream: web }"));
  folder.write("deploy.d/4.yaml", service("three"));
  CHECK(load_errors(folder) ==
        "DIR/agent.yaml:1:1: error: `netwrok` is not a known key\n"
        "  netwrok: x\n"
        "  ^\n"
        "  hint: did you mean `network`?\n"
        "DIR/deploy.d/1.yaml:1:64: error: services depend on each other in a circle: one -> two -> one\n"
        "  { service: one, on: manual, source: { image: a }, depends_on: [two], proxy: { port: 80, upstream: web } }\n"
        "                                                                 ^\n"
        "  hint: remove one of these from `depends_on`\n"
        "DIR/deploy.d/2.yaml:1:69: error: `depends_on` names the service `threee`, which does not exist\n"
        "  { service: two, on: manual, source: { image: a }, depends_on: [one, threee, postgres] }\n"
        "                                                                      ^\n"
        "  hint: did you mean `three`?\n"
        "DIR/deploy.d/2.yaml:1:77: error: `depends_on` names the service `postgres`, which does not exist\n"
        "  { service: two, on: manual, source: { image: a }, depends_on: [one, threee, postgres] }\n"
        "                                                                              ^\n"
        "  hint: each service that is named here has a file of its own in `services`; databases and the like are not "
        "named\n"
        "DIR/deploy.d/3.yaml:1:66: error: services depend on each other in a circle: three -> three\n"
        "  { service: three, on: manual, source: { image: a }, depends_on: [three], proxy: { port: 9145, upstream: web "
        "} }\n"
        "                                                                   ^\n"
        "  hint: remove one of these from `depends_on`\n"
        "DIR/deploy.d/3.yaml:1:89: error: `proxy.port` is Nginx's marker port 9145\n"
        "  { service: three, on: manual, source: { image: a }, depends_on: [three], proxy: { port: 9145, upstream: web "
        "} }\n"
        "                                                                                          ^\n"
        "  hint: set another `proxy.nginx.marker_port` in agent.yaml\n"
        "DIR/deploy.d/3.yaml:1:105: error: an upstream with the name `web` exists already\n"
        "  { service: three, on: manual, source: { image: a }, depends_on: [three], proxy: { port: 9145, upstream: web "
        "} }\n"
        "                                                                                                          ^\n"
        "  hint: the first is at DIR/deploy.d/1.yaml:1\n"
        "DIR/deploy.d/4.yaml:1:12: error: a service with the name `three` exists already\n"
        "  { service: three, on: manual, source: { image: a } }\n"
        "             ^\n"
        "  hint: the first is at DIR/deploy.d/3.yaml:1\n");
}

TEST_CASE("a port for gRPC is shared with no other service") {
  TemporaryFolder folder;
  folder.write("agent.yaml", least_agent);
  folder.write("deploy.d/greeter.yaml", service("greeter", ", proxy: { port: 8000, protocol: grpc }"));
  folder.write("deploy.d/llm.yaml", service("llm", ", proxy: { port: 8000 }"));
  CHECK(load_errors(folder) ==
        "DIR/deploy.d/greeter.yaml:1:70: error: the port of a service with `protocol: grpc` must be its own\n"
        "  { service: greeter, on: manual, source: { image: a }, proxy: { port: 8000, protocol: grpc } }\n"
        "                                                                       ^\n"
        "  hint: service `llm` has it, too: DIR/deploy.d/llm.yaml:1\n");
}

TEST_CASE("a port for gRPC is no matter of a service that is found by Docker's DNS") {
  TemporaryFolder folder;
  folder.write("agent.yaml", least_agent);
  folder.write("deploy.d/greeter.yaml", service("greeter", ", proxy: { port: 8000, protocol: grpc }"));
  folder.write("deploy.d/llm.yaml", service("llm", ", proxy: { port: 8000, route: dns }"));
  CHECK(load_errors(folder) == "");
}

TEST_CASE("paths lie below the root of a repository that deployd builds from") {
  TemporaryFolder folder;
  folder.write("agent.yaml", least_agent);
  folder.write(
      "deploy.d/llm.yaml",
      "{ service: llm, on: manual, source: { git: { url: file:///a.git } },\n  paths: [llm/, /llm, ../llm, \"*.md\"] "
      "}\n");
  folder.write("deploy.d/web.yaml", service("web", ", paths: [web]"));
  const std::string what = " must be a folder or file of the repository, without wildcards\n";
  const auto errors = load_errors(folder);
  CHECK(errors.find("`paths[0]`") == std::string::npos);
  for (const auto* wrong : {"`paths[1]`", "`paths[2]`", "`paths[3]`"}) {
    CHECK(errors.find(wrong + what) != std::string::npos);
  }
  CHECK(errors.find("`paths` needs `source.git` alone\n") != std::string::npos);
  CHECK(errors.find("  hint: an image that somebody else built is rolled out whatever its commit changed\n") !=
        std::string::npos);
}

TEST_CASE("a name in Docker's DNS leads to one replica") {
  TemporaryFolder folder;
  folder.write("agent.yaml", least_agent);
  folder.write("deploy.d/llm.yaml", service("llm", ", replicas: 2, proxy: { port: 8000, route: dns }"));
  CHECK(load_errors(folder) ==
        "DIR/deploy.d/llm.yaml:1:92: error: `proxy.route` cannot be `dns` where `replicas` is 2\n"
        "  { service: llm, on: manual, source: { image: a }, replicas: 2, proxy: { port: 8000, route: dns } }\n"
        "                                                                                             ^\n"
        "  hint: a name leads to one container; use `nginx`, or one replica\n");
}

TEST_CASE("two services cannot publish the same port of the host") {
  TemporaryFolder folder;
  folder.write("agent.yaml", least_agent);
  folder.write("deploy.d/llm.yaml", service("llm", ", container: { ports: [\"81:80\", \"80:80\"] }"));
  folder.write("deploy.d/web.yaml", service("web", ", container: { ports: [\"80:8080\"] }"));
  CHECK(load_errors(folder) ==
        "DIR/deploy.d/web.yaml:1:62: error: a service that publishes the host's port `80/tcp` exists already\n"
        "  { service: web, on: manual, source: { image: a }, container: { ports: [\"80:8080\"] } }\n"
        "                                                               ^\n"
        "  hint: the first is at DIR/deploy.d/llm.yaml:1\n");
}

TEST_CASE("a service whose file cannot be read is not missed by others as well") {
  TemporaryFolder folder;
  folder.write("agent.yaml", least_agent);
  folder.write("deploy.d/llm.yaml", "service: [\n");
  folder.write("deploy.d/web.yaml", service("web", ", depends_on: [llm]"));
  CHECK(load_errors(folder).find("does not exist") == std::string::npos);
}

TEST_CASE("without Nginx a service is found by its container's name, and recreated unless its file says otherwise") {
  TemporaryFolder folder;
  folder.write("agent.yaml", "network: internal\n");
  folder.write("deploy.d/1.yaml", service("app", ", proxy: { port: 8000 }"));
  folder.write("deploy.d/2.yaml", service("api", ", proxy: { port: 8000, route: dns }"));
  folder.write("deploy.d/3.yaml", service("old", ", strategy: blue-green, proxy: { port: 8000 }"));
  folder.write("deploy.d/4.yaml", service("worker", ", replicas: 2"));
  const auto result = config::load(folder.path() / "agent.yaml");
  CHECK(result.diagnostics.render() == "");
  REQUIRE(result.configuration);
  CHECK_FALSE(result.configuration->agent.nginx);
  std::vector<std::string> found;
  for (const auto& one : result.configuration->services) {
    found.push_back(one.name + " " + to_string(one.strategy) + (one.proxy.dns ? " by name" : ""));
  }
  CHECK(found == std::vector<std::string>{"app recreate by name", "api rolling by name", "old blue-green by name",
                                          "worker rolling"});
}

TEST_CASE("without Nginx there is no upstream, no route through it, and one container to a name") {
  TemporaryFolder folder;
  folder.write("agent.yaml", "network: internal\n");
  folder.write("deploy.d/1.yaml", service("app", ", replicas: 2, proxy: { port: 80, upstream: app, route: nginx }"));
  CHECK(
      load_errors(folder) ==
      "DIR/deploy.d/1.yaml:1:61: error: `replicas` must be 1 for a service with a `proxy.port`: agent.yaml has no "
      "`proxy.nginx`\n"
      "  { service: app, on: manual, source: { image: a }, replicas: 2, proxy: { port: 80, upstream: app, route: nginx "
      "} }\n"
      "                                                              ^\n"
      "  hint: a name leads to one container\n"
      "DIR/deploy.d/1.yaml:1:93: error: `proxy.upstream` cannot be used: agent.yaml has no `proxy.nginx`\n"
      "  { service: app, on: manual, source: { image: a }, replicas: 2, proxy: { port: 80, upstream: app, route: nginx "
      "} }\n"
      "                                                                                              ^\n"
      "  hint: requests from outside reach a container by `container.ports`\n"
      "DIR/deploy.d/1.yaml:1:105: error: `proxy.route` cannot be `nginx`: agent.yaml has no `proxy.nginx`\n"
      "  { service: app, on: manual, source: { image: a }, replicas: 2, proxy: { port: 80, upstream: app, route: nginx "
      "} }\n"
      "                                                                                                          ^\n"
      "  hint: leave it out, or write `dns`\n");
}

TEST_CASE("what only one container at a time may have makes its service one that is recreated") {
  TemporaryFolder folder;
  folder.write("agent.yaml", least_agent);
  const std::string holds = ", container: { volumes: [\"data:/var/lib/app\"] }, exclusive: [data]";
  folder.write("deploy.d/1.yaml", service("app", holds));
  const auto result = config::load(folder.path() / "agent.yaml");
  CHECK(result.diagnostics.render() == "");
  REQUIRE(result.configuration);
  CHECK(result.configuration->services.front().strategy == domain::StrategyKind::recreate);

  folder.write("deploy.d/2.yaml", service("two", holds));
  folder.write("deploy.d/3.yaml", "{ service: web, on: manual, source: { image: a }, exclusive: [date],\n" +
                                      std::string("  container: { volumes: [\"data:/data\"] } }\n"));
  folder.write("deploy.d/4.yaml", "{ service: job, on: manual, source: { image: a }, exclusive: [/dev/x],\n" +
                                      std::string("  container: { devices: [/dev/x] }, replicas: 2,\n"
                                                  "  strategy: rolling }\n"));
  CHECK(
      load_errors(folder) ==
      "DIR/deploy.d/2.yaml:1:110: error: a service that has to itself `data` exists already\n"
      "  { service: two, on: manual, source: { image: a }, container: { volumes: [\"data:/var/lib/app\"] }, exclusive: "
      "[data] }\n"
      "                                                                                                               "
      "^\n"
      "  hint: the first is at DIR/deploy.d/1.yaml:1\n"
      "DIR/deploy.d/3.yaml:1:63: error: `exclusive[0]` names `date`, which its container has not\n"
      "  { service: web, on: manual, source: { image: a }, exclusive: [date],\n"
      "                                                                ^\n"
      "  hint: write what stands before the colon of an entry of `container.volumes` or `container.devices`\n"
      "DIR/deploy.d/4.yaml:2:47: error: `replicas` must be 1: `exclusive` says that only one container at a time may "
      "have /dev/x\n"
      "    container: { devices: [/dev/x] }, replicas: 2,\n"
      "                                                ^\n"
      "  hint: or take it out of `exclusive`\n"
      "DIR/deploy.d/4.yaml:3:13: error: `strategy` must be `recreate`: `exclusive` says that only one container at a "
      "time may have /dev/x\n"
      "    strategy: rolling }\n"
      "              ^\n"
      "  hint: or take it out of `exclusive`\n");
}
