// Logins for registries: where they are found, what is sent, and what is said where one is named and cannot be had.
#include "agent/engine/registry_login.hpp"

#include <catch2/catch_all.hpp>
#include <fstream>
#include <nlohmann/json.hpp>

#include "agent/base/error.hpp"
#include "agent/domain/image_reference.hpp"
#include "agent/engine/base64.hpp"
#include "agent/engine/base_images.hpp"
#include "tests/fakes/run.hpp"
#include "tests/fakes/temp_dir.hpp"

namespace deploy::engine {
namespace {

/// Answers as a credential helper would.
class ToldRunner final : public ports::ProcessRunner {
 public:
  Task<ports::ProcessResult> run(ports::ProcessSpec spec) override {
    asked.push_back(spec);
    if (failure) throw *failure;
    co_return result;
  }
  std::vector<ports::ProcessSpec> asked;
  ports::ProcessResult result;
  std::optional<Error> failure;
};

struct Host {
  RegistryLogin find(const std::string& host) {
    RegistryLogins logins(configured, file, runner);
    auto found = tests::run(logins.find(host));
    // Where it is said, the secret never is.
    CHECK(found.trouble.find("hunter2") == std::string::npos);
    return found;
  }
  void write(const std::string& text) { std::ofstream(file) << text; }
  /// "the place" for the path of config.json.
  std::string without_path(std::string text) const {
    for (auto at = text.find(file.string()); at != std::string::npos; at = text.find(file.string())) {
      text.replace(at, file.string().size(), "FILE");
    }
    return text;
  }

  tests::TempDir folder;
  std::filesystem::path file = folder / "config.json";
  std::vector<domain::RegistryUser> configured;
  ToldRunner runner;
};

nlohmann::json sent(const RegistryLogin& login) {
  auto text = login.header;
  std::replace(text.begin(), text.end(), '-', '+');
  std::replace(text.begin(), text.end(), '_', '/');
  return nlohmann::json::parse(base64_decode(text).value());
}

using nlohmann::json;

TEST_CASE("the registry of an image") {
  const auto of = [](const char* text) { return domain::registry_of(domain::parse_reference(text)); };
  CHECK(of("nginx") == "docker.io");
  CHECK(of("behindy/backend:1") == "docker.io");
  CHECK(of("docker.io/library/nginx") == "docker.io");
  CHECK(of("index.docker.io/library/nginx") == "docker.io");
  CHECK(of("ghcr.io/owner/name:1") == "ghcr.io");
  CHECK(of("127.0.0.1:5000/app") == "127.0.0.1:5000");
  CHECK(of("localhost/app") == "localhost");
}

TEST_CASE("nothing is sent where nothing is known") {
  Host host;
  CHECK(host.find("ghcr.io").header.empty());
  CHECK(host.find("ghcr.io").trouble.empty());
  host.write("{}");
  CHECK(host.find("ghcr.io").header.empty());
  CHECK(host.find("ghcr.io").trouble.empty());
}

TEST_CASE("a login of agent.yaml comes first, and its password is read each time") {
  Host host;
  host.write(R"({"auths": {"ghcr.io": {"auth": "YTpi"}}})");
  std::string password = "hunter2";
  host.configured = {{"ghcr.io", "me", [&password] { return password; }}};
  CHECK(sent(host.find("ghcr.io")) == json{{"username", "me"}, {"password", "hunter2"}, {"serveraddress", "ghcr.io"}});
  CHECK(host.find("ghcr.io").from == "`registries` in agent.yaml");
  password = "hunter2 again";
  CHECK(sent(host.find("ghcr.io")).at("password") == "hunter2 again");
  host.configured[0].password = []() -> std::string { throw Error(ErrorKind::not_found, "the file is not there"); };
  CHECK(host.find("ghcr.io").header.empty());
  CHECK(host.find("ghcr.io").trouble == "the file is not there");
}

TEST_CASE("what docker login has written is found, however it names the registry") {
  Host host;
  // "user:pass:word", and a password alone in its own field.
  host.write(R"({"auths": {"https://index.docker.io/v1/": {"auth": "dXNlcjpwYXNzOndvcmQ="},
                           "https://registry.example.com:5000/v2/": {"username": "u", "password": "hunter2"},
                           "tokens.example.com": {"identitytoken": "hunter2"}}})");
  const auto hub = host.find("docker.io");
  CHECK(sent(hub) ==
        json{{"username", "user"}, {"password", "pass:word"}, {"serveraddress", "https://index.docker.io/v1/"}});
  CHECK(hub.from == host.file.string());
  CHECK(sent(host.find("registry.example.com:5000")).at("username") == "u");
  CHECK(sent(host.find("tokens.example.com")) ==
        json{{"identitytoken", "hunter2"}, {"serveraddress", "tokens.example.com"}});
  CHECK(host.find("registry.example.com").header.empty());
}

