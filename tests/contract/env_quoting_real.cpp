// What a line of an env file means: the same here as in Compose, and where a shell and `docker run --env-file` take it
// otherwise. Each column is asked of the real thing. Needs what compose_real needs, and bash.
#include <catch2/catch_all.hpp>
#include <optional>
#include <string_view>

#include "agent/base/text.hpp"
#include "agent/config/env_file.hpp"
#include "tests/contract/compose_world.hpp"

namespace deploy::tests {
namespace {

using nlohmann::json;
using Value = std::optional<std::string>;

/// The value of V; nullopt: it is refused, or not set.
struct Line {
  std::string_view text;
  Value compose;
  Value bash;
  Value env_file;
};

const Line lines[] = {
    {"V=plain", "plain", "plain", "plain"},
    {"V=", "", "", ""},
    {"V='a b'", "a b", "a b", "'a b'"},
    {"V=\"a b\"", "a b", "a b", "\"a b\""},
    {"V=a b", "a b", std::nullopt, "a b"},
    {"V=a#b", "a#b", "a#b", "a#b"},
    {"V=a # b", "a", "a", "a # b"},
    {"V='a # b'", "a # b", "a # b", "'a # b'"},
    {"V='a$HOME'", "a$HOME", "a$HOME", "'a$HOME'"},
    {"V=\"a\\$b\"", "a$b", "a$b", "\"a\\$b\""},
    {"U=u\nV=$U/x", "u/x", "u/x", "$U/x"},
    {"U=u\nV=\"${U}/x\"", "u/x", "u/x", "\"${U}/x\""},
    {"V=${U:-d}", "d", "d", "${U:-d}"},
    {"V=a$$b", "a$b", std::nullopt, "a$$b"},
    {"V=\"a\\nb\"", "a\nb", "a\\nb", "\"a\\nb\""},
    {"V='a\\nb'", "a\\nb", "a\\nb", "'a\\nb'"},
    {"V=a\\nb", "a\\nb", "anb", "a\\nb"},
    {"V=\"a\nb\"", "a\nb", "a\nb", "\"a"},
    {"V='it\\'s'", "it's", std::nullopt, "'it\\'s'"},
    {"V=x  ", "x", "x", "x  "},
    {"export V=x", "x", "x", std::nullopt},
    {"V: x", "x", std::nullopt, std::nullopt},
    {"V = x", "x", std::nullopt, std::nullopt},
    {"V=a\r", "a", "a\r", "a"},
};
constexpr std::size_t line_count = std::size(lines);

Value variable_in(const json& container, const std::string& name) {
  for (const auto& entry : container.at("Config").at("Env")) {
    const auto text = entry.get<std::string>();
    if (text.starts_with(name + "=")) return text.substr(name.size() + 1);
  }
  return std::nullopt;
}

Value by_bash(const std::string& file) {
  ports::ProcessSpec spec;
  spec.argv = {"env", "-i", "bash", "-c", "set -e; . \"$1\"; [ -n \"${V+set}\" ]; printf %s \"$V\"", "bash", file};
  source::HostProcessRunner runner;
  const auto result = run(runner.run(spec));
  return result.exit_code == 0 && result.error_output.empty() ? Value(result.output) : std::nullopt;
}

Value by_docker(ComposeWorld& compose, const std::string& file) {
  auto& world = compose.world();
  ports::ProcessSpec spec;
  spec.argv = {"docker",      "create", "--label", std::string(world_label) + "=" + world.prefix(), "--env-file", file,
               world.image(), "sleep",  "1000"};
  source::HostProcessRunner runner;
  const auto result = run(runner.run(spec));
  if (result.exit_code != 0) return std::nullopt;
  const auto id = std::string(trim(result.output));
  return variable_in(json::parse(world.raw("GET", "/containers/" + id + "/json")), "V");
}

std::string shown(const Value& value) { return value ? "\"" + *value + "\"" : "nothing"; }

}  // namespace

TEST_CASE("real Compose: a line of an env file has the same value here, and another one elsewhere") {
  json services;
  for (std::size_t i = 0; i < line_count; ++i) {
    services["line" + std::to_string(i)] = {{"env_file", {std::to_string(i) + ".env"}}};
  }
  ComposeWorld compose(services);
  for (std::size_t i = 0; i < line_count; ++i) {
    compose.write(std::to_string(i) + ".env", std::string(lines[i].text) + "\n");
  }
  compose.create();
  for (std::size_t i = 0; i < line_count; ++i) {
    const auto& line = lines[i];
    INFO(line.text);
    const auto file = compose.path(std::to_string(i) + ".env");
    const auto theirs = variable_in(compose.theirs("line" + std::to_string(i)), "V");
    CHECK(shown(theirs) == shown(line.compose));
    CHECK(shown(config::EnvFiles::read({file}).find("V")) == shown(line.compose));
    const bool is_process_id = line.text.find("$$") != std::string_view::npos;  // in bash: another each time
    if (!is_process_id) CHECK(shown(by_bash(file)) == shown(line.bash));
    CHECK(shown(by_docker(compose, file)) == shown(line.env_file));
  }
}

TEST_CASE("real Compose: a service gets from .env and from env files what Compose gives it") {
  json environment;
  std::string dotenv;
  for (std::size_t i = 0; i < line_count; ++i) {
    const auto name = "V" + std::to_string(i);
    auto text = std::string(lines[i].text);
    text.replace(text.find('V'), 1, name);
    dotenv += text + "\n";
    environment[name] = "<${" + name + "}>";
  }
  json services{{"dotenv", {{"environment", environment}}}, {"filed", {{"env_file", {".env"}}}}};
  ComposeWorld compose(services);
  compose.write(".env", dotenv);
  compose.create();
  for (const std::string name : {"dotenv", "filed"}) {
    const auto theirs = compose.theirs(name);
    const auto ours = compose.ours(name);
    for (std::size_t i = 0; i < line_count; ++i) {
      INFO(lines[i].text);
      const auto variable = "V" + std::to_string(i);
      CHECK(shown(variable_in(ours, variable)) == shown(variable_in(theirs, variable)));
      CHECK(variable_in(ours, variable).has_value());
    }
  }
}

}  // namespace deploy::tests
