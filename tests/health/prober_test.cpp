#include "agent/health/prober.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <catch2/catch_test_macros.hpp>

#include "agent/base/error.hpp"
#include "agent/http/server.hpp"
#include "tests/fakes/fake_clock.hpp"
#include "tests/fakes/null_engine.hpp"
#include "tests/fakes/run.hpp"

namespace deploy::health {
namespace {

using std::chrono::milliseconds;

/// One container whose state is what a test says for the time.
class OneContainer : public tests::NullEngine {
 public:
  std::function<std::optional<ports::Container>()> state;
  Task<std::optional<ports::Container>> inspect(std::string) override { co_return state(); }
};

ports::Container running(std::string health = "none") {
  ports::Container container;
  container.state = "running";
  container.health = std::move(health);
  return container;
}

/// An app on a real loopback port, an engine that says what it is told, and virtual time.
struct HttpApp {
  asio::io_context context;
  tests::FakeClock clock;
  OneContainer engine;
  std::function<http::Response(const http::Request&)> app;
  std::optional<http::Server> server;
  ports::Endpoint endpoint{"127.0.0.1", 0};
  std::vector<std::string> notes;
  domain::HealthCheck check;

  HttpApp() {
    check.http = "/health";
    check.deadline = milliseconds(30000);
    engine.state = [] { return running(); };
    server.emplace(context.get_executor(), http::Limits{},
                   [this](http::Request request) { return answer(std::move(request)); });
    endpoint.port = server->listen_tcp("127.0.0.1:0");
  }
  ~HttpApp() {
    // The server ends before what it runs on.
    tests::run_virtual(context, clock, server->stop(milliseconds(0)));
  }
  Task<http::Response> answer(http::Request request) { co_return app(request); }

