// GitHub's API over TLS on loopback: what is asked, what is read, and what is refused.
#include "agent/source/github_api.hpp"

#include <stdlib.h>

#include <boost/asio/io_context.hpp>
#include <catch2/catch_all.hpp>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>

#include "tests/source/https_server.hpp"
#include "tests/source/mirror_fixture.hpp"

using namespace deploy;
using namespace deploy::tests;
using nlohmann::json;

namespace {

const std::string commit(40, 'a');

std::string answer_of(const std::string& status, const std::string& body, const std::string& fields = "") {
  return "HTTP/1.1 " + status + "\r\n" + fields + "Content-Length: " + std::to_string(body.size()) +
         "\r\nConnection: close\r\n\r\n" + body;
}

json run_json() {
  const json repository = {{"id", 7}, {"full_name", "shop/backend"}};
  return {{"conclusion", "success"},
          {"event", "push"},
          {"head_branch", "main"},
          {"head_sha", commit},
          {"path", ".github/workflows/ci.yml@refs/heads/main"},
          {"repository", repository},
          {"head_repository", repository},
          {"head_commit", {{"message", "two\nlines"}}}};
}

/// GitHub with one answer for everything; asked with the token "the-token".
struct Asked {
  explicit Asked(std::string reply, bool trusted = true) {
    ::setenv("SSL_CERT_FILE", (trusted ? folder / "tls/certificate.pem" : folder / "none").c_str(), 1);
    HttpsServerOptions options;
    options.answer = [this, reply](const std::string& head) {
      const std::lock_guard lock(mutex);
      seen = head;
      return reply;
    };
    server = std::make_unique<HttpsServer>(folder / "tls", options);
    api = std::make_unique<source::GithubApi>(server->url("/api/v3"), "the-token");
  }
  ~Asked() { ::unsetenv("SSL_CERT_FILE"); }

  /// The message of the error, without "cannot ask localhost about shop/backend: ".
  std::string refusal(ErrorKind kind) {
    const Error error = error_of([&] { run(api->branch_tip("shop/backend", "main")); });
    CHECK(error.kind() == kind);
    CHECK(error.message().find("the-token") == std::string::npos);
    const std::string before = "cannot ask localhost about shop/backend: ";
    REQUIRE(error.message().starts_with(before));
    return error.message().substr(before.size());
  }
  std::string head() {
    const std::lock_guard lock(mutex);
    return seen;
  }
  std::string name() const {  // localhost:port
    const auto url = server->url("");
    return url.substr(url.rfind('/') + 1);
  }

  TempDir folder;
  std::mutex mutex;
  std::string seen;
  std::unique_ptr<HttpsServer> server;
  std::unique_ptr<source::GithubApi> api;
};

}  // namespace

TEST_CASE("the tip of a branch is asked for with the token") {
  const json body = {{"name", "a b"}, {"commit", {{"sha", commit}, {"commit", {{"message", "says\n[skip deploy]"}}}}}};
  Asked github(answer_of("200 OK", body.dump()));
  const auto tip = run(github.api->branch_tip("shop/backend", "feature/a b"));
  CHECK(tip.commit == commit);
  CHECK(tip.message == "says\n[skip deploy]");
  CHECK(github.head() == "GET /api/v3/repos/shop/backend/branches/feature%2Fa%20b HTTP/1.1\r\nHost: " + github.name() +
                             "\r\nAccept: application/vnd.github+json\r\nAuthorization: Bearer the-token\r\n"
                             "User-Agent: deployctl/" DEPLOYCTL_VERSION
                             "\r\nX-GitHub-Api-Version: 2022-11-28\r\nConnection: close\r\n\r\n");
}

TEST_CASE("the green runs of a commit are read with what the gate looks at") {
  auto of_fork = run_json();
  of_fork["head_repository"] = {{"id", 8}, {"full_name", "evil/backend"}};
  auto of_nobody = run_json();
  of_nobody["head_repository"] = nullptr;
  of_nobody["head_commit"] = nullptr;
  of_nobody["conclusion"] = nullptr;
  of_nobody["head_branch"] = nullptr;
  const json body = {{"total_count", 3}, {"workflow_runs", {run_json(), of_fork, of_nobody}}};
  Asked github(answer_of("200 OK", body.dump()));
  const auto runs = run(github.api->green_runs("shop/backend", "main", commit));
  REQUIRE(runs.size() == 3);
  CHECK(domain::why_not_green(runs[0]) == "");
  CHECK(runs[0].head_sha == commit);
  CHECK(runs[0].head_branch == "main");
  CHECK(runs[0].path == ".github/workflows/ci.yml");
  CHECK(runs[0].message == "two\nlines");
  CHECK(domain::why_not_green(runs[1]) == "the run belongs to a fork (evil/backend)");
  CHECK(domain::why_not_green(runs[2]) == "the workflow run ended with \"\"");
  CHECK(github.head().starts_with("GET /api/v3/repos/shop/backend/actions/runs?head_sha=" + commit +
                                  "&branch=main&event=push&status=success&per_page=50 HTTP/1.1\r\n"));
}

