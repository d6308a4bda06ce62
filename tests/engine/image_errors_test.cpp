// The messages are those of real engines and registries, cut where they repeat themselves.
#include "agent/engine/image_errors.hpp"

#include <catch2/catch_all.hpp>

namespace deploy::engine {
namespace {

struct RefusalCase {
  std::string said;  // by the engine
  ErrorKind kind;
  std::string message;  // what follows "pull r:1/a:1: " or "build t: "
};

TEST_CASE("pull errors: what to do, and what may work later is told from what will not") {
  const std::vector<RefusalCase> cases{
      {"Get \"http://r:1/v2/\": dial tcp: connect: connection refused", ErrorKind::unreachable,
       "the registry does not answer: Get \"http://r:1/v2/\": dial tcp: connect: connection refused; check its "
       "address, "
       "that it runs, and that Docker on this host reaches it: docker pull r:1/a:1"},
      {"manifest for r:1/a:1 not found: manifest unknown: manifest unknown", ErrorKind::not_found,
       "manifest for r:1/a:1 not found: manifest unknown: manifest unknown; check the image's name and tag, and that "
       "it "
       "was pushed"},
      {"pull access denied for a, repository does not exist or may require 'docker login': denied: requested access to "
       "the resource is denied",
       ErrorKind::not_found,
       "pull access denied for a, repository does not exist or may require 'docker login': denied: requested access to "
       "the resource is denied; check the image's name; r:1 was asked without a login: name one in agent.yaml under "
       "`registries`, or run `docker login r:1` on this host as deployd's user"},
      {"Head \"https://r:1/v2/a/manifests/1\": unauthorized: authentication required", ErrorKind::failed,
       "Head \"https://r:1/v2/a/manifests/1\": unauthorized: authentication required; check the image's name; r:1 was "
       "asked without a login: name one in agent.yaml under `registries`, or run `docker login r:1` on this host as "
       "deployd's user"},
      {"write /var/lib/docker/tmp/x: no space left on device", ErrorKind::disk_full,
       "write /var/lib/docker/tmp/x: no space left on device; free some space on Docker's disk (docker system df shows "
       "what takes it) and try again"},
      {"toomanyrequests: You have reached your pull rate limit.", ErrorKind::failed,
       "toomanyrequests: You have reached your pull rate limit.; wait until the registry's limit is over, or keep the "
       "image in a registry of your own"},
      {"Get \"https://r:1/v2/\": http: server gave HTTP response to HTTPS client", ErrorKind::invalid,
       "Get \"https://r:1/v2/\": http: server gave HTTP response to HTTPS client; give the registry a certificate, or "
       "add it to insecure-registries in /etc/docker/daemon.json and restart Docker"},
      {"Get \"https://r:1/v2/\": x509: certificate signed by unknown authority", ErrorKind::invalid,
       "Get \"https://r:1/v2/\": x509: certificate signed by unknown authority; renew the registry's certificate, or "
       "put "
       "its authority's into /etc/docker/certs.d/REGISTRY/ca.crt"},
      {"no matching manifest for linux/arm64/v8 in the manifest list entries", ErrorKind::invalid,
       "no matching manifest for linux/arm64/v8 in the manifest list entries; build the image for this host's kind of "
       "processor, too (docker build --platform)"},
      {"unexpected EOF", ErrorKind::unreachable, "the connection to the registry ended half-way: unexpected EOF"},
      {"filesystem layer verification failed", ErrorKind::failed,
       "filesystem layer verification failed; try it by hand: docker pull r:1/a:1"}};
  for (const auto& one : cases) {
    const auto error = pull_error(domain::parse_reference("r:1/a:1"), 500, one.said, {});
    CHECK(error.message() == "pull r:1/a:1: " + one.message);
    CHECK(error.kind() == one.kind);
  }
}

TEST_CASE("pull errors: which login was sent, or why none was") {
  const auto image = domain::parse_reference("team/a:1");
  RegistryLogin login;
  login.header = "secret";
  login.from = "/root/.docker/config.json";
  CHECK(
      pull_error(image, 500, "unauthorized: incorrect username or password", login).message() ==
      "pull team/a:1: unauthorized: incorrect username or password; check the image's name; the login for docker.io in "
      "/root/.docker/config.json was sent: check its user name and password, and that it may read the image");
  login.header.clear();
  login.trouble = "docker-credential-pass, which /root/.docker/config.json names, is not in PATH";
  CHECK(pull_error(image, 500, "unauthorized: authentication required", login).message() ==
        "pull team/a:1: unauthorized: authentication required; check the image's name; docker.io was asked without a "
        "login, because docker-credential-pass, which /root/.docker/config.json names, is not in PATH");
}

TEST_CASE("build errors: what is wrong and where, without BuildKit's words about itself") {
  const std::string solve = "failed to solve with frontend dockerfile.v0: ";  // 20.10
  const std::string definition = solve + "failed to create LLB definition: ";
  const std::vector<RefusalCase> cases{
      {definition + "dockerfile parse error line 2: unknown instruction: RUNN", ErrorKind::invalid,
       "web/Dockerfile:2: unknown instruction: RUNN; correct that line and push again"},
      {"failed to solve: dockerfile parse error on line 2: unknown instruction: RUNN (did you mean RUN?)",
       ErrorKind::invalid,
       "web/Dockerfile:2: unknown instruction: RUNN (did you mean RUN?); correct that line and push again"},
      {definition + "r:1/base:1: not found", ErrorKind::invalid,
       "r:1/base:1: not found; check the name after FROM in web/Dockerfile, and that the image was pushed"},
      {"failed to solve: r:1/base:1: failed to resolve source metadata for r:1/base:1: r:1/base:1: not found",
       ErrorKind::invalid,
       "r:1/base:1: not found; check the name after FROM in web/Dockerfile, and that the image was pushed"},
      {definition + "pull access denied, repository does not exist or may require authorization: server message: "
                    "insufficient_scope: authorization failed",
       ErrorKind::invalid,
       "pull access denied, repository does not exist or may require authorization: server message: "
       "insufficient_scope: authorization failed; check the name after FROM in web/Dockerfile; a private image needs "
       "a login for its registry: name one in agent.yaml under `registries`"},
      {definition + "failed to do request: Head \"http://r:1/v2/base/manifests/1\": dial tcp r:1: connect: connection "
                    "refused",
       ErrorKind::unreachable,
       "failed to do request: Head \"http://r:1/v2/base/manifests/1\": dial tcp r:1: connect: connection refused; "
       "check "
       "that Docker on this host reaches the registry of the image after FROM"},
      {definition + "target stage prod could not be found", ErrorKind::invalid,
       "target stage prod could not be found; set source.git.target to a stage that web/Dockerfile has"},
      {"failed to compute cache key: \"/dist\" not found: not found", ErrorKind::invalid,
       "the build context has no \"/dist\"; what web/Dockerfile copies must be committed, inside source.git.context, "
       "and "
       "not left out by .dockerignore"},
      {"failed to solve: failed to compute cache key: failed to calculate checksum of ref a::b: \"/dist\": not found",
       ErrorKind::invalid,
       "the build context has no \"/dist\"; what web/Dockerfile copies must be committed, inside source.git.context, "
       "and "
       "not left out by .dockerignore"},
      {"failed to solve: write /x: no space left on device", ErrorKind::disk_full,
       "write /x: no space left on device; free some space on Docker's disk (docker system df shows what takes it) and "
       "try again"},
      {"rpc error: code = Unknown desc = something else", ErrorKind::failed,
       "something else; correct web/Dockerfile and push again, or try it by hand: docker build"}};
  for (const auto& one : cases) {
    const auto error = build_error("build t", "web/Dockerfile", one.said, "");
    CHECK(error.message() == "build t: " + one.message);
    CHECK(error.kind() == one.kind);
  }
}

TEST_CASE("build errors: a command that failed speaks for itself, whatever words it holds") {
  const std::string output = "; it wrote last:\n  oops";
  for (const std::string said :
       {"executor failed running [/bin/sh -c echo connection refused; exit 7]: exit code: 7",
        "process \"/bin/sh -c echo manifest unknown\" did not complete successfully: exit code: 7"}) {
    const auto error = build_error("build t", "Dockerfile", said, output);
    CHECK(error.message() == "build t: " + said + output);
    CHECK(error.kind() == ErrorKind::failed);
    CHECK(build_error("build t", "Dockerfile", "failed to solve: " + said, output).message() == error.message());
  }
}

}  // namespace
}  // namespace deploy::engine
