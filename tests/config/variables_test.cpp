#include "agent/config/variables.hpp"

#include <catch2/catch_all.hpp>
#include <cstdlib>

#include "agent/base/error.hpp"
#include "agent/config/env_file.hpp"
#include "agent/config/interpolation.hpp"
#include "tests/config/support.hpp"
#include "tests/fakes/run.hpp"

using namespace deploy;
using deploy::config::EnvFiles;
using deploy::tests::error_of;
using deploy::tests::TemporaryFolder;

namespace {

EnvFiles env(const std::string& text) {
  EnvFiles files;
  files.add(".env", text);
  return files;
}

/// The text resolved where SET is "value", EMPTY is "" and nothing else is set; "missing NAME" where that is needed.
std::string resolved(const std::string& text) {
  REQUIRE(config::template_problem(text) == std::nullopt);
  auto result = config::interpolate(text, [](const std::string& name) -> std::optional<std::string> {
    if (name == "SET") return "value";
    if (name == "EMPTY") return "";
    return std::nullopt;
  });
  auto* missing = std::get_if<config::MissingVariable>(&result);
  return missing ? "missing " + missing->name : std::get<std::string>(result);
}

domain::Service service_with(const std::string& value, std::vector<std::string> vars) {
  domain::Service service;
  service.name = "web";
  service.container.environment = {{"KEY", value}};
  service.vars = std::move(vars);
  return service;
}

}  // namespace

TEST_CASE("variables are replaced as Compose does") {
  auto [text, wanted] = GENERATE(table<std::string, std::string>({
      {"", ""},
      {"plain", "plain"},
      {"$SET", "value"},
      {"a${SET}b", "avalueb"},
      {"$SET-b", "value-b"},
      {"$$SET", "$SET"},
      {"$${SET}", "${SET}"},
      {"$$$SET", "$value"},
      {"${EMPTY}", ""},
      {"$NOT", "missing NOT"},
      {"${NOT}", "missing NOT"},
      {"${NOT-d}", "d"},
      {"${NOT:-d}", "d"},
      {"${NOT-}", ""},
      {"${EMPTY-d}", ""},
      {"${EMPTY:-d}", "d"},
      {"${SET:-d}", "value"},
      {"${NOT?m}", "missing NOT"},
      {"${NOT:?m}", "missing NOT"},
      {"${EMPTY?m}", ""},
      {"${EMPTY:?m}", "missing EMPTY"},
      {"${SET:?m}", "value"},
      {"${NOT+d}", ""},
      {"${NOT:+d}", ""},
      {"${EMPTY+d}", "d"},
      {"${EMPTY:+d}", ""},
      {"${SET:+d}", "d"},
      {"${NOT:-${SET}}", "value"},
      {"${NOT:-a ${EMPTY:-b-$SET} c}", "a b-value c"},
      {"${NOT:-$MISSING}", "missing MISSING"},
      {"${SET:-$MISSING}", "value"},
      {"${NOT:-http://a:b@c/?d=e}", "http://a:b@c/?d=e"},
  }));
  CAPTURE(text);
  CHECK(resolved(text) == wanted);
}

