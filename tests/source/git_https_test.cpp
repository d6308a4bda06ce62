// Fetching over https from a real git behind TLS.
#include <stdlib.h>
#include <unistd.h>

#include <catch2/catch_all.hpp>
#include <memory>

#include "agent/base/error.hpp"
#include "tests/fakes/small_disk.hpp"
#include "tests/source/https_server.hpp"
#include "tests/source/mirror_fixture.hpp"

using namespace deploy;
using namespace deploy::tests;

namespace {

/// An environment variable for as long as it lives.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) { ::setenv(name, value.c_str(), 1); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;
  ~Variable() { ::unsetenv(name_); }

 private:
  const char* name_;
};

struct HttpsFixture {
  TempDir folder;
  TestRepo repo{folder / "repositories/app"};
  MirrorUnderTest mirror{folder / "state"};
  domain::GitSource source;
  std::string commit;

  HttpsFixture() {
    repo.write("a", "1");
    commit = repo.commit("first");
  }

  /// SSL_CERT_FILE for the server that serve() makes.
  std::string certificate() const { return folder / "tls/certificate.pem"; }

  /// A server of the repositories. Set the environment before: the server's thread reads it, too.
  std::unique_ptr<HttpsServer> serve(HttpsServerOptions options = {}) {
    options.repositories = folder / "repositories";
    auto server = std::make_unique<HttpsServer>(folder / "tls", std::move(options));
    source.url = server->url("/app/.git");
    return server;
  }

  /// The message of the fetch's error, without "cannot fetch <address>: ".
  std::string refusal(ErrorKind kind = ErrorKind::invalid) {
    const Error error = error_of([&] { mirror.fetch(source); });
    CHECK(error.kind() == kind);
    const std::string before = "cannot fetch " + source.url + ": ";
    REQUIRE(error.message().starts_with(before));
    CHECK(names_below(folder.path() / "state").empty());
    return error.message().substr(before.size());
  }

  std::string refusal_of_answer(const std::string& status_and_headers) {
    HttpsServerOptions options;
    options.canned = "HTTP/1.1 " + status_and_headers + "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    const Variable trust("SSL_CERT_FILE", certificate());
    const auto server = serve(options);
    return refusal();
  }
};

}  // namespace

TEST_CASE_METHOD(HttpsFixture, "https: a public repository") {
  const Variable trust("SSL_CERT_FILE", certificate());
  const auto server = serve();
  mirror.fetch(source);
  CHECK(mirror.resolve(source, "main") == commit);
}

TEST_CASE_METHOD(HttpsFixture, "https: a full disk") {
  if (::geteuid() != 0) SKIP("needs root");
  run_program({"dd", "if=/dev/urandom", "of=" + (repo.folder() / "big").string(), "bs=1M", "count=4", "status=none"});
  repo.commit("big");
  const Variable trust("SSL_CERT_FILE", certificate());
  const auto server = serve();
  std::filesystem::create_directory(folder / "small");
  on_small_disk(folder / "small", 1024, [&] {
    MirrorUnderTest on_small(folder / "small");
    const Error error = error_of([&] { on_small.fetch(source); });
    CHECK(error.kind() == ErrorKind::disk_full);
    CHECK(error.message() == "cannot fetch " + source.url + ": cannot write " +
                                 on_small.mirror_of(source.url).string() +
                                 ": No space left on device; free some space and try again");
    CHECK(names_below(folder / "small").empty());
  });
}

TEST_CASE_METHOD(HttpsFixture, "https: a private repository") {
  const Variable trust("SSL_CERT_FILE", certificate());
  HttpsServerOptions options;
  options.token = "the-token";
  SECTION("with its token") {
    source.token_env = "DEPLOY_TEST_TOKEN";
    const Variable token("DEPLOY_TEST_TOKEN", "the-token");
    const auto server = serve(options);
    mirror.fetch(source);
    CHECK(mirror.resolve(source, "main") == commit);
  }
  SECTION("without a token") {
    const auto server = serve(options);
    CHECK(
        refusal() ==
        "localhost asks who we are: the repository is private or does not exist; put a token that may read it into an "
        "environment variable of deployd and name it in `token_env`");
  }
  SECTION("with a wrong token") {
    source.token_env = "DEPLOY_TEST_TOKEN";
    const Variable token("DEPLOY_TEST_TOKEN", "another");
    const auto server = serve(options);
    CHECK(refusal() == "localhost refused the token; make a new one that may read the repository's contents");
  }
  SECTION("with a variable that is not set") {
    const auto server = serve(options);
    source.token_env = "DEPLOY_TEST_TOKEN";
    CHECK(refusal() ==
          "the environment variable DEPLOY_TEST_TOKEN (`token_env`) is not set; set it for deployd, for "
          "instance in "
          "the EnvironmentFile of its unit");
  }
}

TEST_CASE_METHOD(HttpsFixture, "https: a repository that the server does not have") {
  const Variable trust("SSL_CERT_FILE", certificate());
  const auto server = serve();
  source.url = server->url("/none");
  CHECK(
      refusal() ==
      "localhost has no such repository, or does not show it to us; check the address and that the token may read it");
}

TEST_CASE_METHOD(HttpsFixture, "https: a certificate that nobody vouches for") {
  const auto server = serve();
  CHECK(
      refusal() ==
      "the certificate of localhost is not trusted: it expired, is for another name, or its authority is unknown here; "
      "renew it, or add the authority with update-ca-certificates");
}

TEST_CASE_METHOD(HttpsFixture, "https: a redirect is not followed") {
  CHECK(refusal_of_answer("302 Found\r\nLocation: https://elsewhere.example/app") ==
        "localhost redirects to another address, which is not followed; set source.git.url to the repository's present "
        "address");
}

TEST_CASE_METHOD(HttpsFixture, "https: reading is forbidden") {
  CHECK(refusal_of_answer("403 Forbidden") ==
        "localhost does not let us read the repository (unexpected http status code: 403); give the key or the token "
        "read "
        "access");
}

TEST_CASE_METHOD(HttpsFixture, "https: a server that is not there") {
  // A port that was free a moment ago.
  boost::asio::io_context context;
  boost::asio::ip::tcp::acceptor acceptor(context, {boost::asio::ip::address_v4::loopback(), 0});
  source.url = "https://127.0.0.1:" + std::to_string(acceptor.local_endpoint().port()) + "/app";
  acceptor.close();
  CHECK(
      refusal(ErrorKind::unreachable) ==
      "cannot reach 127.0.0.1 (failed to connect to 127.0.0.1: Connection refused); check the address and the network");
}

TEST_CASE_METHOD(HttpsFixture, "https: a host that has no address") {
  source.url = "https://deployctl.invalid/app";
  const std::string text = refusal(ErrorKind::unreachable);
  // The resolver's own words depend on the machine's network.
  CHECK(text.starts_with("cannot reach deployctl.invalid (failed to resolve address for deployctl.invalid: "));
  CHECK(text.ends_with("); check the address and the network"));
}
