// The smaller parts of `init`: git's files, health checks, variables, diffs.
#include <catch2/catch_all.hpp>
#include <map>

#include "agent/adopt/file_change.hpp"
#include "agent/adopt/git_checkout.hpp"
#include "agent/adopt/health_search.hpp"
#include "agent/adopt/service_text.hpp"
#include "tests/fakes/run.hpp"

namespace deploy::tests {
namespace {

using namespace adopt;
using Texts = std::vector<std::string>;

FoundService backend() {
  FoundService service;
  service.name = "backend";
  service.port = 8080;
  return service;
}

/// Answers by path; what is not there is 404.
HealthQuestions answering(std::map<std::string, HttpAnswer> answers, bool accepts = true) {
  HealthQuestions questions;
  questions.get = [answers = std::move(answers)](std::string, std::uint16_t, std::string path) -> Task<HttpAnswer> {
    const auto found = answers.find(path);
    co_return found == answers.end() ? HttpAnswer{404, "not found", ""} : found->second;
  };
  questions.accepts = [accepts](std::string, std::uint16_t) -> Task<bool> { co_return accepts; };
  return questions;
}

FoundHealth search(const FoundService& service, HealthQuestions questions) {
  return run(search_health(service, "172.20.0.5", std::move(questions)));
}

}  // namespace

TEST_CASE("a check that the version of now fails is not proposed, and the note shows the answer") {
  auto service = backend();
  service.asked = {"/actuator/health"};
  const auto found = search(service, answering({{"/actuator/health", {401, "{\"error\":\n\"Unauthorized\"}", ""}},
                                                {"/api/health", {200, R"({"status":"UP"})", ""}}}));
  CHECK(found.http == "/api/health");
  CHECK(found.json == std::map<std::string, std::string>{{"/status", "UP"}});
  CHECK(found.notes ==
        Texts{"GET /actuator/health on port 8080 is answered 401: {\"error\": \"Unauthorized\"}; so it is not "
              "proposed as a health check"});
}

TEST_CASE("what is asked today comes first, and what its JSON says is expected") {
  auto service = backend();
  service.asked = {"/api/ai-stories/health"};
  const auto found = search(service, answering({{"/api/ai-stories/health", {200, R"({"success":true,"data":1})", ""}},
                                                {"/health", {200, "", ""}}}));
  CHECK(found.http == "/api/ai-stories/health");
  CHECK(found.json == std::map<std::string, std::string>{{"/success", "true"}});
  CHECK(search(service, answering({{"/", {200, "<html>", ""}}})).http == "/");
  CHECK(search(service, answering({{"/health", {200, R"({"status":"DOWN"})", ""}}})).json.empty());
}

TEST_CASE("without a path that is good it is the HEALTHCHECK, the port, or nothing") {
  auto service = backend();
  const HttpAnswer refused{0, "", "connection refused"};
  const std::map<std::string, HttpAnswer> nobody{
      {"/health", refused}, {"/api/health", refused}, {"/healthz", refused}, {"/", refused}};
  CHECK(search(service, answering(nobody)).tcp);
  const auto nothing = search(service, answering(nobody, false));
  CHECK(!nothing.tcp);
  CHECK(nothing.notes == Texts{"no health check of it was passed; write one into its file before the first rollout"});
  service.container.has_healthcheck = service.container.healthy = true;
  const auto docker = search(service, answering(nobody));
  CHECK(docker.docker);
  CHECK(!docker.tcp);
}

TEST_CASE("a remote is read without credentials, and named as GitHub does") {
  CHECK(origin_in("[core]\n\tbare = false\n[remote \"up\"]\n\turl = x\n[remote \"origin\"]\n\turl = "
                  "https://me:token@github.com/o/n.git\n") == "https://github.com/o/n.git");
  CHECK(origin_in("[remote \"origin\"]\n\turl = git@github.com:o/n.git\n") == "git@github.com:o/n.git");
  CHECK(origin_in("[branch \"main\"]\n\turl = x\n") == "");
  CHECK(repository_of("git@github.com:behindy3359/behindy-back.git") == "behindy3359/behindy-back");
  CHECK(repository_of("https://github.com/o/n") == "o/n");
  CHECK(repository_of("ssh://git@github.com/o/n.git/") == "o/n");
  CHECK(repository_of("file:///srv/o/n.git") == "");
  CHECK(repository_of("https://gitlab.example/group/sub/n.git") == "");
}

TEST_CASE("a workflow that a push to a branch starts is known by its `on`") {
  CHECK(runs_on_push("on: push\njobs: {}\n"));
  CHECK(runs_on_push("on: [pull_request, push]\n"));
  CHECK(runs_on_push("name: CI\non:\n  push:\n    branches: [main]\n"));
  CHECK(!runs_on_push("on:\n  push:\n    tags: ['v*']\n"));
  CHECK(!runs_on_push("on: workflow_dispatch\n"));
  CHECK(!runs_on_push("\tno yaml"));
}

TEST_CASE("what scripts ask of a port is found") {
  CHECK(asked_in(
            "curl -sf http://localhost:8080/actuator/health || exit 1\nwget http://127.0.0.1:3000/ \"http://b:80\"") ==
        Texts{"8080/actuator/health"});
}

TEST_CASE("a value that an env file has becomes its variable") {
  const std::vector<EnvFileValues> files{
      {"/srv/.env", {{"DB_PASS", "correct-horse"}, {"A", "true"}, {"B", "twice-the-same"}, {"C", "twice-the-same"}}}};
  Texts used;
  CHECK(with_variables("A", "true", files, used) == "${A}");
  CHECK(with_variables("DEBUG", "true", files, used) == "true");
  CHECK(with_variables("PASSWORD", "correct-horse", files, used) == "${DB_PASS}");
  CHECK(with_variables("URL", "pg://app:correct-horse@db/$x", files, used) == "pg://app:${DB_PASS}@db/$$x");
  CHECK(with_variables("X", "twice-the-same", files, used) == "twice-the-same");
  CHECK(with_variables("X", "", files, used) == "");
  CHECK(used == Texts{"/srv/.env"});
}

TEST_CASE("a diff is what git apply takes") {
  CHECK(unified_diff({"/srv/a.conf", "one\ntwo\n", "one\n2\n"}, "a.conf")
            .find("--- a/a.conf\n+++ b/a.conf\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n") != std::string::npos);
  CHECK(unified_diff({"/srv/n", std::nullopt, "new"}, "n") ==
        "diff --git a/n b/n\nnew file mode 100644\n--- /dev/null\n+++ b/n\n@@ -0,0 +1 @@\n+new\n\\ No newline at end "
        "of file\n");
  CHECK(unified_diff({"/srv/n", "same", "same"}, "n") == "");
}

}  // namespace deploy::tests
