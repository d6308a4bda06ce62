#include "agent/engine/dockerignore.hpp"

#include <catch2/catch_all.hpp>
#include <string>
#include <vector>

#include "agent/base/error.hpp"

namespace deploy::engine {
namespace {

struct PatternCase {
  std::string rules;
  std::string path;
  bool ignored;
};

TEST_CASE("dockerignore: the rules as Docker documents them") {
  const PatternCase cases[] = {
      // Docker's own examples.
      {"*/temp*", "somedir/temporary.txt", true},
      {"*/temp*", "somedir/temp/x", true},
      {"*/temp*", "temp", false},
      {"*/*/temp*", "somedir/subdir/temporary.txt", true},
      {"*/*/temp*", "somedir/temporary.txt", false},
      {"temp?", "tempa", true},
      {"temp?", "temp", false},
      {"temp?", "sub/tempa", false},
      {"**/*.go", "main.go", true},
      {"**/*.go", "a/b/main.go", true},
      {"**/*.go", "a/b/main.c", false},
      {"*.md\n!README.md", "README.md", false},
      {"*.md\n!README.md", "NOTES.md", true},
      {"*.md\n!README*.md\nREADME-secret.md", "README-secret.md", true},
      {"*.md\n!README*.md\nREADME-secret.md", "README-public.md", false},
      {"*.md\nREADME-secret.md\n!README*.md", "README-secret.md", false},
      // A folder stands for all that is in it; a rule for part of it may bring that back.
      {"node_modules", "node_modules/a/b.js", true},
      {"node_modules", "web/node_modules/a.js", false},
      {"**/node_modules", "web/node_modules/a.js", true},
      {"build/\n!build/keep", "build/keep/x", false},
      {"build/\n!build/keep", "build/other", true},
      {"*\n!src", "src/deep/main.c", false},
      {"*\n!src\nsrc/*.o", "src/main.o", true},
      // Leading slashes, ".", ".." and blanks change nothing.
      {"/target", "target/x", true},
      {"./target/./x/../y", "target/y", true},
      {"  target  \t", "target", true},
      {"\xEF\xBB\xBFtarget", "target", true},
      {"target\r\n", "target", true},
      {"# target", "target", false},
      {"\\#target", "#target", true},
      {"!target", "target", false},
      {"", "target", false},
      {".", "target", false},
      {"/", "target", false},
      // Wildcards.
      {"a/**", "a/b/c", true},
      {"a/**", "a", false},
      {"a/**/z", "a/z", true},
      {"a/**/z", "a/b/c/z", true},
      {"a/**/z", "a/bz", false},
      {"**/z", "bz", false},
      {"**", "a/b", true},
      {"*", "a/b", true},
      {"a*c", "abbc", true},
      {"a*c", "ab/c", false},
      {"[a-c]x", "bx", true},
      {"[^a-c]x", "bx", false},
      {"[^a-c]x", "zx", true},
      {"a[^b]c", "a/c", false},
      {"\\*", "*", true},
      {"\\*", "x", false},
  };
  for (const auto& entry : cases) {
    INFO(entry.rules << " on " << entry.path);
    CHECK(DockerIgnore(entry.rules, ".dockerignore").ignores(entry.path) == entry.ignored);
  }
}

TEST_CASE("dockerignore: a malformed pattern is refused with its line") {
  for (const std::string& pattern : std::vector<std::string>{"[", "[]", "[a", "[a-]", "a\\", "[\\"}) {
    INFO(pattern);
    try {
      [[maybe_unused]] const DockerIgnore accepted("fine\n\n" + pattern + "\n", ".dockerignore");
      FAIL("accepted");
    } catch (const Error& error) {
      CHECK(error.message() == ".dockerignore:3: the pattern \"" + pattern +
                                   "\" is malformed; close its [ or write \\[ for the character itself");
    }
  }
}

TEST_CASE("dockerignore: a hostile pattern takes no longer than a plain one") {
  std::string pattern;
  for (int i = 0; i < 200; ++i) pattern += "*a";
  const Glob glob(pattern + "b");
  CHECK_FALSE(glob.matches(std::string(4000, 'a')));
}

}  // namespace
}  // namespace deploy::engine
