// Who may include whom: design rule, read from the sources themselves.
#include <catch2/catch_all.hpp>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>

namespace {

namespace fs = std::filesystem;

/// Module -> modules whose headers it may include, its own apart. Lower modules never include higher ones.
const std::map<std::string, std::set<std::string>> allowed{
    {"base", {}},
    {"domain", {"base"}},
    {"ports", {"base", "domain"}},
    {"config", {"base", "domain"}},
    {"http", {"base", "domain"}},
    {"store", {"base", "domain"}},
    {"strategies", {"base", "domain"}},
    {"webhook", {"base", "domain", "http"}},
    {"engine", {"base", "domain", "ports", "http"}},
    {"source", {"base", "domain", "ports", "http"}},  // http: GitHub's API
    {"proxy", {"base", "domain", "ports", "http"}},
    {"health", {"base", "domain", "ports", "http"}},
    {"rollout", {"base", "domain", "ports", "store", "strategies"}},
    {"api", {"base", "domain", "ports", "store", "http", "rollout"}},
    {"daemon",
     {"base", "domain", "ports", "config", "http", "store", "strategies", "webhook", "engine", "source", "proxy",
      "health", "rollout", "api", "adopt"}},
    {"adopt", {"base", "domain", "ports", "config", "proxy"}},
    // Of the API it may use the JSON forms only, which are pure data; see below. Engine, proxy and source are for
    // doctor, which needs no agent.
    {"ctl", {"base", "domain", "config", "http", "api", "adopt", "engine", "proxy", "source"}},
};

std::string module_of(const std::string& path) {
  const fs::path parts(path);
  auto part = parts.begin();
  if (part == parts.end()) return "";
  if (*part == "agent") ++part;
  return part == parts.end() ? "" : part->string();
}

/// The quoted includes of a file.
std::set<std::string> includes_of(const fs::path& file) {
  std::set<std::string> found;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with("#include \"")) continue;
    found.insert(line.substr(10, line.find('"', 10) - 10));
  }
  return found;
}

}  // namespace

TEST_CASE("modules include only what lies below them") {
  const fs::path root = DEPLOY_SOURCE_DIR;
  int files = 0;
  for (const auto* top : {"agent", "webhook", "strategies"}) {
    for (const auto& entry : fs::recursive_directory_iterator(root / top)) {
      const auto extension = entry.path().extension();
      if (extension != ".hpp" && extension != ".cpp") continue;
      ++files;
      const auto file = fs::relative(entry.path(), root).string();
      const auto module = module_of(file);
      REQUIRE(allowed.contains(module));
      for (const auto& include : includes_of(entry.path())) {
        if (include == "migrations.hpp" || include == "json_schemas.hpp") continue;  // generated
        const auto included = module_of(include);
        INFO(file << " includes " << include);
        CHECK(fs::exists(root / include));
        CHECK((included == module || allowed.at(module).contains(included)));
        if (module == "ctl" && included == "api") CHECK(include == "agent/api/views.hpp");
      }
    }
  }
  CHECK(files > 50);
}

TEST_CASE("no shell is ever started: nothing calls system or popen") {
  const fs::path root = DEPLOY_SOURCE_DIR;
  for (const auto* top : {"agent", "webhook", "strategies"}) {
    for (const auto& entry : fs::recursive_directory_iterator(root / top)) {
      if (!entry.is_regular_file()) continue;
      std::ifstream in(entry.path());
      const std::string text{std::istreambuf_iterator<char>(in), {}};
      INFO(entry.path());
      CHECK(text.find(" system(") == std::string::npos);
      CHECK(text.find("popen(") == std::string::npos);
      CHECK(text.find("\"/bin/sh\"") == std::string::npos);
    }
  }
}

TEST_CASE("no conditional stands in a statement that awaits: g++ 12 destroys its temporaries twice") {
  const fs::path root = DEPLOY_SOURCE_DIR;
  int awaiting = 0;
  for (const auto* top : {"agent", "webhook"}) {
    for (const auto& entry : fs::recursive_directory_iterator(root / top)) {
      if (!entry.is_regular_file()) continue;
      std::ifstream in(entry.path());
      for (std::string part; std::getline(in, part, ';');) {
        const auto statement = part.substr(part.find_last_of("{}") + 1);  // npos + 1 is 0
        if (statement.find("co_await ") == std::string::npos) continue;
        ++awaiting;
        INFO(entry.path() << ":" << statement);
        CHECK(statement.find(" ? ") == std::string::npos);
      }
    }
  }
  CHECK(awaiting > 300);
}
