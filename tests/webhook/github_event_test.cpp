#include "webhook/github_event.hpp"

#include <catch2/catch_all.hpp>

#include "agent/http/message.hpp"
#include "tests/fakes/run.hpp"
#include "tests/webhook/payload.hpp"

using namespace deploy;
using namespace deploy::tests;
using namespace deploy::webhook;
using nlohmann::json;

namespace {

const std::string json_type = "application/json";
const std::string form_type = "application/x-www-form-urlencoded";

std::string message_for(const std::string& event, const std::string& body, const std::string& type = json_type) {
  const auto error = error_of([&] { parse_github_event(event, type, body); });
  CHECK(error.kind() == ErrorKind::invalid);
  return error.message();
}

std::string push_with(const std::string& pointer, const json& value) {
  auto body = payload(push_file);
  body[json::json_pointer(pointer)] = value;
  return body.dump();
}

std::string run_with(const std::string& pointer, const json& value) {
  auto body = payload(run_completed_file);
  body[json::json_pointer(pointer)] = value;
  return body.dump();
}

}  // namespace

TEST_CASE("a real push is read") {
  const auto push = std::get<PushEvent>(parse_github_event("push", json_type, payload_text(push_file)));
  CHECK(push.repository == Repository{186853002, "Codertocat/Hello-World"});
  CHECK(push.ref == "refs/heads/master");
  CHECK(push.after == "6113728f27ae82c7b1a177c8d03f9e96e0adf246");
  CHECK_FALSE(push.deleted);
}

TEST_CASE("a real deletion of a tag is read") {
  const auto push = std::get<PushEvent>(parse_github_event("push", json_type, payload_text(push_deleted_tag_file)));
  CHECK(push.ref == "refs/tags/simple-tag");
  CHECK(push.after == std::string(40, '0'));
  CHECK(push.deleted);
  CHECK(push.message.empty());
}

TEST_CASE("a real workflow run is read") {
  const auto run =
      std::get<WorkflowRunEvent>(parse_github_event("workflow_run", json_type, payload_text(run_completed_file)));
  CHECK(run.repository == Repository{300029405, "octo-org/octo-repo"});
  CHECK(run.action == "completed");
  CHECK(run.conclusion == "success");
  CHECK(run.event == "repository_dispatch");
  CHECK(run.head_branch == "master");
  CHECK(run.head_sha == "3484a3fb816e0859fd6e1cea078d76385ff50625");
  CHECK(run.path == ".github/workflows/test.yml");
  CHECK(run.head_repository == Repository{300029405, "octo-org/octo-repo"});
  CHECK(run.message == "build(test): check workflow run event payload");
}

TEST_CASE("a run that has not ended has no conclusion") {
  const auto run =
      std::get<WorkflowRunEvent>(parse_github_event("workflow_run", json_type, payload_text(run_requested_file)));
  CHECK(run.action == "requested");
  CHECK(run.conclusion.empty());
}

TEST_CASE("what GitHub may leave out of a workflow run reads as empty") {
  const auto without_branch = std::get<WorkflowRunEvent>(
      parse_github_event("workflow_run", json_type, run_with("/workflow_run/head_branch", nullptr)));
  CHECK(without_branch.head_branch.empty());
  const auto without_fork = std::get<WorkflowRunEvent>(
      parse_github_event("workflow_run", json_type, run_with("/workflow_run/head_repository", nullptr)));
  CHECK_FALSE(without_fork.head_repository.has_value());
}

TEST_CASE("the ref after a workflow's path is taken off") {
  const auto run = std::get<WorkflowRunEvent>(parse_github_event(
      "workflow_run", json_type, run_with("/workflow_run/path", ".github/workflows/test.yml@refs/heads/main")));
  CHECK(run.path == ".github/workflows/test.yml");
}

TEST_CASE("pings and other events give their repository where they have one") {
  CHECK(repository_of(parse_github_event("ping", json_type, payload_text(ping_file))) == "Octocoders/Hello-World");
  CHECK(repository_of(parse_github_event("ping", json_type, R"({"zen":"Keep it logically awesome."})")).empty());
  const auto other = parse_github_event("deployment", json_type, payload_text(deployment_file));
  CHECK(std::get<OtherEvent>(other).name == "deployment");
  CHECK(repository_of(other) == "Codertocat/Hello-World");
}

