#include "webhook/receiver.hpp"

#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <catch2/catch_all.hpp>
#include <sstream>

#include "agent/base/text.hpp"
#include "tests/fakes/run.hpp"
#include "tests/webhook/payload.hpp"

using namespace deploy;
using namespace deploy::tests;
using namespace deploy::webhook;

namespace {

const std::string secret = "a secret that only GitHub and this test know";

class RecordingSink : public Sink {
 public:
  std::vector<domain::Delivery> stored;
  bool broken = false;

  Task<StoredDelivery> store(domain::Delivery delivery) override {
    if (broken) throw Error(ErrorKind::disk_full, "cannot write /var/lib/deployctl/state.db: no space left on device");
    for (std::size_t i = 0; i < stored.size(); ++i) {
      if (stored[i].body_sha256 == delivery.body_sha256) {
        co_return StoredDelivery{{static_cast<std::int64_t>(i) + 1}, true};
      }
    }
    stored.push_back(std::move(delivery));
    co_return StoredDelivery{{static_cast<std::int64_t>(stored.size())}, false};
  }
};

/// Keeps what is logged while it lives.
class CapturedLog {
 public:
  CapturedLog() : before_(spdlog::default_logger()) {
    spdlog::set_default_logger(
        std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::ostream_sink_mt>(text_)));
  }
  ~CapturedLog() { spdlog::set_default_logger(before_); }
  CapturedLog(const CapturedLog&) = delete;
  CapturedLog& operator=(const CapturedLog&) = delete;
  std::string text() const { return text_.str(); }

 private:
  std::ostringstream text_;
  std::shared_ptr<spdlog::logger> before_;
};

struct Fixture {
  CapturedLog log;
  RecordingSink sink;
  std::shared_ptr<std::vector<domain::Service>> services = std::make_shared<std::vector<domain::Service>>();
  Receiver receiver{{"an older secret", secret}, [this] { return services; }, sink};

  Fixture() {
    domain::Service backend;
    backend.name = "backend";
    backend.repo = "codertocat/hello-world";
    backend.branch = "master";
    services->push_back(backend);
  }

  http::Response send(http::Request request) { return run(receiver.receive(std::move(request))); }
};

http::Request request_of(const std::string& event, std::string body) {
  http::Request request;
  request.method = "POST";
  request.target = "/hooks/github";
  request.headers["Content-Type"] = "application/json";
  request.headers["X-GitHub-Event"] = event;
  request.headers["X-GitHub-Delivery"] = "72d3162e-cc78-11e3-81ab-4c9367dc0958";
  request.headers["X-Hub-Signature-256"] = "sha256=" + hmac_sha256_hex(secret, body);
  request.body = std::move(body);
  return request;
}

}  // namespace

TEST_CASE_METHOD(Fixture, "a push that deploys is stored whole, then answered 202 with its services") {
  const auto body = payload_text(push_file);
  const auto response = send(request_of("push", body));
  CHECK(response.status == 202);
  CHECK(response.header("Content-Type") == "application/json");
  CHECK(response.body == "{\"delivery\":1,\"services\":[\"backend\"]}\n");
  REQUIRE(sink.stored.size() == 1);
  const auto& delivery = sink.stored[0];
  CHECK(delivery.guid == "72d3162e-cc78-11e3-81ab-4c9367dc0958");
  CHECK(delivery.event == "push");
  CHECK(delivery.body_sha256 == sha256_hex(body));
  CHECK(delivery.repo == "Codertocat/Hello-World");
  CHECK(delivery.outcome == "accepted");
  REQUIRE(delivery.changes.size() == 1);
  CHECK(delivery.changes[0].service == "backend");
  CHECK(delivery.changes[0].commit == "6113728f27ae82c7b1a177c8d03f9e96e0adf246");
}

TEST_CASE_METHOD(Fixture, "what deploys nothing is stored and answered 200 with the reason") {
  const auto response = send(request_of("push", payload_text(push_deleted_tag_file)));
  CHECK(response.status == 200);
  CHECK(response.body ==
        R"({"delivery":1,"ignored":"\"refs/tags/simple-tag\" is not a branch, and only branches are deployed"})"
        "\n");
  REQUIRE(sink.stored.size() == 1);
  CHECK(sink.stored[0].changes.empty());
  CHECK(sink.stored[0].outcome == "\"refs/tags/simple-tag\" is not a branch, and only branches are deployed");
}