TEST_CASE("what GitHub refuses is said with what to do") {
  struct Case {
    std::string reply;
    ErrorKind kind;
    std::string says;
  };
  const std::vector<Case> cases{
      {answer_of("401 Unauthorized", "{}"), ErrorKind::invalid,
       "it refused the token; make a new one that may read the repository's contents and actions, and put it where "
       "github.token in agent.yaml says"},
      {answer_of("403 Forbidden", "{}", "X-RateLimit-Remaining: 0\r\n"), ErrorKind::failed,
       "the token's limit of requests is used up for now; a longer `poll` in agent.yaml asks less"},
      {answer_of("429 Too Many Requests", "{}", "Retry-After: 60\r\n"), ErrorKind::failed,
       "the token's limit of requests is used up for now; a longer `poll` in agent.yaml asks less"},
      {answer_of("403 Forbidden", "{}"), ErrorKind::invalid,
       "the token may not; let it read the repository's contents and actions"},
      {answer_of("404 Not Found", "{}"), ErrorKind::not_found,
       "there is no such repository or branch, or the token may not see it; check `repo` and `branch` in the service's "
       "file, and what the token may read"},
      {answer_of("301 Moved Permanently", "", "Location: https://evil.example/\r\n"), ErrorKind::failed,
       "it redirects to another address, which is not followed; if the repository was renamed, set `repo` in the "
       "service's file to its present name"},
      {answer_of("502 Bad Gateway", "<html>"), ErrorKind::unreachable, "it answered 502"},
      {answer_of("200 OK", "<html>"), ErrorKind::failed, "its answer is no JSON"},
  };
  for (const auto& wrong : cases) {
    CAPTURE(wrong.reply);
    Asked github(wrong.reply);
    CHECK(github.refusal(wrong.kind) == wrong.says);
  }
}

TEST_CASE("an answer that is not as GitHub's API describes it says so, and no commit is taken from it") {
  const std::string begin = "GitHub's answer about shop/backend is not as its API describes it: ";
  const auto message = [](const json& body) {
    Asked github(answer_of("200 OK", body.dump()));
    return error_of([&] { run(github.api->branch_tip("shop/backend", "main")); }).message();
  };
  CHECK(message(json::array()).starts_with(begin));
  CHECK(message({{"commit", {{"sha", 7}}}}).starts_with(begin));
  CHECK(message({{"commit", {{"sha", "--upload-pack=x"}, {"commit", {{"message", ""}}}}}}) ==
        begin + "a commit's id is not 40 hexadecimal digits");
}

TEST_CASE("an answer without an end is not read to its end") {
  Asked github("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + std::string(9 << 20, ' '));
  CHECK(github.refusal(ErrorKind::failed) == "GET /api/v3/repos/shop/backend/branches/main of " + github.name() +
                                                 ": the answer is larger than 8388608 bytes");
}

TEST_CASE("a certificate that nobody vouches for ends the call before the token is sent") {
  Asked github(answer_of("200 OK", "{}"), false);
  const auto refusal = github.refusal(ErrorKind::failed);
  const std::string begin = "the certificate of " + github.name() + " is not trusted (";
  // OpenSSL's own words in between.
  CHECK(refusal.starts_with(begin));
  CHECK(refusal.ends_with(
      "): it expired, is for another name, or its authority is unknown here; renew it, or add the authority with "
      "update-ca-certificates"));
  CHECK(github.head() == "");
}

TEST_CASE("a certificate for another name ends the call before the token is sent") {
  Asked github(answer_of("200 OK", "{}"));
  auto url = github.server->url("");
  url.replace(url.find("localhost"), 9, "127.0.0.1");
  source::GithubApi api(url, "the-token");
  const auto message = error_of([&] { run(api.branch_tip("shop/backend", "main")); }).message();
  CHECK(message.find("is not trusted (") != std::string::npos);
  CHECK(github.head() == "");
}

TEST_CASE("a GitHub that is not there is unreachable") {
  boost::asio::io_context context;
  boost::asio::ip::tcp::acceptor acceptor(context, {boost::asio::ip::address_v4::loopback(), 0});
  const auto port = std::to_string(acceptor.local_endpoint().port());
  acceptor.close();
  source::GithubApi api("https://127.0.0.1:" + port, "the-token");
  const Error error = error_of([&] { run(api.branch_tip("shop/backend", "main")); });
  CHECK(error.kind() == ErrorKind::unreachable);
  CHECK(error.message() ==
        "cannot ask 127.0.0.1 about shop/backend: cannot connect to 127.0.0.1:" + port + ": Connection refused");
}

TEST_CASE("the API's address is https and nothing else") {
  for (const std::string api :
       {"http://api.github.com", "https://", "https://host:x", "https://host:0", "api.github.com"}) {
    CHECK(
        error_of([&] { source::GithubApi(api, "t"); }).message() ==
        "\"" + api +
            "\" is not the address of GitHub's API; write https://api.github.com, or https://HOST/api/v3 of your own, "
            "under github.api in agent.yaml");
  }
}
