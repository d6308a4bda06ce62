#include "agent/config/hooks_schema.hpp"

#include <catch2/catch_all.hpp>

#include "agent/base/text.hpp"
#include "tests/config/support.hpp"

using namespace deploy;
using namespace std::chrono_literals;
using deploy::tests::read_service;
using deploy::tests::service_errors;

namespace {

const std::string begin = "service: web\non: manual\nsource: { image: web }\n";

}  // namespace

TEST_CASE("hooks arrive in their fields") {
  const auto service = read_service(begin + R"(migrates_on_boot: true
hooks:
  before:
    - { in: postgres, run: [pg_dump, app], save: "backups/{service}-{revision}.sql", keep: 9, restore: [psql, app],
        environment: { PGPASSWORD: "${DB_PASS}" } }
    - { run: [./migrate, --all], environment: { MODE: "${MODE}" }, timeout: 10m, irreversible: true }
  verify: [ { run: [curl, -sf, "http://llm:8000/health"], timeout: 5s, environment: { TOKEN: "${TOKEN}" } } ]
  after:
    - { http: "http://localhost/api/health" }
    - { http: "http://127.0.0.1:8080" }
    - { run: [./smoke], environment: { MODE: smoke } }
)");
  CHECK(service.migrates_on_boot);
  domain::Hook dump;
  dump.in = "postgres";
  dump.run = {"pg_dump", "app"};
  dump.save = "backups/{service}-{revision}.sql";
  dump.keep = 9;
  dump.restore = {"psql", "app"};
  dump.environment = {{"PGPASSWORD", "${DB_PASS}"}};
  domain::Hook migrate;
  migrate.run = {"./migrate", "--all"};
  migrate.environment = {{"MODE", "${MODE}"}};
  migrate.timeout = 10min;
  migrate.irreversible = true;
  CHECK(service.hooks.before == std::vector{dump, migrate});
  domain::Hook verify;
  verify.run = {"curl", "-sf", "http://llm:8000/health"};
  verify.timeout = 5s;
  verify.environment = {{"TOKEN", "${TOKEN}"}};
  CHECK(service.hooks.verify == std::vector{verify});
  domain::Hook ask;
  ask.host = "localhost";
  ask.path = "/api/health";
  ask.timeout = 30s;
  auto other = ask;
  other.host = "127.0.0.1";
  other.port = 8080;
  other.path = "/";
  domain::Hook smoke;
  smoke.run = {"./smoke"};
  smoke.timeout = 30s;
  smoke.environment = {{"MODE", "smoke"}};
  CHECK(service.hooks.after == std::vector{ask, other, smoke});
  CHECK(domain::to_text(other) == "GET http://127.0.0.1:8080/");
  CHECK(domain::service_from_json(domain::to_json_value(service)) == service);
}

TEST_CASE("a long command is shown by its beginning") {
  domain::Hook hook;
  hook.run = {"node", "-e", std::string(71, 'a') + "ä" + "bcd"};
  CHECK(domain::to_text(hook) == "node -e " + std::string(71, 'a') + "…");
}

TEST_CASE("a hook that cannot work is told of") {
  struct Case {
    std::string hooks;
    std::string told;
  };
  const std::vector<Case> cases{
      {"{ before: [ ./migrate ] }", "`hooks.before[0]` must be a map, such as { run: [./migrate] }\n"},
      {"{ before: [ { in: db } ] }",
       "`hooks.before[0]` misses the required key `run`\n  hint: the command, e.g. run: [./migrate]\n"},
      {"{ before: [ { run: [] } ] }", "`hooks.before[0].run` names no command\n  hint: e.g. [./migrate, --all]\n"},
      {"{ before: [ { run: [a], save: \"b-{revision}\" } ] }",
       "`hooks.before[0].save` needs `in`\n  hint: name the container whose command writes what is to be saved\n"},
      {"{ before: [ { run: [a], in: db, keep: 3 } ] }", "`hooks.before[0].keep` needs `save`\n"},
      {"{ before: [ { run: [a], in: db, save: \"../{revision}\" } ] }",
       "`hooks.before[0].save` must be a path below the state folder, such as backups/{service}-{revision}.sql\n"},
      {"{ before: [ { run: [a], in: db, save: dump.sql } ] }",
       "`hooks.before[0].save` must have {revision} in the file's name, once\n  hint: else each rollout would "
       "overwrite the "
       "last "
       "one's file\n"},
      {"{ before: [ { run: [a], in: db, save: \"b/{revision}/{revision}\" } ] }",
       "`hooks.before[0].save` must have {revision} in the file's name, once\n"},
      {"{ before: [ { run: [a], in: db, save: \"{revision}\" } ] }",
       "`hooks.before[0].save` must name a folder, too\n  hint: the state folder itself holds deployd's own files\n"},
      {"{ before: [ { run: [a], in: db, save: \"b/a*{revision}\" } ] }",
       "`hooks.before[0].save` must hold no quotes, wildcards, `$` or line breaks\n"},
      {"{ before: [ { run: [a], in: \"db;rm\" } ] }",
       "`hooks.before[0].in` must be a name that Docker takes: letters, digits, `_`, `.` and `-`, two or more\n"},
      {"{ verify: [ { run: [a], environment: { A: \"${B\" } } ] }",
       "`hooks.verify[0].environment.A` has a `${` without its `}`"},
      {"{ after: [ { http: \"http://localhost/\", environment: { A: b } } ] }",
       "`hooks.after[0].environment` needs `run`\n  hint: a request has no environment\n"},
      {"{ verify: [ { run: [a], irreversible: true } ] }", "`hooks.verify[0].irreversible` is not a known key\n"},
      {"{ after: [ { timeout: 1s } ] }",
       "`hooks.after[0]` must have either `http` or `run`\n  hint: http: \"http://localhost/api/health\" asks through "
       "the "
       "proxy\n"},
      {"{ after: [ { http: \"https://localhost/\" } ] }",
       "`hooks.after[0].http` must be an address such as http://localhost/api/health\n  hint: deployd asks the proxy "
       "on "
       "this host; it speaks no TLS\n"},
      {"{ after: [ { http: \"http://localhost:99999/\" } ] }", "`hooks.after[0].http` must be an address such as"},
      {"{ during: [] }", "`hooks.during` is not a known key\n"},
  };
  for (const auto& item : cases) {
    INFO(item.hooks);
    // Without the line that is quoted, and its caret.
    std::string told;
    bool quoted = false;
    for (const auto& line : split_lines(service_errors(begin + "hooks: " + item.hooks + "\n"))) {
      const bool quote = line.starts_with("  ") && !line.starts_with("  hint: ");
      quoted = quoted || quote;
      if (!quote) told += line + "\n";
    }
    CHECK(quoted);
    CHECK(told.find("s.yaml:4:") == 0);
    CHECK_THAT(told, Catch::Matchers::ContainsSubstring("error: " + item.told));
  }
}
