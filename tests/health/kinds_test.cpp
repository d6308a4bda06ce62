// The kinds of check that are not HTTP, and when a proof begins and ends.
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <catch2/catch_test_macros.hpp>

#include "agent/base/error.hpp"
#include "agent/health/prober.hpp"
#include "tests/fakes/fake_clock.hpp"
#include "tests/fakes/null_engine.hpp"
#include "tests/fakes/run.hpp"

namespace deploy::health {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// A container that runs, and commands in it that do what a test says.
class CommandsAndLog : public tests::NullEngine {
 public:
  std::function<ports::ExecResult()> on_exec;
  std::vector<std::string> argv;
  std::function<std::vector<std::string>()> log;

  Task<std::vector<std::string>> log_tail(std::string, int) override { co_return log(); }
  Task<std::optional<ports::Container>> inspect(std::string) override {
    ports::Container container;
    container.state = "running";
    container.health = "none";
    co_return container;
  }
  Task<ports::ExecResult> exec(std::string, ports::ExecRequest request) override {
    argv = std::move(request.argv);
    co_return on_exec();
  }
};

struct Checked {
  asio::io_context context;
  tests::FakeClock clock;
  CommandsAndLog engine;
  ports::Endpoint endpoint{"127.0.0.1", 0};
  domain::HealthCheck check;

  Checked() { check.deadline = seconds(30); }

