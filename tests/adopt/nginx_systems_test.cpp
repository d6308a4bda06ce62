// The configurations of our users' systems: what the editor makes of them, and of them when they are damaged.
#include "agent/adopt/nginx_edit.hpp"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <cstdlib>
#include <fstream>
#include <random>
#include <sstream>

#include "tests/adopt/nginx_fixture.hpp"

namespace deploy::tests {
namespace {

using adopt::NginxWish;

std::string fixture_path(const std::string& name) {
  return std::string(DEPLOY_SOURCE_DIR) + "/tests/adopt/data/nginx/" + name;
}

std::string fixture(const std::string& name) {
  std::ifstream file(fixture_path(name), std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

/// Golden files are rewritten with DEPLOY_UPDATE_GOLDEN=1; read the difference before you commit it.
void compare_with_fixture(const std::string& name, const std::string& text) {
  if (std::getenv("DEPLOY_UPDATE_GOLDEN") != nullptr) std::ofstream(fixture_path(name), std::ios::binary) << text;
  CHECK(text == fixture(name));
}

/// The systems of our users, and what `init` would find their services to be.
std::vector<std::pair<std::string, NginxWish>> systems() {
  return {
      {"behindy",
       {{in_nginx("frontend", 3000), in_nginx("backend", 8080), in_nginx("llmserver", 8000)}, upstreams_folder}},
      {"dongyang", {{in_nginx("backend", 8080, "backend_api"), in_nginx("frontend", 3000)}, upstreams_folder}},
      {"cowrite",
       {{in_nginx("frontend", 3000), in_nginx("core-api", 3000, "api"), in_nginx("ai-service", 8000, "ai"),
         in_nginx("sync-service", 3000, "websocket")},
        upstreams_folder}},
      {"basechat",
       {{in_nginx("frontend", 3000), in_nginx("main-backend", 8000), in_nginx("llm-agent", 8001),
         in_nginx("mcp-server", 8002)},
        upstreams_folder}},
  };
}

std::vector<std::string> split_keeping_ends(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < text.size();) {
    const auto end = std::min(text.find('\n', at), text.size() - 1) + 1;
    lines.push_back(text.substr(at, end - at));
    at = end;
  }
  return lines;
}

}  // namespace

TEST_CASE("the configurations of our users' systems, before and after") {
  for (const auto& [name, wish] : systems()) {
    INFO(name);
    NginxFiles files(fixture(name + ".conf"));
    const auto edit = files.edit(wish);
    compare_with_fixture(name + ".after.conf", files.text());
    std::string said;
    for (const auto& line : lines_of(edit.findings)) said += line + "\n";
    for (const auto& service : edit.services) {
      CHECK(service.routed);
      CHECK(!service.left);
      if (!service.found_upstream) continue;
      said += service.service + ": [" + service.server_parameters + "]";
      for (const auto& directive : service.directives) said += " [" + directive + "]";
      said += "\n";
    }
    compare_with_fixture(name + ".findings.txt", said);
  }
}

TEST_CASE("a second edit changes nothing, whether deployctl has written its files or not") {
  for (const auto& [name, wish] : systems()) {
    INFO(name);
    NginxFiles files(fixture(name + ".conf"));
    files.edit(wish);
    for (const bool written : {false, true}) {
      for (const auto& service : wish.services) {
        if (!written) break;
        files.add(std::string(upstreams_folder) + "/" + service.upstream + ".conf",
                  "# Written by deployctl. Changes made here are lost.\nupstream " + service.upstream +
                      " {\n    server 10.213.176.10:8080;\n}\n");
      }
      const auto again = files.edit(wish);
      CHECK(again.files.empty());
      CHECK(lines_of(again.findings).empty());
      for (const auto& service : again.services) CHECK((service.routed && !service.left && !service.found_upstream));
    }
  }
}

TEST_CASE("an edit touches no other line than its own") {
  for (const auto& [name, wish] : systems()) {
    INFO(name);
    const auto before = fixture(name + ".conf");
    NginxFiles files(before);
    files.edit(wish);
    // Lines that are not the services' come through in their order, byte for byte.
    const auto after = split_keeping_ends(files.text());
    std::size_t at = 0;
    bool in_upstream = false;
    for (const auto& line : split_keeping_ends(before)) {
      const bool begins = line.find("upstream ") != std::string::npos && line.find('{') != std::string::npos;
      const bool ends = line.find('}') != std::string::npos;
      const bool own = begins || in_upstream || line.find("proxy_pass") != std::string::npos ||
                       line.find("$proxy_host") != std::string::npos;
      in_upstream = (in_upstream || begins) && !ends;
      if (own) continue;
      INFO(line);
      while (at < after.size() && after[at] != line) ++at;
      REQUIRE(at < after.size());
      ++at;
    }
    const bool windows = before.find("\r\n") != std::string::npos;
    for (const auto& line : after) {
      if (line.ends_with('\n')) CHECK(line.ends_with("\r\n") == windows);
    }
  }
}

TEST_CASE("where there is nothing to change every byte stays") {
  for (const auto& [name, wish] : systems()) {
    const auto before = fixture(name + ".conf");
    NginxFiles files(before);
    const auto edit = files.edit({{}, upstreams_folder});
    REQUIRE(edit.files.size() == 1);  // the include alone
    const auto line = files.text().find("include /etc/nginx/upstreams/*.conf;");
    REQUIRE(line != std::string::npos);
    const auto begin = files.text().rfind('\n', line) + 1;
    const auto end = std::min(files.text().find('\n', line), files.text().size() - 1) + 1;
    auto without = files.text();
    CHECK(without.erase(begin, end - begin) == before);
  }
}

TEST_CASE("whatever bytes a file holds, reading and editing it ends well") {
  std::mt19937 random(1);
  const auto number = [&](std::size_t below) {
    return std::uniform_int_distribution<std::size_t>(0, below - 1)(random);
  };
  const std::string special = "{};#\"'\\$\n\r\t )\xea\xb0";
  int readable = 0;
  for (const auto& [name, wish] : systems()) {
    const auto original = fixture(name + ".conf");
    for (int round = 0; round < 300; ++round) {
      auto text = original;
      for (std::size_t changes = number(4) + 1; changes > 0; --changes) {
        const auto at = number(text.size());
        switch (number(3)) {
          case 0:
            text.erase(at, number(20) + 1);
            break;
          case 1:
            text.insert(at, 1, special[number(special.size())]);
            break;
          default:
            text.insert(at, text.substr(number(text.size()), number(60)));
        }
      }
      NginxFiles files(text);
      if (!files.errors().empty()) continue;
      ++readable;
      const auto edit = files.edit(wish);
      INFO(text);
      // What was made of it can be read, and there is nothing more to do. (What is in the way of one service may go
      // away with the change for another.)
      REQUIRE(files.errors().empty());
      if (std::ranges::any_of(edit.services, &adopt::NginxServiceOutcome::left)) continue;
      const auto after = files.text();
      files.edit(wish);
      CHECK(files.text() == after);
    }
  }
  CHECK(readable > 300);
}

}  // namespace deploy::tests