TEST_CASE("GitHub's form encoding carries the same event") {
  const auto form = "payload=" + http::url_encode(payload_text(push_file));
  const auto push = std::get<PushEvent>(parse_github_event("push", form_type + "; charset=UTF-8", form));
  CHECK(push.after == "6113728f27ae82c7b1a177c8d03f9e96e0adf246");
  const auto second = std::get<PushEvent>(parse_github_event("push", form_type, "a=1&&b&" + form + "&c=2"));
  CHECK(second.ref == "refs/heads/master");
}

TEST_CASE("a broken form says what is wrong with it") {
  CHECK(message_for("push", "", form_type) == "cannot read the push event: the form has no field \"payload\"");
  CHECK(message_for("push", "payloads=1&x=payload=2", form_type) ==
        "cannot read the push event: the form has no field \"payload\"");
  CHECK(message_for("push", "payload=%7B%2", form_type) ==
        "cannot read the push event: the form's field \"payload\" holds a malformed percent escape");
}

TEST_CASE("another content type is refused") {
  CHECK(
      message_for("push", "{}", "text/plain") ==
      "cannot read the push event: its content type is neither application/json nor application/x-www-form-urlencoded; "
      "choose one of them in the webhook's settings");
}

TEST_CASE("a missing field is named by its path") {
  struct Case {
    const char* event;
    const char* file;
    const char* parent;
    const char* key;
    const char* path;
  };
  const auto wrong = GENERATE(values<Case>({
      {"push", push_file, "", "ref", "ref"},
      {"push", push_file, "", "after", "after"},
      {"push", push_file, "", "deleted", "deleted"},
      {"push", push_file, "", "repository", "repository.id"},
      {"push", push_file, "/repository", "id", "repository.id"},
      {"push", push_file, "/repository", "full_name", "repository.full_name"},
      {"workflow_run", run_completed_file, "", "action", "action"},
      {"workflow_run", run_completed_file, "", "workflow_run", "workflow_run.event"},
      {"workflow_run", run_completed_file, "/workflow_run", "event", "workflow_run.event"},
      {"workflow_run", run_completed_file, "/workflow_run", "head_sha", "workflow_run.head_sha"},
      {"workflow_run", run_completed_file, "/workflow_run", "path", "workflow_run.path"},
      {"workflow_run", run_completed_file, "/workflow_run/head_repository", "id", "workflow_run.head_repository.id"},
  }));
  auto body = payload(wrong.file);
  REQUIRE(body[json::json_pointer(wrong.parent)].erase(wrong.key) == 1);
  CHECK(message_for(wrong.event, body.dump()) ==
        std::string("cannot read the ") + wrong.event + " event: field \"" + wrong.path + "\" is missing");
}

TEST_CASE("types are strict") {
  const std::string start = "cannot read the push event: field ";
  CHECK(message_for("push", push_with("/ref", 7)) == start + "\"ref\" must be text and is of type number");
  CHECK(message_for("push", push_with("/ref", json::array({"refs/heads/main"}))) ==
        start + "\"ref\" must be text and is of type array");
  CHECK(message_for("push", push_with("/ref", {{"name", "x"}})) ==
        start + "\"ref\" must be text and is of type object");
  CHECK(message_for("push", push_with("/ref", nullptr)) == start + "\"ref\" must be text and is of type null");
  CHECK(message_for("push", push_with("/deleted", "false")) ==
        start + "\"deleted\" must be true or false and is of type string");
  const std::string whole = start + "\"repository.id\" must be a whole number of 64 bits and is of type ";
  CHECK(message_for("push", push_with("/repository/id", "186853002")) == whole + "string");
  CHECK(message_for("push", push_with("/repository/id", 1.0)) == whole + "number");
  CHECK(message_for("push", push_with("/repository/id", 18446744073709551615ULL)) == whole + "number");
  CHECK(message_for("push", push_with("/repository", json::array())) == start + "\"repository.id\" is missing");
}

