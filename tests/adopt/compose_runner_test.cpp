#include "agent/adopt/compose_runner.hpp"

#include <catch2/catch_all.hpp>
#include <deque>
#include <fstream>
#include <set>

#include "agent/base/error.hpp"
#include "tests/fakes/run.hpp"
#include "tests/fakes/temp_dir.hpp"

namespace deploy::tests {
namespace {

using Texts = std::vector<std::string>;

/// Gives these answers in turn, and keeps what was asked. Programs that are not here give none.
class AnsweringDocker final : public ports::ProcessRunner {
 public:
  Task<ports::ProcessResult> run(ports::ProcessSpec spec) override {
    asked.push_back(spec.argv);
    if (missing.contains(spec.argv[0])) throw Error(ErrorKind::not_found, "there is no program " + spec.argv[0]);
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
  std::set<std::string> missing{"docker-compose"};
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
  const Texts config{"docker",     "compose",        "--project-directory",
                     "/srv",       "--env-file",     "/dev/null",
                     "--file",     "/srv/a.yml",     "--file",
                     "/srv/b.yml", "--project-name", "shop",
                     "--profile",  "apps",           "--profile",
                     "dev",        "config",         "--format",
                     "json"};
  auto uninterpolated = config;
  uninterpolated.emplace_back("--no-interpolate");
  CHECK(docker.asked == std::vector<Texts>{{"docker", "compose", "version", "--short"}, config, uninterpolated});
}

TEST_CASE("Compose that is a program of its own, without docker, will do") {
  AnsweringDocker docker;
  docker.missing = {"docker"};
  docker.answers = {{0, "v2.26.1\n", ""}, {0, R"({"services": {}})", ""}, {0, R"({"name": "b"})", ""}};
  run(adopt::read_compose(docker, {{"/srv/a.yml"}, "", {}}));
  REQUIRE(docker.asked.size() == 4);
  CHECK(docker.asked[1] == Texts{"docker-compose", "version", "--short"});
  CHECK(docker.asked[2] == Texts{"docker-compose", "--project-directory", "/srv", "--env-file", "/dev/null", "--file",
                                 "/srv/a.yml", "config", "--format", "json"});
}

TEST_CASE("variables come from the .env beside the first file") {
  const TempDir folder;
  const adopt::ComposeFiles files{{folder / "a.yml"}, "", {}};
  CHECK(adopt::compose_variables_file(files).empty());
  std::ofstream(folder / ".env") << "A=1\n";
  CHECK(adopt::compose_variables_file(files) == std::string(folder / ".env"));
  AnsweringDocker docker;
  docker.answers = {{0, "2.26.1\n", ""}, {0, "{}", ""}, {0, "{}", ""}};
  run(adopt::read_compose(docker, files));
  CHECK(docker.asked[1][5] == std::string(folder / ".env"));
}

TEST_CASE("where Compose is not installed, or refuses the files, it is said") {
  AnsweringDocker docker;
  const std::string not_here =
      "compose: needs Docker Compose v2, and neither `docker compose` nor `docker-compose` is that here; install "
      "Docker's command line and docker-compose-plugin, or write the settings under `container`";
  SECTION("no docker") {
    docker.missing = {"docker", "docker-compose"};
    const auto error = docker.error();
    CHECK(error.kind() == ErrorKind::not_found);
    CHECK(error.message() == not_here);
  }
  SECTION("no plugin, and the first Compose") {
    docker.missing.clear();
    docker.answers = {{1, "", "docker: 'compose' is not a docker command.\n"}, {0, "1.29.2\n", ""}};
    const auto error = docker.error();
    CHECK(error.kind() == ErrorKind::not_found);
    CHECK(error.message() == not_here);
  }
  SECTION("files") {
    docker.answers = {
        {0, "2.26.1\n", ""},
        {14, "", "time=\"x\" level=warning msg=\"w\"\n\nvalidating /srv/a.yml: services must be a mapping\n"}};
    const auto error = docker.error();
    CHECK(error.kind() == ErrorKind::invalid);
    CHECK(error.message() ==
          "compose: Docker Compose refuses /srv/a.yml, /srv/b.yml: validating /srv/a.yml: services must be a mapping");
  }
  SECTION("a file that they name") {
    docker.answers = {{0, "2.26.1\n", ""}, {14, "", "stat /srv/app.env: no such file or directory\n"}};
    const auto error = docker.error();
    CHECK(error.kind() == ErrorKind::not_found);
    CHECK(error.message() ==
          "compose: Docker Compose refuses /srv/a.yml, /srv/b.yml: stat /srv/app.env: no such file or directory");
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
