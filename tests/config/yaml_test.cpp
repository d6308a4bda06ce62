#include <catch2/catch_all.hpp>
#include <nlohmann/json.hpp>

#include "tests/config/support.hpp"

using deploy::tests::service_errors;

TEST_CASE("what is not one YAML map ends with one clear error") {
  const std::string needs_quotes = "a value that holds `: `, ` #`, `{`, `[`, `@`, a backtick or `%` needs quotes";
  auto [text, wanted] = GENERATE_COPY(table<std::string, std::string>({
      {"", "s.yaml: error: the file is empty\n  hint: docs/configuration.md has an example\n"},
      {"# only this\n", "s.yaml: error: the file is empty\n  hint: docs/configuration.md has an example\n"},
      {"- 1\n",
       "s.yaml:1:1: error: the file must hold a map of keys and values\n  - 1\n  ^\n  hint: write `key: value`\n"},
      {"a: 1\n---\nb: 2\n",
       "s.yaml:2:1: error: a second document\n  ---\n  ^\n  hint: one file holds one document: remove the `---`\n"},
      {"a: [1, 2\nb: 3\n", "s.yaml:2:2: error: `[` without its `]`\n  b: 3\n   ^\n  hint: " + needs_quotes + "\n"},
      {"a: { image: a/b:{sha} }\n",
       "s.yaml:1:17: error: `{` without its `}`\n  a: { image: a/b:{sha} }\n                  ^\n  hint: " +
           needs_quotes + "\n"},
      {"a: [1]]\n", "s.yaml:1:7: error: `}` or `]` without its opening bracket\n  a: [1]]\n        ^\n  hint: " +
                        needs_quotes + "\n"},
      {"a: b: c\n", "s.yaml:1:5: error: a `:` where no key can be\n  a: b: c\n      ^\n  hint: " + needs_quotes +
                        "; keys of one map stand in one column\n"},
      {"a: 1\n- b\n",
       "s.yaml:2:1: error: this line belongs neither to the map above it nor outside of it\n  - b\n  ^\n"
       "  hint: keys of one map stand in one column\n"},
      {"a: @b\n",
       "s.yaml:1:4: error: a character that cannot begin a value\n  a: @b\n     ^\n  hint: " + needs_quotes + "\n"},
      {"a: \"b\nc: d\n", "s.yaml:1:4: error: a quote that is never closed\n  a: \"b\n     ^\n"},
      {"a: 'it''s\n", "s.yaml:1:4: error: a quote that is never closed\n  a: 'it''s\n     ^\n"},
      {"a: \"\\q\"\n", "s.yaml:1:7: error: not valid YAML: unknown escape character: q\n  a: \"\\q\"\n        ^\n"},
      {"a: *b\n", "s.yaml:1:4: error: an alias (`*name`) of an anchor that does not exist\n  a: *b\n     ^\n"},
      {"a: &a [*a]\n",
       "s.yaml:1:8: error: an alias inside of its own anchor\n  a: &a [*a]\n         ^\n  hint: write the value out\n"},
      {"a: !b c\n",
       "s.yaml:1:4: error: tags (`!…`) are not supported\n  a: !b c\n     ^\n  hint: quote a value that begins with "
       "`!`\n"},
      {"a: { <<: 1 }\n",
       "s.yaml:1:6: error: merge keys (`<<`) are not supported\n  a: { <<: 1 }\n       ^\n"
       "  hint: write the keys out, or use an alias for a whole value\n"},
      {"a:\n\tb: 1\n\tc: 1\n",
       "s.yaml:2:1: error: a tab in the indentation\n  \tb: 1\n  ^\n  hint: indent with spaces\n"
       "s.yaml:3:1: error: a tab in the indentation\n  \tc: 1\n  ^\n  hint: indent with spaces\n"},
      {"a: caf\xE9\n", "s.yaml:1:7: error: not UTF-8\n  hint: save the file as UTF-8, e.g. with iconv -t UTF-8\n"},
      {"a: \xED\xA0\x80\n", "s.yaml:1:4: error: not UTF-8\n  hint: save the file as UTF-8, e.g. with iconv -t UTF-8\n"},
      {std::string("a: b") + '\x04' + "c\n", std::string("s.yaml:1:5: error: a control character (byte 4)\n  a: b") +
                                                 '\x04' +
                                                 "c\n      ^\n  hint: remove it, or write it as an escape in quotes\n"},
  }));
  CHECK(service_errors(text) == wanted);
}