TEST_CASE_METHOD(Fixture, "a ping is recorded and answered") {
  const auto response = send(request_of("ping", payload_text(ping_file)));
  CHECK(response.status == 200);
  CHECK(response.body == "{\"delivery\":1,\"message\":\"pong\"}\n");
  REQUIRE(sink.stored.size() == 1);
  CHECK(sink.stored[0].event == "ping");
  CHECK(sink.stored[0].repo == "Octocoders/Hello-World");
}

TEST_CASE_METHOD(Fixture, "refused signatures are told in the log, and do not fill it") {
  auto request = request_of("push", payload_text(push_file));
  request.headers["X-Hub-Signature-256"] = "sha256=" + hmac_sha256_hex("a guess", request.body);
  const auto lines = [this] {
    const auto text = log.text();
    return std::count(text.begin(), text.end(), '\n');
  };
  send(request);
  CHECK(log.text().ends_with(
      "webhook: a request was refused since deployd started, with a signature that is missing or wrong; if GitHub sent "
      "it, check the webhook's secret\n"));
  CHECK(lines() == 1);
  for (int i = 2; i <= 99; ++i) send(request);
  CHECK(log.text().ends_with(
      "webhook: 10 requests were refused since deployd started, with a signature that is missing or wrong; if GitHub "
      "sent them, check the webhook's secret\n"));
  CHECK(lines() == 2);
}

TEST_CASE_METHOD(Fixture, "wrong signatures are a note until one is right; what has none is not GitHub's") {
  auto request = request_of("push", payload_text(push_file));
  const auto right = request.headers["X-Hub-Signature-256"];
  request.headers.erase("X-Hub-Signature-256");
  send(request);
  CHECK(receiver.note().empty());
  request.headers["X-Hub-Signature-256"] = "sha256=" + hmac_sha256_hex("a guess", request.body);
  send(request);
  send(request);
  CHECK(
      receiver.note() ==
      "2 webhooks came with a wrong signature, and none with a right one since; where GitHub sent them, the secret in "
      "the webhook's settings there is not the one that agent.yaml names");
  request.headers["X-Hub-Signature-256"] = right;
  send(request);
  CHECK(receiver.note().empty());
}

TEST_CASE_METHOD(Fixture, "services are asked for with each delivery") {
  services->clear();
  CHECK(send(request_of("push", payload_text(push_file))).body ==
        R"({"delivery":1,"ignored":"no service is deployed from repository \"Codertocat/Hello-World\""})"
        "\n");
}

TEST_CASE_METHOD(Fixture, "a wrong or missing signature is 401 and leaves nothing") {
  auto request = request_of("push", payload_text(push_file));
  SECTION("missing") { request.headers.erase("X-Hub-Signature-256"); }
  SECTION("of another secret") {
    request.headers["X-Hub-Signature-256"] = "sha256=" + hmac_sha256_hex("another secret", request.body);
  }
  SECTION("of another body") { request.body += " "; }
  SECTION("the old SHA-1 header alone") {
    request.headers.erase("X-Hub-Signature-256");
    request.headers["X-Hub-Signature"] = "sha1=7d38cdd689735b008b3c702edd92eea23791c5f6";
  }
  SECTION("and the body not even JSON") { request.body = "{"; }
  const auto response = send(request);
  CHECK(response.status == 401);
  CHECK(
      response.body ==
      "{\"error\":{\"kind\":\"invalid\",\"message\":\"the header X-Hub-Signature-256 is missing or does not match the "
      "body; check the webhook's secret\"}}\n");
  CHECK(sink.stored.empty());
}

TEST_CASE_METHOD(Fixture, "only POST is taken") {
  auto request = request_of("push", payload_text(push_file));
  request.method = GENERATE(as<std::string>{}, "GET", "HEAD", "PUT", "post");
  const auto response = send(request);
  CHECK(response.status == 405);
  CHECK(response.header("Allow") == "POST");
  CHECK(response.body == "{\"error\":{\"kind\":\"invalid\",\"message\":\"the webhook takes POST requests only\"}}\n");
  CHECK(sink.stored.empty());
}

TEST_CASE_METHOD(Fixture, "a body received before is answered 200 and does nothing new") {
  const auto body = payload_text(push_file);
  CHECK(send(request_of("push", body)).status == 202);
  auto again = request_of("push", body);
  SECTION("redelivered by hand: the same id") {}
  SECTION("replayed under a new id, which is not signed") { again.headers["X-GitHub-Delivery"] = "another-id"; }
  const auto response = send(again);
  CHECK(response.status == 200);
  CHECK(
      response.body ==
      "{\"delivery\":1,\"duplicate\":true,\"message\":\"this delivery was received before; nothing new was done\"}\n");
  CHECK(sink.stored.size() == 1);
}