TEST_CASE("a credential helper is asked on its standard input, the registry's own before the one of all") {
  Host host;
  host.write(R"({"credHelpers": {"ghcr.io": "gh"}, "credsStore": "pass"})");
  host.runner.result.output = R"({"ServerURL": "ghcr.io", "Username": "me", "Secret": "hunter2"})";
  CHECK(sent(host.find("ghcr.io")) == json{{"username", "me"}, {"password", "hunter2"}, {"serveraddress", "ghcr.io"}});
  REQUIRE(host.runner.asked.size() == 1);
  CHECK(host.runner.asked[0].argv == std::vector<std::string>{"docker-credential-gh", "get"});
  CHECK(host.runner.asked[0].standard_input == "ghcr.io");
  CHECK(host.runner.asked[0].environment.empty());
  CHECK(host.runner.asked[0].deadline == std::chrono::seconds(20));
  host.runner.result.output = R"({"Username": "<token>", "Secret": "hunter2"})";
  CHECK(sent(host.find("docker.io")) ==
        json{{"identitytoken", "hunter2"}, {"serveraddress", "https://index.docker.io/v1/"}});
  CHECK(host.runner.asked[1].argv[0] == "docker-credential-pass");
  CHECK(host.runner.asked[1].standard_input == "https://index.docker.io/v1/");
}

TEST_CASE("a helper that knows nothing of the registry is no trouble, and what stands beside it is taken") {
  Host host;
  host.write(R"({"credsStore": "pass", "auths": {"ghcr.io": {"auth": "YTpi"}}})");
  host.runner.result = {1, "credentials not found in native keychain\n", ""};
  CHECK(sent(host.find("ghcr.io")).at("username") == "a");
  CHECK(host.find("other.io").header.empty());
  CHECK(host.find("other.io").trouble.empty());
}

TEST_CASE("a helper that fails is said, and not fatal") {
  Host host;
  host.write(R"({"credsStore": "pass"})");
  const auto trouble = [&] {
    const auto login = host.find("ghcr.io");
    CHECK(login.header.empty());
    return host.without_path(login.trouble);
  };
  host.runner.failure = Error(ErrorKind::not_found, "there is no such program");
  CHECK(trouble() ==
        "docker-credential-pass, which FILE names, is not in PATH; install it, or name a login in agent.yaml under "
        "`registries`");
  host.runner.failure = Error(ErrorKind::timed_out, "the deadline passed");
  CHECK(trouble() ==
        "docker-credential-pass, which FILE names, did not answer within 20.0 s; try it by hand: echo ghcr.io | "
        "docker-credential-pass get");
  host.runner.failure.reset();
  host.runner.result = {1, "pass is not initialised\nand more\n", ""};
  CHECK(trouble() ==
        "docker-credential-pass, which FILE names, ended with 1: pass is not initialised; try it by hand: echo ghcr.io "
        "| docker-credential-pass get");
  host.runner.result = {0, R"({"Username": "hunter2"})", ""};
  CHECK(trouble() ==
        "docker-credential-pass, which FILE names, answered without a secret; try it by hand: echo ghcr.io | "
        "docker-credential-pass get");
}

TEST_CASE("a config.json that is none is said without its text, and names no program outside of PATH") {
  Host host;
  host.write("hunter2");
  CHECK(host.without_path(host.find("ghcr.io").trouble) == "FILE cannot be read: it is no JSON object");
  host.write(R"({"credsStore": "../../hunter2"})");
  CHECK(host.without_path(host.find("ghcr.io").trouble) ==
        "FILE cannot be read: it names a credential helper that is no name of a program");
  CHECK(host.runner.asked.empty());
}

TEST_CASE("the images that a Dockerfile begins from") {
  CHECK(base_images("# FROM no\nFROM ghcr.io/team/base:1 AS build\nRUN true\nfrom --platform=linux/amd64 nginx\n"
                    "FROM build\nFROM scratch\nFROM $BASE\nFROM ghcr.io/team/base:1\nCOPY --from=build /a /b\n") ==
        std::vector<std::string>{"ghcr.io/team/base:1", "nginx"});
  CHECK(base_images("").empty());
}

}  // namespace
}  // namespace deploy::engine
