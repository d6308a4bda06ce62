// What agent.yaml says about registries that want a login.
#include <catch2/catch_all.hpp>
#include <cstdlib>

#include "agent/base/error.hpp"
#include "agent/config/missing.hpp"
#include "tests/config/support.hpp"

using namespace deploy;
using deploy::tests::agent_errors;
using deploy::tests::read_agent;
using deploy::tests::TemporaryFolder;

namespace {

const std::string least_agent = "network: shared\n";

std::string password_error(const config::AgentConfig& agent) {
  try {
    config::registry_users(agent).at(0).password();
  } catch (const Error& error) {
    return error.message();
  }
  return "";
}

}  // namespace

TEST_CASE("a registry has a host, a user and a password that stands elsewhere") {
  TemporaryFolder folder;
  folder.write("token", "hunter2\n");
  const auto agent =
      read_agent(least_agent +
                     "registries:\n  - { host: ghcr.io, username: me, password: { file: token } }\n"
                     "  - { host: \"127.0.0.1:5000\", username: you, password: { env: NO_SUCH_VARIABLE } }\n",
                 (folder.path() / "agent.yaml").string());
  const auto users = config::registry_users(agent);
  REQUIRE(users.size() == 2);
  CHECK(users[0].host == "ghcr.io");
  CHECK(users[0].username == "me");
  CHECK(users[0].password() == "hunter2");
  folder.write("token", "new");
  CHECK(users[0].password() == "new");
  CHECK(agent.docker_config == "/root/.docker/config.json");
  CHECK(read_agent(least_agent + "docker_config: docker/config.json\n", "/etc/deployctl/agent.yaml").docker_config ==
        "/etc/deployctl/docker/config.json");
}

TEST_CASE("a password that cannot be had is said without it") {
  TemporaryFolder folder;
  const auto agent = [&](const std::string& password) {
    return read_agent(least_agent + "registries: [ { host: ghcr.io, username: me, password: " + password + " } ]\n",
                      (folder.path() / "agent.yaml").string());
  };
  CHECK(
      password_error(agent("{ env: NO_SUCH_VARIABLE }")) ==
      "the password for ghcr.io in the environment variable NO_SUCH_VARIABLE is not there: set it for the agent, e.g. "
      "with EnvironmentFile= in its systemd unit");
  const auto missing =
      "the password file DIR/token cannot be read: No such file or directory: check the path under "
      "`registries.password` and the file's permissions";
  CHECK(folder.without_path(password_error(agent("{ file: token }"))) == missing);
  config::Configuration configuration;
  configuration.agent = agent("{ file: token }");
  const auto told = config::missing_here(configuration);
  REQUIRE(told.size() == 1);
  CHECK(folder.without_path(told[0]) == missing);
  folder.write("token", "one\ntwo\n");
  CHECK(folder.without_path(password_error(agent("{ file: token }"))) ==
        "the password for ghcr.io in DIR/token has several lines: write the password or token alone");
  folder.write("token", "\n");
  CHECK(folder.without_path(password_error(agent("{ file: token }"))) ==
        "the password for ghcr.io in DIR/token is empty: write the password or token alone");
}

TEST_CASE("what is wrong with a registry is said with its place") {
  CHECK(agent_errors(least_agent + "registries:\n"
                                   "  - { host: \"https://ghcr.io\", username: me, password: { env: A } }\n"
                                   "  - { host: index.docker.io, username: me, password: hunter2 }\n"
                                   "  - { host: ghcr.io, username: \"\" }\n"
                                   "  - { host: ghcr.io, username: me, password: { env: A }, email: x }\n") ==
        R"(agent.yaml:3:13: error: `registries[0].host` must be a registry's host, and its port where it has one
    - { host: "https://ghcr.io", username: me, password: { env: A } }
              ^
  hint: e.g. ghcr.io, or registry.example.com:5000
agent.yaml:4:13: error: `registries[1].host` names Docker Hub by another name
    - { host: index.docker.io, username: me, password: hunter2 }
              ^
  hint: write `docker.io`
agent.yaml:4:54: error: `registries[1].password` must be { env: NAME } or { file: /path }
    - { host: index.docker.io, username: me, password: hunter2 }
                                                       ^
  hint: a secret never stands in agent.yaml itself
agent.yaml:5:5: error: `registries[2]` misses the required key `password`
    - { host: ghcr.io, username: "" }
      ^
  hint: e.g. password: { env: GHCR_TOKEN }
agent.yaml:5:32: error: `registries[2].username` is empty
    - { host: ghcr.io, username: "" }
                                 ^
  hint: give it a value, or remove it
agent.yaml:6:13: error: `registries[3].host` names `ghcr.io` a second time
    - { host: ghcr.io, username: me, password: { env: A }, email: x }
              ^
  hint: remove one
agent.yaml:6:58: error: `registries[3].email` is not a known key
    - { host: ghcr.io, username: me, password: { env: A }, email: x }
                                                           ^
)");
}