TEST_CASE("what is no variable is refused") {
  using config::template_problem;
  CHECK(template_problem("a $ b") == "has a `$` that begins no variable");
  CHECK(template_problem("$1") == "has a `$` that begins no variable");
  CHECK(template_problem("${A") == "has a `${` without its `}`");
  CHECK(template_problem("${A:-${B}") == "has a `${` without its `}`");
  CHECK(template_problem("${}") == "has a `${` that no variable's name follows");
  CHECK(template_problem("${A:}") == "has something after the name of the variable A that has no meaning there");
  CHECK(template_problem("${A:-${B C}}") == "has something after the name of the variable B that has no meaning there");
  std::string deep;
  for (int level = 0; level < 10'000; ++level) deep += "${A:-";
  CHECK(template_problem(deep + std::string(10'000, '}')) == "has variables nested too deeply");
}

TEST_CASE("env files are read by the rules of Compose's .env") {
  auto [line, wanted] = GENERATE(table<std::string, std::string>({
      {"A=1", "1"},
      {"A=", ""},
      {"A = 1 ", "1"},
      {"A: 1", "1"},
      {"  export A=1", "1"},
      {"A=1\r", "1"},
      {"\xEF\xBB\xBF"
       "A=1",
       "1"},
      {"A=1 # comment", "1"},
      {"A=1# no comment", "1# no comment"},
      {"A=# comment", ""},
      {"A=a b c", "a b c"},
      {"A=a=b", "a=b"},
      {"A=a\\nb", "a\\nb"},
      {"A='1' # comment", "1"},
      {"A=\"1 # none\" # comment", "1 # none"},
      {"A=\"a\\n\\r\\t\\\"\\\\\\q\"", "a\n\r\t\"\\\\q"},
      {"A='a\\n\"$B'", "a\\n\"$B"},
      {"A='Let\\'s go'", "Let's go"},
      {"A=\"two\nlines\"", "two\nlines"},
      {"A='two\nlines'", "two\nlines"},
      {"B=x\nA=$B/${B}/${C:-y}", "x/x/y"},
      {"B=x\nA=\"${B}\"", "x"},
      {"A=\"\\$B\"", "$B"},
      {"A=$$B", "$B"},
      {"A=1\nA=2", "2"},
      {"A=1\nA=${A}2", "12"},
      {"\n# comment\n\nB\nA=1\n", "1"},
  }));
  CAPTURE(line);
  CHECK(env(line).find("A") == wanted);
}

TEST_CASE("a variable without a value in the file is not set") {
  CHECK_FALSE(env("A\nexport B\n").find("A").has_value());
  CHECK_FALSE(env("A\nexport B\n").find("B").has_value());
}

TEST_CASE("what is no assignment is an error with its line, which does not show the line") {
  CHECK(error_of([] { env("A=1\nsecret!\n"); }).message() ==
        ".env:2: not an assignment: write NAME=value, or # before a comment");
  CHECK(error_of([] { env("A=1\n=secret\n"); }).message() ==
        ".env:2: not an assignment: write NAME=value, or # before a comment");
  CHECK(error_of([] { env("A=\"secret\n\n"); }).message() == ".env:1: a quote is never closed");
  CHECK(error_of([] { env("A='secret'more\n"); }).message() ==
        ".env:1: text after the closing quote: put all of the value into the quotes");
}

TEST_CASE("a value that cannot be resolved is an error only for who needs it") {
  auto files = env("BAD=secret$1\nALSO=a$MISSING\nUSES=$ALSO\nGOOD=1\n");
  CHECK(files.find("GOOD") == "1");
  CHECK(error_of([&] { files.find("BAD"); }).message() ==
        ".env:1: the value of BAD has a `$` that begins no variable: write $$ for a dollar sign, or use single quotes");
  auto missing =
      ".env:2: the value of ALSO uses the variable MISSING, which is not set before it: set it there, or use single "
      "quotes "
      "where `$` is meant";
  CHECK(error_of([&] { files.find("ALSO"); }).message() == missing);
  CHECK(error_of([&] { files.find("USES"); }).message() == missing);
}

TEST_CASE("resolve replaces every text of the container and the build") {
  TemporaryFolder folder;
  auto first = folder.write("first.env", "V=old\nW=w\n");
  auto second = folder.write("second.env", "V=$W/v\n");
  domain::Service service;
  service.name = "web";
  service.vars = {first, second};
  service.source.git.emplace();
  service.source.git->args = {{"ARG", "$V"}};
  auto& container = service.container;
  container.environment = {{"E", "${V}"}};
  container.command = {"run", "$V"};
  container.entrypoint = {"$V"};
  container.user = "$V";
  container.working_dir = "/$V";
  container.volumes = {"/$V:/data"};
  container.extra_hosts = {"db:$V"};
  container.tmpfs = {"/$V"};
  container.log_options = {{"tag", "$V"}};
  container.labels = {{"l", "$V"}};

  auto result = config::resolve(service);
  auto wanted = container;
  wanted.environment = {{"E", "w/v"}};
  wanted.command = {"run", "w/v"};
  wanted.entrypoint = {"w/v"};
  wanted.user = "w/v";
  wanted.working_dir = "/w/v";
  wanted.volumes = {"/w/v:/data"};
  wanted.extra_hosts = {"db:w/v"};
  wanted.tmpfs = {"/w/v"};
  wanted.log_options = {{"tag", "w/v"}};
  wanted.labels = {{"l", "w/v"}};
  CHECK(result.container == wanted);
  CHECK(result.build_args == std::map<std::string, std::string>{{"ARG", "w/v"}});
}

TEST_CASE("resolve names every variable that is missing, where, and what to do, but no value") {
  TemporaryFolder folder;
  auto first = folder.write("a.env", "SECRET=hunter2\nBROKEN=hunter2$MORE\nEMPTY=\n");
  auto second = folder.write("b.env", "");
  auto service = service_with("$SECRET-$DB_PASS", {first, second});
  service.container.command = {"x", "${EMPTY:?fill in the name}", "$BROKEN"};
  auto error = error_of([&] { config::resolve(service); });
  CHECK(error.kind() == ErrorKind::invalid);
  CHECK(folder.without_path(error.message()) ==
        "service web: container.environment.KEY needs the variable DB_PASS, which is not set in DIR/a.env or "
        "DIR/b.env: set it "
        "there, or give a default with ${DB_PASS:-…}; container.command[1] needs the variable EMPTY, which is empty or "
        "not set "
        "in DIR/a.env or DIR/b.env: fill in the name; container.command[2]: DIR/a.env:2: the value of BROKEN uses the "
        "variable "
        "MORE, which is not set before it: set it there, or use single quotes where `$` is meant");
}

TEST_CASE("what a hook's environment needs is told of before the rollout comes as far as the hook") {
  TemporaryFolder folder;
  const auto file = folder.write("a.env", "SET=value\n");
  domain::Hook hook;
  hook.run = {"check"};
  hook.environment = {{"GIVEN", "$SET"}, {"TOKEN", "$NOT"}};
  for (const auto& [list, name] : {std::pair(&domain::Hooks::before, "before"),
                                   {&domain::Hooks::verify, "verify"},
                                   {&domain::Hooks::after, "after"}}) {
    auto service = service_with("x", {file});
    (service.hooks.*list).push_back(hook);
    CHECK(folder.without_path(error_of([&] { config::resolve(service); }).message()) ==
          std::string("service web: hooks.") + name +
              ".environment.TOKEN needs the variable NOT, which is not set in DIR/a.env: set it there, or give a "
              "default with ${NOT:-…}");
    (service.hooks.*list).front().environment.erase("TOKEN");
    CHECK(config::resolve(service).container == service.container);
  }
}

TEST_CASE("the agent's own environment is not looked at") {
  ::setenv("DEPLOY_TEST_VARIABLE", "x", 1);
  CHECK(error_of([] { config::resolve(service_with("$DEPLOY_TEST_VARIABLE", {})); }).message() ==
        "service web: container.environment.KEY needs the variable DEPLOY_TEST_VARIABLE, which is not set: list an env "
        "file "
        "under `vars`, or give a default with ${DEPLOY_TEST_VARIABLE:-…}");
  ::unsetenv("DEPLOY_TEST_VARIABLE");
}

TEST_CASE("an env file that is not there is an error") {
  TemporaryFolder folder;
  auto missing = error_of([&] { config::resolve(service_with("x", {(folder.path() / "no.env").string()})); });
  CHECK(missing.kind() == ErrorKind::not_found);
  CHECK(folder.without_path(missing.message()) ==
        "service web: the env file DIR/no.env cannot be read: No such file or directory: check the path under `vars` "
        "and the "
        "file's permissions");
  auto directory = error_of([&] { config::resolve(service_with("x", {folder.path().string()})); });
  CHECK(folder.without_path(directory.message()) == "service web: the env file DIR cannot be read: is it a folder?");
}

TEST_CASE("webhook secrets come from the environment or a file without its line break") {
  TemporaryFolder folder;
  const std::string secret(32, 's');
  auto file = folder.write("secret", secret + "\n");
  CHECK(config::load_secret({"", file}) == secret);
  CHECK(config::load_secret({"", folder.write("windows", secret + "\r\n")}) == secret);
  CHECK(config::load_secret({"", folder.write("blank", secret + " \n\n")}) == secret + " \n");
  ::setenv("DEPLOY_TEST_SECRET", secret.c_str(), 1);
  CHECK(config::load_secret({"DEPLOY_TEST_SECRET", {}}) == secret);
  ::setenv("DEPLOY_TEST_SECRET", "hunter2", 1);
  CHECK(error_of([] {
          config::load_secret({"DEPLOY_TEST_SECRET", {}});
        }).message() ==
        "the webhook secret in the environment variable DEPLOY_TEST_SECRET has 7 bytes, and at least 32 are needed: "
        "make one "
        "with `openssl rand -hex 32` and enter it at GitHub, too");
  ::unsetenv("DEPLOY_TEST_SECRET");
  CHECK(
      error_of([] {
        config::load_secret({"DEPLOY_TEST_SECRET", {}});
      }).message() ==
      "the webhook secret in the environment variable DEPLOY_TEST_SECRET is not there: set it for the agent, e.g. with "
      "EnvironmentFile= in its systemd unit");
  auto missing = error_of([&] { config::load_secret({"", folder.path() / "no"}); });
  CHECK(missing.kind() == ErrorKind::not_found);
  CHECK(folder.without_path(missing.message()) ==
        "the secret file DIR/no cannot be read: No such file or directory: check the path under `webhook.secrets` and "
        "the "
        "file's permissions");
  auto large = folder.write("large", std::string(10'000, 'x'));
  CHECK(folder.without_path(error_of([&] {
                              config::load_secret({"", large});
                            }).message()) ==
        "the webhook secret in DIR/large has more than 4096 bytes: is it another file?");
}

TEST_CASE("GitHub's token is one line of the environment or of a file, as long as GitHub makes it") {
  TemporaryFolder folder;
  const auto refused = [&](const config::SecretSource& source) {
    return folder.without_path(error_of([&] { config::load_token(source); }).message());
  };
  CHECK(config::load_token({"", folder.write("token", "ghp_short\n")}) == "ghp_short");
  ::setenv("DEPLOY_TEST_TOKEN", "ghp_environment", 1);
  CHECK(config::load_token({"DEPLOY_TEST_TOKEN", {}}) == "ghp_environment");
  ::unsetenv("DEPLOY_TEST_TOKEN");
  CHECK(refused({"DEPLOY_TEST_TOKEN", {}}) ==
        "the token for GitHub in the environment variable DEPLOY_TEST_TOKEN is not there: set it for the agent, e.g. "
        "with EnvironmentFile= in its systemd unit");
  CHECK(refused({"", folder.path() / "no"}) ==
        "the token file DIR/no cannot be read: No such file or directory: check the path under `github.token` and the "
        "file's permissions");
  CHECK(refused({"", folder.write("empty", "\n")}) ==
        "the token for GitHub in DIR/empty is empty: write the token alone, as GitHub showed it");
  CHECK(refused({"", folder.write("lines", "ghp_one\nX-Other: two\n")}) ==
        "the token for GitHub in DIR/lines holds a blank or a line break: write the token alone, as GitHub showed it");
}