TEST_CASE("deep nesting is refused before it can exhaust the stack") {
  auto opening = GENERATE(as<std::string>(), "[", "{a: ", "- ");
  std::string text = "a: ";
  if (opening == "- ") text += "\n  ";
  for (int depth = 0; depth < 50'000; ++depth) text += opening;
  CHECK(service_errors(text).find("error: nested deeper than 32 levels\n") != std::string::npos);
}

TEST_CASE("an alias stands for its anchor's value, and many of them cost nothing") {
  CHECK(service_errors("service: web\non: manual\nsource: { image: &i web }\ncontainer: { user: *i }\n") == "");
  std::string bomb = "service: web\non: manual\nsource: { image: web }\na0: &a0 [x]\n";
  for (int level = 1; level < 25; ++level) {
    auto below = "*a" + std::to_string(level - 1);
    bomb += "a" + std::to_string(level) + ": &a" + std::to_string(level) + " [" + below + ", " + below + ", " + below +
            "]\n";
  }
  CHECK(service_errors(bomb).find("s.yaml:4:1: error: `a0` is not a known key\n") == 0);
}

TEST_CASE("a byte order mark and Windows line ends change nothing") {
  CHECK(service_errors("\xEF\xBB\xBFservice: web\r\non: manual\r\nsorce: 1\r\nsource: { image: web }\r\n") ==
        "s.yaml:3:1: error: `sorce` is not a known key\n  sorce: 1\n  ^\n  hint: did you mean `source`?\n");
}

TEST_CASE("a file with very many errors lists 200 and says so") {
  std::string text = "{";
  for (int key = 0; key < 5'000; ++key) text += "k" + std::to_string(key) + ": 1, ";
  auto errors = service_errors(text + "}");
  // The three missing keys have hints, and so long a line is not shown.
  CHECK(std::ranges::count(errors, '\n') == 200 + 3 + 1);
  CHECK(errors.ends_with("and there may be more: only 200 errors are listed\n"));
}

TEST_CASE("findings come in the order of files, lines and columns, as text and as JSON") {
  deploy::config::Diagnostics diagnostics;
  diagnostics.add_source("b", "x: 1\n\ty: 2\n");
  diagnostics.add_source("a", "z: 3\n");
  diagnostics.add({"a", 1, 1, "z", "third", ""});
  diagnostics.add({"b", 2, 2, "y", "second", "do this"});
  diagnostics.add({"b", 1, 4, "x", "first", ""});
  diagnostics.add({"c", 0, 0, "", "fourth", ""});
  CHECK(diagnostics.render() ==
        "b:1:4: error: first\n"
        "  x: 1\n"
        "     ^\n"
        "b:2:2: error: second\n"
        "  \ty: 2\n"
        "  \t^\n"
        "  hint: do this\n"
        "a:1:1: error: third\n"
        "  z: 3\n"
        "  ^\n"
        "c: error: fourth\n");
  CHECK(
      diagnostics.to_json_value()[1] ==
      nlohmann::json(
          {{"file", "b"}, {"line", 2}, {"column", 2}, {"key_path", "y"}, {"message", "second"}, {"hint", "do this"}}));
}

TEST_CASE("of a long line only what is around the column is shown") {
  deploy::config::Diagnostics diagnostics;
  diagnostics.add_source("a", std::string(300, 'x') + "y" + std::string(300, 'z'));
  diagnostics.add({"a", 1, 301, "", "here", ""});
  CHECK(diagnostics.render() == "a:1:301: error: here\n  ..." + std::string(80, 'x') + "y" + std::string(79, 'z') +
                                    "...\n  " + std::string(83, ' ') + "^\n");
}
