#include "agent/ctl/text.hpp"

#include <catch2/catch_all.hpp>

#include "agent/ctl/progress.hpp"
#include "agent/ctl/table.hpp"
#include "tests/ctl/scripted_agent.hpp"

using namespace deploy::ctl;
using deploy::tests::test_environment;

TEST_CASE("printable text is one line that cannot steer a terminal") {
  CHECK(printable("plain") == "plain");
  CHECK(printable("two\nlines\tand a tab \r\n") == "two lines and a tab");
  CHECK(printable("\x1b[31mred\x07") == "?[31mred?");
  CHECK(printable("\xc2\x9b"
                  "31m") == "?31m");
  CHECK(printable("a\xff\xfez") == "a??z");
  CHECK(printable("한글") == "한글");
}

TEST_CASE("columns count what a terminal shows") {
  CHECK(columns_of("abc") == 3);
  CHECK(columns_of("한글") == 4);
  CHECK(columns_of("e\xcc\x81") == 1);
  CHECK(columns_of("") == 0);
}

TEST_CASE("text is cut by columns and says so") {
  CHECK(fit("abcdef", 6) == "abcdef");
  CHECK(fit("abcdefg", 6) == "abcde…");
  CHECK(fit("한글한글", 6) == "한글…");
  CHECK(fit("한글한글", 4) == "한…");
}

TEST_CASE("times are shown in the user's time zone") {
  const auto environment = test_environment();
  CHECK(local_time("2026-06-30T23:59:59.999Z", environment) == "2026-07-01 08:59:59");
  CHECK(local_clock("2026-06-30T23:59:59.999Z", environment) == "08:59:59");
  CHECK(local_time("", environment) == "-");
  CHECK(local_time("2026-13-30T23:59:59.999Z", environment) == "-");
  CHECK(local_clock("yesterday", environment) == "-");
  CHECK(took("2026-07-01T09:00:00.000Z", "2026-07-01T09:02:05.000Z") == "2 min 5 s");
  CHECK(took("2026-07-01T09:00:00.000Z", "") == "-");
}

TEST_CASE("a table aligns wide characters and never cuts") {
  Table table({"NAME", "STATE", "NOTE"});
  table.add({{"백엔드"}, {"live", Colour::green}, {"one"}});
  table.add({{"a-rather-long-name"}, {""}, {"line\nbreak"}});
  CHECK(table.render(false) ==
        "NAME                STATE  NOTE\n"
        "백엔드              live   one\n"
        "a-rather-long-name  -      line break\n");
  CHECK(table.render(true) ==
        "NAME                STATE  NOTE\n"
        "백엔드              \x1b[32mlive\x1b[0m   one\n"
        "a-rather-long-name  -      line break\n");
}

TEST_CASE("progress on a terminal rewrites a line for each service") {
  auto environment = test_environment();
  environment.err_is_terminal = true;
  environment.err_columns = 24;
  std::ostringstream err;
  Progress progress(err, environment);
  progress.begin({7, {{12, "llm"}, {13, "backend"}}});
  CHECK(err.str() ==
        "llm      queued as rol…\n"
        "backend  queued as rol…\n");
  err.str("");
  progress.on_event({1, "2026-07-01T09:00:00.000Z", 7, 12, "llm", "step.started", "build"});
  CHECK(err.str() ==
        "\x1b[A\x1b[2K\x1b[A\x1b[2K"
        "llm      build\n"
        "backend  queued as rol…\n");
  err.str("");
  progress.on_event({2, "2026-07-01T09:00:01.000Z", 7, 0, "", "note", "waiting for llm"});
  CHECK(err.str() ==
        "\x1b[A\x1b[2K\x1b[A\x1b[2K"
        "18:00:01 waiting for llm\n"
        "llm      build\n"
        "backend  queued as rol…\n");
}
