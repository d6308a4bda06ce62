#include "agent/config/scalars.hpp"

#include <catch2/catch_all.hpp>

using namespace deploy::config;
using namespace std::chrono_literals;
using Words = std::vector<std::string>;

TEST_CASE("durations") {
  CHECK(parse_duration("500ms") == 500ms);
  CHECK(parse_duration("30s") == 30s);
  CHECK(parse_duration("5m") == 5min);
  CHECK(parse_duration("1h") == 1h);
  CHECK(parse_duration("1m30s") == 90s);
  CHECK(parse_duration("0") == 0ms);
  CHECK(parse_duration("0s") == 0ms);
  for (const auto* text : {"", "5", "s", "5 s", "-1s", "1.5s", "5S", "1s ", "5y", "9999999999999s", "99999999999h"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_duration(text).has_value());
  }
  for (const auto* text : {"0", "1ms", "1m30s", "2h", "1d1h1m1s1ms"})
    CHECK(format_duration(*parse_duration(text)) == text);
}

TEST_CASE("sizes") {
  CHECK(parse_size("512") == 512);
  CHECK(parse_size("512b") == 512);
  CHECK(parse_size("2k") == 2048);
  CHECK(parse_size("512m") == 536870912);
  CHECK(parse_size("512MB") == 536870912);
  CHECK(parse_size("1.5g") == 1610612736);
  for (const auto* text : {"", "m", "1t", "-1m", "1 m", "1mm", "1bb", "1.2.3m", "99999999999g", "1e3m"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_size(text).has_value());
  }
}

TEST_CASE("a command line is split as a shell splits it, and nothing else") {
  CHECK(split_words("redis-server --appendonly yes") == Words{"redis-server", "--appendonly", "yes"});
  CHECK(split_words("  a\t'b c'  \"d \\\"e\\\" \\n\" f\\ g '' h'i'j ") ==
        Words{"a", "b c", "d \"e\" \\n", "f g", "", "hij"});
  CHECK(split_words("a | b > *.c && $d `e`") == Words{"a", "|", "b", ">", "*.c", "&&", "$d", "`e`"});
  CHECK(split_words("a ${B:-c d} \"${E:-f ${G}}\"") == Words{"a", "${B:-c d}", "${E:-f ${G}}"});
  CHECK(split_words("") == Words{});
  CHECK_FALSE(split_words("a 'b").has_value());
  CHECK_FALSE(split_words("a \"b").has_value());
}

TEST_CASE("a suggestion is made only where something is near") {
  const Words keys{"branch", "repo", "on", "replicas", "retain"};
  CHECK(nearest("brnach", keys) == "branch");
  CHECK(nearest("branches", keys) == "branch");
  CHECK(nearest("no", keys) == "on");
  CHECK(nearest("replica", keys) == "replicas");
  CHECK_FALSE(nearest("ports", keys).has_value());
  CHECK_FALSE(nearest("", keys).has_value());
  CHECK_FALSE(nearest(std::string(100'000, 'a'), keys).has_value());
}

TEST_CASE("UTF-8 is checked to the letter") {
  CHECK_FALSE(invalid_utf8("a\xC3\xA9\xEA\xB0\x80\xF0\x9F\x98\x80").has_value());
  CHECK(invalid_utf8("a\x80") == 1);
  CHECK(invalid_utf8("\xC0\x80") == 0);
  CHECK(invalid_utf8("\xE0\x80\x80") == 0);
  CHECK(invalid_utf8("\xF0\x80\x80\x80") == 0);
  CHECK(invalid_utf8("\xF4\x90\x80\x80") == 0);
  CHECK(invalid_utf8("ab\xE2\x82") == 2);
}