TEST_CASE("a commit is 40 lower-case hexadecimal digits and nothing else") {
  const std::string expected =
      "cannot read the push event: field \"after\" must be a commit id of 40 lower-case hexadecimal digits";
  const auto commit = GENERATE(as<std::string>{}, "", "main", "6113728f27ae82c7b1a177c8d03f9e96e0adf24",
                               "6113728f27ae82c7b1a177c8d03f9e96e0adf2467", "6113728F27AE82C7B1A177C8D03F9E96E0ADF246",
                               "--upload-pack=aaaaaaaaaaaaaaaaaaaaaaaaaa");
  CHECK(message_for("push", push_with("/after", commit)) == expected);
}

TEST_CASE("text is limited in length and has no control characters") {
  CHECK(message_for("push", push_with("/ref", "refs/heads/" + std::string(502, 'x'))) ==
        "cannot read the push event: field \"ref\" is longer than 512 bytes");
  CHECK(message_for("push", push_with("/ref", "refs/heads/a\nlevel=error")) ==
        "cannot read the push event: field \"ref\" holds a control character");
}

TEST_CASE("a commit's message is as long as its author made it, and has as many lines") {
  const std::string message = "Merge pull request #1\n\n" + std::string(1000, 'x') + "\n[skip deploy]\n";
  auto body = payload(push_file);
  body["head_commit"] = {{"message", message}};
  CHECK(std::get<PushEvent>(parse_github_event("push", json_type, body.dump())).message == message);
  body = payload(run_completed_file);
  body["workflow_run"]["head_commit"]["message"] = message;
  CHECK(std::get<WorkflowRunEvent>(parse_github_event("workflow_run", json_type, body.dump())).message == message);
}

TEST_CASE("a key with a dot is not a path") {
  auto body = payload(push_file);
  body.erase("repository");
  body["repository.id"] = 1;
  body["repository.full_name"] = "evil/repo";
  CHECK(message_for("push", body.dump()) == "cannot read the push event: field \"repository.id\" is missing");
}

TEST_CASE("fields of objects inside arrays are not taken for the event's own") {
  auto body = payload(push_file);
  body.erase("ref");
  body["commits"] = json::array({{{"ref", "refs/heads/evil"}}});
  CHECK(message_for("push", body.dump()) == "cannot read the push event: field \"ref\" is missing");
}

TEST_CASE("a field that is there twice is refused") {
  CHECK(message_for("push", R"({"ref":"refs/heads/a","ref":"refs/heads/b"})") ==
        "cannot read the push event: field \"ref\" is there twice");
  CHECK(message_for("push", R"({"repository":{"id":1},"repository":{"id":2}})") ==
        "cannot read the push event: field \"repository.id\" is there twice");
}

TEST_CASE("what is not one JSON object is refused") {
  CHECK(message_for("push", "") == "cannot read the push event: the body is not JSON: syntax error at byte 1");
  CHECK(message_for("push", "{\"ref\":") == "cannot read the push event: the body is not JSON: syntax error at byte 8");
  CHECK(message_for("push", "{} x") == "cannot read the push event: the body is not JSON: syntax error at byte 4");
  CHECK(message_for("push", "{\"ref\":\"\xff\"}") ==
        "cannot read the push event: the body is not JSON: syntax error at byte 9");
  const auto body = GENERATE(as<std::string>{}, "[]", "7", "null", "true", "\"text\"", "1.5");
  CHECK(message_for("push", body) == "cannot read the push event: the body is not a JSON object");
}

TEST_CASE("depth is limited to 64 levels") {
  const auto nested = [](std::size_t levels) {
    // The outermost object is the first level.
    return "{\"x\":" + std::string(levels - 1, '[') + std::string(levels - 1, ']') + "}";
  };
  CHECK_NOTHROW(parse_github_event("ping", json_type, nested(64)));
  CHECK(message_for("ping", nested(65)) == "cannot read the ping event: the body is nested deeper than 64 levels");
}

TEST_CASE("25 MB of nesting end at the limit and not at the end of the stack") {
  const auto opening = GENERATE(as<std::string>{}, "[", "{\"x\":");
  std::string body = "{\"x\":";
  while (body.size() < 25'000'000) body += opening;
  CHECK(message_for("push", body) == "cannot read the push event: the body is nested deeper than 64 levels");
}

TEST_CASE("a push of 25 MB is read") {
  auto body = payload(push_file);
  std::string padding;
  padding.resize(25'000'000, 'x');
  body["padding"] = padding;
  CHECK(repository_of(parse_github_event("push", json_type, body.dump())) == "Codertocat/Hello-World");
}
