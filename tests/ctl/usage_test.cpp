#include <catch2/catch_all.hpp>

#include "tests/ctl/scripted_agent.hpp"

using namespace deploy;
using namespace deploy::tests;

TEST_CASE("a command line that makes no sense is one line and exit code 2") {
  const auto refused = [](std::vector<std::string> arguments) {
    const auto ran = deployctl(std::move(arguments));
    CHECK(ran.code == 2);
    CHECK(ran.out.empty());
    return ran.err;
  };
  CHECK(refused({}) == "deployctl: no command was given; see deployctl --help\n");
  CHECK(refused({"roll"}) == "deployctl: there is no command \"roll\"; see deployctl --help\n");
  CHECK(refused({"--socket", "s", "rollbak", "backend"}) ==
        "deployctl: there is no command \"rollbak\"; see deployctl --help\n");
  CHECK(refused({"rollout"}) == "deployctl: SERVICE is required; see deployctl --help\n");
  CHECK(refused({"status", "-o", "xml"}) == "deployctl: --output: xml not in {table,json}; see deployctl --help\n");
  CHECK(refused({"rollout", "a", "--ref", "b", "--image", "c"}) ==
        "deployctl: --ref excludes --image; see deployctl --help\n");
  CHECK(refused({"rollout", "a", "--timeout", "soon"}) ==
        "deployctl: --timeout: 'soon' is not a duration such as 90s, 5m or 1h30m; see deployctl --help\n");
  CHECK(refused({"show", "twelve"}) ==
        "deployctl: ROLLOUT: 'twelve' is not the number of a rollout; deployctl history lists them; see deployctl "
        "--help\n");
  CHECK(refused({"rollback", "--release", "abc"}) ==
        "deployctl: --release: 'abc' is not the number of a release; deployctl show ROLLOUT names it; see deployctl "
        "--help\n");
  CHECK(refused({"history", "--limit", "0"}) ==
        "deployctl: --limit: '0' is not a number from 1 to 1000; see deployctl --help\n");
  CHECK(refused({"logs", "a", "--tail", "10k"}) ==
        "deployctl: --tail: '10k' is not a number from 0 to 10000; see deployctl --help\n");
  CHECK(refused({"rollout", "a", "b", "--image", "c"}) ==
        "deployctl: --image goes with one service, and 2 were given; run one rollout for each image\n");
}

TEST_CASE("help and version are data") {
  const auto help = deployctl({"--help"});
  CHECK(help.code == 0);
  CHECK(help.err.empty());
  for (const char* command : {"rollout", "rollback", "status", "history", "show", "logs", "validate", "version"}) {
    CHECK(help.out.find(std::string("\n  ") + command + " ") != std::string::npos);
  }
  CHECK(deployctl({"--version"}).out == "deployctl " DEPLOYCTL_VERSION "\n");
  CHECK(deployctl({"rollout", "--help"}).out.find("--detach") != std::string::npos);
}

TEST_CASE("without an agent every command says the same") {
  const TempDir folder;
  const std::string socket = folder / "none.sock";
  const std::string expected = "deployctl: cannot reach deployd at " + socket +
                               ": No such file or directory; is it running? (systemctl status deployd, or --socket)\n";
  const std::vector<std::vector<std::string>> commands{{"status"},    {"history"},      {"show", "1"},    {"logs", "a"},
                                                       {"logs", "1"}, {"rollout", "a"}, {"rollback", "a"}};
  for (auto arguments : commands) {
    CAPTURE(arguments);
    arguments.insert(arguments.begin(), {"--socket", socket});
    const auto ran = deployctl(arguments);
    CHECK(ran.code == 6);
    CHECK(ran.out.empty());
    CHECK(ran.err == expected);
  }
}
