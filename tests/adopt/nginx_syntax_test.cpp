#include "agent/adopt/nginx_syntax.hpp"

#include <catch2/catch_test_macros.hpp>

#include "tests/adopt/nginx_fixture.hpp"

namespace deploy::tests {
namespace {

using adopt::NginxDirective;

adopt::NginxSyntax read(const std::string& text) {
  config::Diagnostics diagnostics;
  auto syntax = adopt::read_nginx_syntax("nginx.conf", 0, text, diagnostics);
  if (!syntax) throw std::logic_error(diagnostics.render());
  return std::move(*syntax);
}

std::string errors(const std::string& text) {
  config::Diagnostics diagnostics;
  adopt::read_nginx_syntax("nginx.conf", 0, text, diagnostics);
  return diagnostics.render();
}

using Words = std::vector<std::string>;

Words words(const NginxDirective& directive) {
  Words texts;
  for (const auto& word : directive.words) texts.push_back(word.text);
  return texts;
}

std::string bytes(const std::string& text, adopt::ByteRange range) {
  return text.substr(range.begin, range.end - range.begin);
}

}  // namespace

TEST_CASE("directives, blocks and comments are read with their bytes") {
  const std::string text = "user nginx; # 누구\r\nhttp {\n  a \"b c\" 'd\\'e';\n} # end";
  const auto syntax = read(text);
  REQUIRE(syntax.directives.size() == 2);
  CHECK(words(syntax.directives[0]) == Words{"user", "nginx"});
  CHECK(bytes(text, syntax.directives[0].range) == "user nginx;");
  const auto& http = syntax.directives[1];
  CHECK(http.is_block);
  CHECK(bytes(text, http.range) == "http {\n  a \"b c\" 'd\\'e';\n}");
  CHECK(bytes(text, http.inside) == "\n  a \"b c\" 'd\\'e';\n");
  REQUIRE(http.children.size() == 1);
  CHECK(words(http.children[0]) == Words{"a", "b c", "d'e"});
  CHECK(bytes(text, http.children[0].words[2].range) == "'d\\'e'");
  REQUIRE(syntax.comments.size() == 2);
  CHECK(bytes(text, syntax.comments[0]) == "# 누구");
  CHECK(bytes(text, syntax.comments[1]) == "# end");
}

TEST_CASE("words are Nginx's words") {
  const auto one = [](const std::string& text) { return words(read(text).directives.at(0)); };
  CHECK(one("a b#c;") == Words{"a", "b#c"});  // a comment begins where a word could
  CHECK(one("a ${name}_x b;") == Words{"a", "${name}_x", "b"});
  CHECK(one("a $y{ b; }") == Words{"a", "$y"});  // nothing but `${` keeps a brace in a word
  CHECK(one("a b}c;") == Words{"a", "b}c"});
  CHECK(one("a b\\;c\\ d;") == Words{"a", "b\\;c\\ d"});  // the backslash of an escape that is none stays
  CHECK(one("a \"x\\ty\\\\z\\.html\";") == Words{"a", "x\ty\\z\\.html"});
  CHECK(one("a b\"c;") == Words{"a", "b\"c"});  // a quote inside of a word is none
  CHECK(one("if ($a = \"b c\") { x; }") == Words{"if", "($a", "=", "b c", ")"});
  CHECK(one("a \"\" '';") == Words{"a", "", ""});
  CHECK(one("a\n\tb\n;") == Words{"a", "b"});
  CHECK(one("a \"first\nsecond\";") == Words{"a", "first\nsecond"});
  CHECK(one("location ~ \\.(gif|jpg)$ { x; }") == Words{"location", "~", "\\.(gif|jpg)$"});
}

TEST_CASE("what Nginx could not read is an error with its place") {
  CHECK(errors("http {\n  서버 x;\n  }}\n") ==
        "nginx.conf:3:4: error: this `}` closes nothing\n"
        "    }}\n"
        "     ^\n"
        "  hint: remove it, or look above it for a `{` that is missing\n");
  CHECK(errors("http {\n  server {\n    listen 80;\n  }\n") ==
        "nginx.conf:1:1: error: the block `http` is never closed\n"
        "  http {\n"
        "  ^\n"
        "  hint: add its `}`\n");
  CHECK(errors("location / {\n  proxy_pass http://backend:8080\n}\n") ==
        "nginx.conf:2:3: error: `proxy_pass http://backend:8080` does not end with `;`\n"
        "    proxy_pass http://backend:8080\n"
        "    ^\n"
        "  hint: add the `;`\n");
  CHECK(errors("user nginx") ==
        "nginx.conf:1:1: error: `user nginx` does not end with `;`\n"
        "  user nginx\n"
        "  ^\n"
        "  hint: add the `;`\n");
  CHECK(errors("a b;\n;\n") ==
        "nginx.conf:2:1: error: no directive stands before this `;`\n"
        "  ;\n"
        "  ^\n"
        "  hint: remove it\n");
  CHECK(errors("http { { } }") ==
        "nginx.conf:1:8: error: no directive stands before this `{`\n"
        "  http { { } }\n"
        "         ^\n"
        "  hint: remove it\n");
  CHECK(errors("한글 \"값;\n}\n") ==
        "nginx.conf:1:4: error: this \" is never closed\n"
        "  한글 \"값;\n"
        "       ^\n"
        "  hint: add the other one\n");
  CHECK(errors("a 'b'c;") ==
        "nginx.conf:1:6: error: a quoted text must be followed by a blank or `;`\n"
        "  a 'b'c;\n"
        "       ^\n"
        "  hint: put the quotes around the whole word\n");
  CHECK(errors("location / {\n  content_by_lua_block { ngx.say(\"}\") }\n}\n") ==
        "nginx.conf:2:3: error: holds Lua (`content_by_lua_block`), which deployctl cannot read\n"
        "    content_by_lua_block { ngx.say(\"}\") }\n"
        "    ^\n"
        "  hint: move the Lua to a file (`…_by_lua_file`), or write the upstream into this file by hand\n");
  std::string deep;
  for (int i = 0; i < 100; ++i) deep += "a{";
  CHECK(errors(deep).starts_with("nginx.conf:1:129: error: has blocks more than 64 deep\n"));
  CHECK(errors(std::string(5 << 20, ' ')) ==
        "nginx.conf: error: is larger than 4 MiB, which no Nginx configuration is\n"
        "  hint: is it the right file?\n");
}

TEST_CASE("a text becomes one word, in quotes where it needs them") {
  for (const std::string text : {"/api/", "", "a b", "a\"b", "a\\b", "#a", "a;b", "a{b", "a\nb", "한글"}) {
    INFO(text);
    CHECK(words(read("x " + adopt::as_nginx_word(text) + ";").directives.at(0)) == Words{"x", text});
  }
}

}  // namespace deploy::tests