  ports::Verdict prove() {
    Prober prober(engine, clock);
    return tests::run_virtual(context, clock, prober.prove("c1", endpoint, check, [this](std::string_view note) {
      notes.emplace_back(note);
    }));
  }
  std::string port() const { return std::to_string(endpoint.port); }
};

http::Response respond(int status, std::string body) {
  http::Response response;
  response.status = status;
  response.body = std::move(body);
  return response;
}

TEST_CASE("one question to the proxy is answered 2xx, or says what came back") {
  HttpApp world;
  world.app = [&](const http::Request& request) {
    CHECK(request.method == "GET");
    CHECK(request.header("Host") == "localhost");
    return respond(request.target == "/api/health" ? 204 : 301, "");
  };
  const auto asked = [&](const std::string& path) {
    Prober prober(world.engine, world.clock);
    return tests::run_virtual(world.context, world.clock,
                              prober.ask("localhost", world.endpoint.port, path, milliseconds(5000)));
  };
  const auto good = asked("/api/health");
  CHECK(good.healthy);
  CHECK(good.reason == "GET /api/health on localhost:" + world.port() + " answered 204");
  const auto moved = asked("/");
  CHECK_FALSE(moved.healthy);
  CHECK(moved.reason == "GET / on localhost:" + world.port() + " answered 301");
  tests::run_virtual(world.context, world.clock, world.server->stop(milliseconds(0)));
  CHECK(asked("/").reason == "GET / on localhost:" + world.port() + ": connection refused: nothing listens there");
}

TEST_CASE("a target that is warmed up first has an answer for that in its own time") {
  HttpApp world;
  world.check.warm_up_http = "/generate";
  world.check.warm_up_body = R"({"prompt":"hello"})";
  world.check.warm_up_timeout = milliseconds(120000);
  int loading = 0;
  std::vector<std::string> asked;
  world.app = [&](const http::Request& request) {
    asked.push_back(request.method + " " + request.target);
    if (request.target == "/health") return respond(200, "ok");
    CHECK(request.body == R"({"prompt":"hello"})");
    CHECK(request.header("Content-Type") == "application/json");
    return loading-- > 0 ? respond(503, "loading the model") : respond(201, "hi");
  };
  SECTION("it is warm at once") {
    CHECK(world.prove().healthy);
    CHECK(asked == std::vector<std::string>{"GET /health", "POST /generate", "GET /health"});
  }
  SECTION("it takes longer than the deadline") {
    loading = 60;
    CHECK(world.prove().healthy);
    CHECK(world.clock.elapsed() >= std::chrono::seconds(59));
  }
  SECTION("it never is") {
    loading = 1000;
    CHECK(world.prove().reason == "not warm within 120 s: the warm-up POST /generate on port " + world.port() +
                                      " answered 503: \"loading the model\"");
    CHECK(world.clock.elapsed() < std::chrono::seconds(121));
  }
  SECTION("a GET, where it has no body") {
    world.check.warm_up_body.clear();
    world.app = [&](const http::Request& request) {
      asked.push_back(request.method + " " + request.target);
      return respond(request.target == "/health" ? 200 : 302, "");
    };
    world.check.warm_up_timeout = milliseconds(1000);
    CHECK(world.prove().reason ==
          "not warm within 1 s: the warm-up GET /generate on port " + world.port() + " answered 302");
  }
  SECTION("one that is asked about later is not warmed up again") {
    world.check = domain::asked_once(world.check);
    CHECK(world.prove().healthy);
    CHECK(asked == std::vector<std::string>{"GET /health"});
  }
}

TEST_CASE("a target that answers is healthy at once") {
  HttpApp world;
  http::Request seen;
  world.app = [&](const http::Request& request) {
    seen = request;
    return respond(200, "ok");
  };
  const auto verdict = world.prove();
  CHECK(verdict.healthy);
  CHECK(verdict.reason == "GET /health on port " + world.port() + " answered 200");
  CHECK(world.clock.elapsed() == milliseconds(0));
  CHECK(seen.method == "GET");
  CHECK(seen.target == "/health");
  CHECK(seen.header("Host") == "127.0.0.1");
}

TEST_CASE("a target that comes up late is healthy soon after, and each new answer is heard once") {
  HttpApp world;
  int asked = 0;
  world.app = [&](const http::Request&) { return ++asked < 4 ? respond(503, "starting") : respond(200, ""); };
  CHECK(world.prove().healthy);
  CHECK(world.clock.elapsed() == milliseconds(50 + 75 + 112));
  CHECK(world.notes == std::vector<std::string>{"GET /health on port " + world.port() + " answered 503: \"starting\"",
                                                "GET /health on port " + world.port() + " answered 200"});
}

TEST_CASE("the deadline gives the last answer") {
  HttpApp world;
  world.app = [](const http::Request&) { return respond(503, "db down"); };
  const auto verdict = world.prove();
  CHECK_FALSE(verdict.healthy);
  CHECK(verdict.reason ==
        "not healthy within 30 s: GET /health on port " + world.port() + " answered 503: \"db down\"");
  CHECK(world.clock.elapsed() == milliseconds(30000));
}

TEST_CASE("a port nobody listens on is explained") {
  HttpApp world;
  {
    asio::ip::tcp::acceptor taken(world.context, {asio::ip::make_address("127.0.0.1"), 0});
    world.endpoint.port = taken.local_endpoint().port();
  }
  CHECK(world.prove().reason ==
        "not healthy within 30 s: GET /health on port " + world.port() +
            ": connection refused: nothing listens on port " + world.port() +
            " of the container's network address; does the app use another port, or 127.0.0.1 in place of 0.0.0.0?");
}

TEST_CASE("the check's own port is asked") {
  HttpApp world;
  world.app = [](const http::Request&) { return respond(200, ""); };
  world.check.port = world.endpoint.port;
  world.endpoint.port = 1;
  CHECK(world.prove().healthy);
}

TEST_CASE("a long page is healthy, too") {
  HttpApp world;
  world.app = [](const http::Request&) { return respond(200, std::string(300000, 'x')); };
  CHECK(world.prove().healthy);
}

TEST_CASE("a container that ends is not waited for") {
  HttpApp world;
  world.app = [](const http::Request&) { return respond(503, ""); };
  SECTION("exited") {
    world.engine.state = [&] {
      auto container = running();
      if (world.clock.elapsed() >= milliseconds(400)) {
        container.state = "exited";
        container.exit_code = 3;
      }
      return container;
    };
    CHECK(world.prove().reason == "the container exited with code 3 after 0.4 s");
  }
  SECTION("exited before the first look") {
    world.engine.state = [&] {
      auto container = running();
      container.state = "exited";
      container.exit_code = 137;
      return container;
    };
    CHECK(world.prove().reason == "the container exited with code 137 (killed, which is often for lack of memory)");
  }
  SECTION("restarted") {
    world.engine.state = [&] {
      auto container = running();
      container.restart_count = world.clock.elapsed() >= milliseconds(50) ? 3 : 2;
      return container;
    };
    CHECK(world.prove().reason == "the container ended after 50 ms and the engine restarted it");
  }
  SECTION("gone") {
    world.engine.state = [] { return std::nullopt; };
    CHECK(world.prove().reason == "the container is gone: something other than this rollout removed it");
  }
}

TEST_CASE("an engine that is away for a moment decides nothing") {
  HttpApp world;
  world.app = [](const http::Request&) { return respond(200, ""); };
  world.engine.state = [&]() -> std::optional<ports::Container> {
    if (world.clock.elapsed() < milliseconds(50)) throw Error(ErrorKind::unreachable, "the engine does not answer");
    return running("healthy");
  };
  SECTION("over HTTP") { CHECK(world.prove().healthy); }
  SECTION("by HEALTHCHECK") {
    world.check.http.clear();
    CHECK(world.prove().healthy);
    CHECK(world.notes.front() == "the engine does not answer");
  }
}

TEST_CASE("without health.http the image's HEALTHCHECK decides") {
  HttpApp world;
  world.check.http.clear();
  SECTION("healthy after a while") {
    world.engine.state = [&] {
      return running(world.clock.elapsed() < std::chrono::seconds(5) ? "starting" : "healthy");
    };
    CHECK(world.prove().healthy);
    CHECK(world.notes ==
          std::vector<std::string>{"the image's HEALTHCHECK says starting", "the image's HEALTHCHECK says healthy"});
  }
  SECTION("unhealthy until the deadline") {
    world.engine.state = [] {
      auto container = running("unhealthy");
      container.health_output = "curl: (7) refused\n";
      return container;
    };
    CHECK(world.prove().reason ==
          "not healthy within 30 s: the image's HEALTHCHECK says unhealthy: \"curl: (7) refused\"");
  }
  SECTION("there is none") {
    CHECK(world.prove().reason ==
          "the image has no HEALTHCHECK, so nothing tells whether it is healthy; set health.http to a path that "
          "answers 200 "
          "once the app is ready");
    CHECK(world.clock.elapsed() == milliseconds(0));
  }
}

}  // namespace
}  // namespace deploy::health
