#include "agent/adopt/compose_runner.hpp"

#include <catch2/catch_all.hpp>
#include <deque>

#include "agent/base/error.hpp"
#include "tests/fakes/run.hpp"

namespace deploy::tests {
namespace {

using Texts = std::vector<std::string>;

/// Gives these answers in turn, and keeps what was asked.
class AnsweringDocker final : public ports::ProcessRunner {
 public:
  Task<ports::ProcessResult> run(ports::ProcessSpec spec) override {
    asked.push_back(spec.argv);
    if (missing) throw Error(ErrorKind::not_found, "there is no program docker");
    if (answers.empty()) throw Error(ErrorKind::timed_out, "it did not end within 60.0 s");
    auto answer = answers.front();
    answers.pop_front();
    co_return answer;
  }
  Error error() {
    return error_of([&] { tests::run(adopt::read_compose(*this, {{"/srv/a.yml", "/srv/b.yml"}, "", {}})); });
  }

  std::vector<Texts> asked;
  std::deque<ports::ProcessResult> answers;
  bool missing = false;
};

}  // namespace

TEST_CASE("Compose is asked for its model twice: with the values of variables, and without") {
  AnsweringDocker docker;
  const std::string warning =
      "time=\"2026-01-01T00:00:00Z\" level=warning msg=\"The \\\"A\\\" variable is not set. Defaulting to a blank "
      "string.\"\n";
  docker.answers = {
      {0, "2.26.1\n", ""}, {0, R"({"services": {"a": 1}})", warning + warning}, {0, R"({"name": "b"})", ""}};
  const auto model = run(adopt::read_compose(docker, {{"/srv/a.yml", "/srv/b.yml"}, "shop", {"apps", "dev"}}));
  CHECK(model.resolved.contains("services"));
  CHECK(model.written.contains("name"));
  CHECK(model.warnings == Texts{"The \"A\" variable is not set. Defaulting to a blank string."});
  const Texts config{"docker",         "compose",  "--file",    "/srv/a.yml", "--file",    "/srv/b.yml",
                     "--project-name", "shop",     "--profile", "apps",       "--profile", "dev",
                     "config",         "--format", "json"};
  auto uninterpolated = config;
  uninterpolated.emplace_back("--no-interpolate");
  CHECK(docker.asked == std::vector<Texts>{{"docker", "compose", "version", "--short"}, config, uninterpolated});
}

TEST_CASE("where Compose is not installed, or refuses the files, it is said") {
  AnsweringDocker docker;
  SECTION("no docker") {
    docker.missing = true;
    const auto error = docker.error();
    CHECK(error.kind() == ErrorKind::not_found);
    CHECK(error.message() ==
          "compose: needs Docker Compose v2, and there is no program docker here; install Docker's command line and "
          "docker-compose-plugin, or write the settings under `container`");
  }
  SECTION("no plugin") {
    docker.answers = {{1, "", "docker: 'compose' is not a docker command.\n"}};
    const auto error = docker.error();
    CHECK(error.kind() == ErrorKind::not_found);
    CHECK(
        error.message() ==
        "compose: needs Docker Compose v2, and `docker compose version` fails here; install Docker's command line and "
        "docker-compose-plugin, or write the settings under `container`");
  }
  SECTION("files") {
    docker.answers = {{0, "2.26.1\n", ""},
                      {14, "", "time=\"x\" level=warning msg=\"w\"\n\nopen /srv/a.yml: no such file or directory\n"}};
    const auto error = docker.error();
    CHECK(error.kind() == ErrorKind::invalid);
    CHECK(error.message() ==
          "compose: Docker Compose refuses /srv/a.yml, /srv/b.yml: open /srv/a.yml: no such file or directory");
  }
  SECTION("no JSON") {
    docker.answers = {{0, "2.0.0\n", ""}, {0, "name: a\n", ""}, {0, "name: a\n", ""}};
    CHECK(docker.error().message() ==
          "compose: what `docker compose config --format json` printed is not JSON; deployctl needs Compose v2");
  }
  SECTION("no end") {
    docker.answers = {{0, "2.26.1\n", ""}};
    const auto error = docker.error();
    CHECK(error.kind() == ErrorKind::timed_out);
    CHECK(error.message() == "compose: docker compose: it did not end within 60.0 s");
  }
}

}  // namespace deploy::tests
