#include "agent/health/verdict.hpp"

#include <catch2/catch_test_macros.hpp>

namespace deploy::health {
namespace {

using std::chrono::milliseconds;

Answer judge(domain::HealthCheck check, int status, std::string body) {
  check.http = "/health";
  http::Response response;
  response.status = status;
  response.body = std::move(body);
  return judge_response(check, 8000, response);
}

TEST_CASE("the status decides") {
  CHECK(judge({}, 200, "ok").good);
  CHECK(judge({}, 200, "ok").text == "GET /health on port 8000 answered 200");
  const auto bad = judge({}, 503, "db down\n");
  CHECK_FALSE(bad.good);
  CHECK(bad.text == "GET /health on port 8000 answered 503: \"db down\"");
  domain::HealthCheck no_content;
  no_content.expect_status = 204;
  CHECK(judge(no_content, 204, "").good);
  CHECK(judge(no_content, 200, "").text == "GET /health on port 8000 answered 200 (expected 204)");
}

TEST_CASE("a redirect is not followed, and the answer says so") {
  http::Response response;
  response.status = 302;
  response.headers["Location"] = "/login";
  domain::HealthCheck check;
  check.http = "/";
  CHECK(judge_response(check, 80, response).text ==
        "GET / on port 80 answered 302 (a redirect to /login, which is not followed)");
}

TEST_CASE("headers and a part of the body can be expected") {
  http::Response response;
  response.status = 200;
  response.headers["X-App"] = "web";
  response.body = "<title>Welcome</title>";
  domain::HealthCheck check;
  check.http = "/";
  check.expect_headers = {{"x-app", "web"}};
  check.expect_body = "Welcome";
  CHECK(judge_response(check, 80, response).good);
  check.expect_body = "Hello";
  CHECK(judge_response(check, 80, response).text ==
        "GET / on port 80 answered 200, but \"Hello\" is not in the body: \"<title>Welcome</title>\"");
  check.expect_headers = {{"x-app", "api"}};
  CHECK(judge_response(check, 80, response).text ==
        "GET / on port 80 answered 200, but the header x-app is \"web\" and not \"api\"");
}

TEST_CASE("values of the body are compared as JSON") {
  domain::HealthCheck check;
  check.expect_json = {{"/status", "\"UP\""}, {"/checks/0/ok", "true"}, {"/a~1b", "1"}};
  CHECK(judge(check, 200, R"({"status":"UP","checks":[{"ok":true}],"a/b":1.0})").good);
  CHECK(judge(check, 200, R"({"status":"DOWN","checks":[{"ok":true}],"a/b":1})").text ==
        "GET /health on port 8000 answered 200, but /status is \"DOWN\" and not \"UP\"");
  CHECK(judge(check, 200, R"({"status":"UP","checks":[],"a/b":1})").text ==
        "GET /health on port 8000 answered 200, but there is no /checks/0/ok in "
        "\"{\"status\":\"UP\",\"checks\":[],\"a/b\":1}\"");
  CHECK(judge(check, 200, "<html>").text ==
        "GET /health on port 8000 answered 200, but the body is not JSON: \"<html>\"");
  check.expect_json = {{"status", "1"}};
  CHECK(judge(check, 200, "{}").text ==
        "GET /health on port 8000 answered 200, but status is not a JSON pointer (RFC 6901), e.g. /status");
  check.expect_json = {{"/status", "UP"}};
  CHECK(judge(check, 200, "{}").text ==
        "GET /health on port 8000 answered 200, but the value expected at /status is not JSON: UP");
  check.expect_json = {{"", "{}"}};
  CHECK(judge(check, 200, "{}").good);
}

TEST_CASE("an excerpt is short, printable and whole characters") {
  CHECK(excerpt("a\r\n\tb\x1b\n") == "\"a   b\"");
  CHECK(excerpt(std::string(200, 'x')) == "\"" + std::string(200, 'x') + "\"");
  CHECK(excerpt(std::string(201, 'x')) == "\"" + std::string(200, 'x') + "…\"");
  CHECK(excerpt(std::string(199, 'x') + "é") == "\"" + std::string(199, 'x') + "…\"");
}

struct Proof {
  explicit Proof(domain::HealthCheck check) : judge(check, Judge::Time{}) {}
  std::optional<ports::Verdict> hear(bool good, milliseconds at) {
    const Answer answer{good, good ? "answered 200" : "answered 503"};
    return judge.heard(answer, Judge::Time{} + at);
  }
  Judge judge;
};

TEST_CASE("one success is enough by default") {
  Proof proof({});
  CHECK_FALSE(proof.hear(false, milliseconds(0)));
  const auto verdict = proof.hear(true, milliseconds(50));
  REQUIRE(verdict);
  CHECK(verdict->healthy);
  CHECK(verdict->reason == "answered 200");
}

TEST_CASE("it asks quickly at first and slows down to the interval") {
  Proof proof({});
  std::vector<long> waits;
  for (int i = 0; i < 9; ++i) {
    proof.hear(false, milliseconds(i));
    waits.push_back(static_cast<long>(proof.judge.next_wait(Judge::Time{}).count()));
  }
  CHECK(waits == std::vector<long>{50, 75, 112, 168, 252, 378, 567, 850, 1000});
}

TEST_CASE("several successes are an interval apart and in a row") {
  domain::HealthCheck check;
  check.successes = 3;
  Proof proof(check);
  CHECK_FALSE(proof.hear(true, milliseconds(0)));
  CHECK(proof.judge.next_wait(Judge::Time{}) == milliseconds(1000));
  CHECK_FALSE(proof.hear(true, milliseconds(1000)));
  CHECK_FALSE(proof.hear(false, milliseconds(2000)));
  CHECK_FALSE(proof.hear(true, milliseconds(2050)));
  CHECK_FALSE(proof.hear(true, milliseconds(3050)));
  CHECK(proof.hear(true, milliseconds(4050)).value().healthy);
}

TEST_CASE("the deadline ends it with the last answer") {
  domain::HealthCheck check;
  check.deadline = milliseconds(2500);
  Proof proof(check);
  CHECK_FALSE(proof.hear(false, milliseconds(2499)));
  CHECK(proof.judge.next_wait(Judge::Time{} + milliseconds(2499)) == milliseconds(1));
  const auto verdict = proof.hear(false, milliseconds(2500));
  REQUIRE(verdict);
  CHECK_FALSE(verdict->healthy);
  CHECK(verdict->reason == "not healthy within 2.5 s: answered 503");
}

TEST_CASE("too few successes at the deadline are counted") {
  domain::HealthCheck check;
  check.successes = 2;
  check.deadline = milliseconds(30000);
  Proof proof(check);
  CHECK(proof.hear(true, milliseconds(30000)).value().reason ==
        "not healthy within 30 s: answered 200 (1 of 2 successes)");
}

}  // namespace
}  // namespace deploy::health