  ports::Verdict prove() {
    Prober prober(engine, clock);
    return tests::run_virtual(context, clock, prober.prove("c1", endpoint, check, nullptr));
  }
};

TEST_CASE("a TCP check wants a connection to be accepted") {
  Checked world;
  asio::ip::tcp::acceptor acceptor(world.context, {asio::ip::make_address("127.0.0.1"), 0});
  const auto port = acceptor.local_endpoint().port();
  world.check.tcp_port = port;
  SECTION("somebody listens") {
    const auto verdict = world.prove();
    CHECK(verdict.healthy);
    CHECK(verdict.reason == "a connection to port " + std::to_string(port) + " was accepted");
  }
  SECTION("nobody does") {
    acceptor.close();
    CHECK(world.prove().reason ==
          "not healthy within 30 s: a connection to port " + std::to_string(port) +
              ": connection refused: nothing listens on port " + std::to_string(port) +
              " of the container's network address; does the app use another port, or 127.0.0.1 in place of 0.0.0.0?");
  }
}

TEST_CASE("an exec check wants a command in the container to exit with 0") {
  Checked world;
  world.check.exec = {"pg_isready", "-U", "app"};
  SECTION("it does") {
    world.engine.on_exec = [] { return ports::ExecResult{0, "accepting connections\n"}; };
    const auto verdict = world.prove();
    CHECK(verdict.healthy);
    CHECK(verdict.reason == "pg_isready exited with 0");
    CHECK(world.engine.argv == std::vector<std::string>{"pg_isready", "-U", "app"});
  }
  SECTION("it does not") {
    world.engine.on_exec = [] { return ports::ExecResult{2, "no response\n"}; };
    CHECK(world.prove().reason == "not healthy within 30 s: pg_isready exited with 2: \"no response\"");
  }
  SECTION("it hangs") {
    world.engine.on_exec = []() -> ports::ExecResult {
      throw Error(ErrorKind::timed_out, "exec took longer than 5 s");
    };
    CHECK(world.prove().reason == "not healthy within 30 s: pg_isready did not end within 5 s");
  }
  SECTION("there is no such command") {
    world.engine.on_exec = []() -> ports::ExecResult { throw Error(ErrorKind::failed, "no such file"); };
    CHECK(world.prove().reason == "not healthy within 30 s: pg_isready could not be run: no such file");
  }
  SECTION("the engine is away for a moment") {
    world.engine.on_exec = [&]() -> ports::ExecResult {
      if (world.clock.elapsed() < seconds(3)) throw Error(ErrorKind::unreachable, "the engine does not answer");
      return {0, ""};
    };
    CHECK(world.prove().healthy);
  }
}

TEST_CASE("a log check wants a line of the log, once") {
  Checked world;
  world.check.log = "ready to accept";
  SECTION("it comes") {
    world.engine.log = [&]() -> std::vector<std::string> {
      if (world.clock.elapsed() < seconds(4)) return {"starting"};
      return {"starting", "database system is ready to accept connections"};
    };
    const auto verdict = world.prove();
    CHECK(verdict.healthy);
    CHECK(verdict.reason == "its log says \"ready to accept\"");
    CHECK(world.clock.elapsed() >= seconds(4));
  }
  SECTION("it does not") {
    world.engine.log = []() -> std::vector<std::string> { return {"starting"}; };
    CHECK(world.prove().reason == "not healthy within 30 s: its log does not say \"ready to accept\"");
  }
  SECTION("the engine is away for a moment") {
    world.engine.log = [&]() -> std::vector<std::string> {
      if (world.clock.elapsed() < seconds(3)) throw Error(ErrorKind::unreachable, "the engine does not answer");
      return {"ready to accept"};
    };
    CHECK(world.prove().healthy);
  }
  SECTION("later it is not looked for again") {
    world.check = domain::asked_once(world.check);
    CHECK(world.prove().healthy);
  }
}

TEST_CASE("of several checks all must be good, and the first that is not says why") {
  Checked world;
  asio::ip::tcp::acceptor acceptor(world.context, {asio::ip::make_address("127.0.0.1"), 0});
  world.check.tcp_port = acceptor.local_endpoint().port();
  world.check.log = "up";
  world.check.exec = {"ready"};
  bool ready = false;
  world.engine.log = []() -> std::vector<std::string> { return {"up"}; };
  world.engine.on_exec = [&] { return ports::ExecResult{ready ? 0 : 1, ""}; };
  SECTION("all are") {
    ready = true;
    CHECK(world.prove().healthy);
  }
  SECTION("the command fails") { CHECK(world.prove().reason == "not healthy within 30 s: ready exited with 1"); }
  SECTION("the port is closed") {
    ready = true;
    acceptor.close();
    const auto reason = world.prove().reason;
    CHECK(reason.starts_with("not healthy within 30 s: a connection to port "));
    CHECK(world.engine.argv.empty());
  }
}

TEST_CASE("nothing is asked before start_after, and the deadline counts from there") {
  Checked world;
  world.check.exec = {"ready"};
  world.check.start_after = seconds(20);
  std::optional<milliseconds> first;
  world.engine.on_exec = [&] {
    if (!first) first = std::chrono::duration_cast<milliseconds>(world.clock.elapsed());
    return ports::ExecResult{1, ""};
  };
  CHECK(world.prove().reason == "not healthy within 30 s: ready exited with 1");
  CHECK(first == seconds(20));
  CHECK(world.clock.elapsed() == seconds(50));
}

TEST_CASE("a target must stay healthy for min_healthy, whatever the deadline") {
  Checked world;
  world.check.exec = {"ready"};
  world.check.deadline = seconds(5);
  world.check.min_healthy = seconds(10);
  SECTION("it does") {
    world.engine.on_exec = [] { return ports::ExecResult{0, ""}; };
    CHECK(world.prove().healthy);
    CHECK(world.clock.elapsed() == seconds(10));
  }
  SECTION("it does not") {
    world.engine.on_exec = [&] { return ports::ExecResult{world.clock.elapsed() < seconds(7) ? 0 : 1, "gone"}; };
    CHECK(world.prove().reason == "healthy for 7 s only, not for 10 s: ready exited with 1: \"gone\"");
    CHECK(world.clock.elapsed() == seconds(7));
  }
  SECTION("it fails once, and two in a row are too many") {
    world.check.failures = 2;
    world.engine.on_exec = [&] { return ports::ExecResult{world.clock.elapsed() == seconds(7) ? 1 : 0, "busy"}; };
    CHECK(world.prove().healthy);
    CHECK(world.clock.elapsed() == seconds(10));
  }
  SECTION("the last answer is a bad one, and the next is good again") {
    world.check.failures = 2;
    world.engine.on_exec = [&] { return ports::ExecResult{world.clock.elapsed() == seconds(10) ? 1 : 0, "busy"}; };
    CHECK(world.prove().healthy);
    CHECK(world.clock.elapsed() == seconds(11));
  }
  SECTION("where it was proved before it is trusted from the first answer on") {
    world.check.proved_before = true;
    world.engine.on_exec = [] { return ports::ExecResult{1, "gone"}; };
    CHECK(world.prove().reason == "healthy for 0 s only, not for 10 s: ready exited with 1: \"gone\"");
  }
  SECTION("it fails twice in a row") {
    world.check.failures = 2;
    world.engine.on_exec = [&] { return ports::ExecResult{world.clock.elapsed() < seconds(7) ? 0 : 1, "gone"}; };
    CHECK(world.prove().reason == "healthy for 8 s only, not for 10 s: ready exited with 1: \"gone\"");
  }
}

}  // namespace
}  // namespace deploy::health