TEST_CASE_METHOD(Fixture, "nothing is answered 2xx that was not stored") {
  sink.broken = true;
  const auto file = GENERATE(push_file, push_deleted_tag_file);
  const auto response = send(request_of("push", payload_text(file)));
  CHECK(response.status == 503);
  CHECK(response.body ==
        "{\"error\":{\"kind\":\"failed\",\"message\":\"the delivery could not be stored; look at the agent's log, then "
        "redeliver it\"}}\n");
  CHECK_THAT(log.text(), Catch::Matchers::ContainsSubstring("no space left on device"));
}

TEST_CASE_METHOD(Fixture, "a signed body that cannot be read is recorded and answered 400, also when it comes again") {
  for (int attempt = 0; attempt < 2; ++attempt) {
    const auto response = send(request_of("push", "{\"ref\":1}"));
    CHECK(response.status == 400);
    CHECK(response.body ==
          "{\"error\":{\"kind\":\"invalid\",\"message\":\"cannot read the push event: field \\\"repository.id\\\" is "
          "missing\"}}\n");
  }
  REQUIRE(sink.stored.size() == 1);
  CHECK(sink.stored[0].outcome == "cannot read the push event: field \"repository.id\" is missing");
  CHECK(sink.stored[0].changes.empty());
}

TEST_CASE_METHOD(Fixture, "GitHub's form encoding is taken") {
  auto request = request_of("push", "payload=" + http::url_encode(payload_text(push_file)));
  request.headers["Content-Type"] = "application/x-www-form-urlencoded";
  CHECK(send(request).status == 202);
}

TEST_CASE_METHOD(Fixture, "header values that do not look like GitHub's are not stored") {
  auto request = request_of("push", payload_text(push_file));
  SECTION("an id with other characters") { request.headers["X-GitHub-Delivery"] = "<script>"; }
  SECTION("an id that is too long") { request.headers["X-GitHub-Delivery"] = std::string(65, 'a'); }
  CHECK(send(request).status == 202);
  REQUIRE(sink.stored.size() == 1);
  CHECK(sink.stored[0].guid.empty());
}

TEST_CASE_METHOD(Fixture, "an event header that is missing or malformed is recorded and answered 400") {
  auto request = request_of("push", payload_text(push_file));
  SECTION("missing") { request.headers.erase("X-GitHub-Event"); }
  SECTION("malformed") { request.headers["X-GitHub-Event"] = "push\n"; }
  CHECK(send(request).status == 400);
  REQUIRE(sink.stored.size() == 1);
  CHECK(sink.stored[0].event.empty());
  CHECK(sink.stored[0].outcome == "the header X-GitHub-Event is missing or malformed");
}

TEST_CASE_METHOD(Fixture, "the log names the delivery and holds neither signatures nor secrets") {
  const auto request = request_of("push", payload_text(push_file));
  send(request);
  auto wrong = request;
  wrong.body += " ";
  send(wrong);
  CHECK_THAT(log.text(), Catch::Matchers::ContainsSubstring("72d3162e-cc78-11e3-81ab-4c9367dc0958"));
  CHECK_THAT(log.text(), !Catch::Matchers::ContainsSubstring(secret));
  CHECK_THAT(log.text(), !Catch::Matchers::ContainsSubstring("sha256="));
}

TEST_CASE("a receiver without a secret, or with an empty one, is refused") {
  RecordingSink sink;
  const auto none = [] { return std::make_shared<const std::vector<domain::Service>>(); };
  const auto secrets =
      GENERATE(as<std::vector<std::string>>{}, std::vector<std::string>{}, std::vector<std::string>{"good", ""});
  CHECK(error_of([&] { Receiver(secrets, none, sink); }).message() ==
        "the webhook needs a secret that is not empty; set it here and in the settings of the webhook at GitHub");
}

TEST_CASE_METHOD(Fixture, "a push to the config repo is stored as a config change before it is answered") {
  domain::ConfigRepo config;
  config.repo = "codertocat/hello-world";
  config.branch = "master";
  services->clear();
  Receiver configured(
      {secret}, [this] { return services; }, sink, config);
  const auto answer = run(configured.receive(request_of("push", payload_text(push_file))));
  CHECK(answer.status == 202);
  CHECK(answer.body == "{\"config_change\":true,\"delivery\":1,\"services\":[]}\n");
  REQUIRE(sink.stored.size() == 1);
  CHECK(sink.stored[0].config_commit.size() == 40);
  CHECK(sink.stored[0].outcome == "accepted");
}
