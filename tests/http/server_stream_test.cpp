#include <spdlog/spdlog.h>

#include "tests/http/served.hpp"

using namespace std::chrono_literals;
using namespace deploy;
using namespace deploy::http;
using namespace deploy::tests;

namespace {

/// What the test sees of a source, which the server owns.
struct SourceState {
  explicit SourceState(const asio::any_io_executor& executor) : changed(executor) {}
  Signal changed;
  std::vector<std::string> parts;  // what to send next
  bool end = false;
  bool fail = false;
  int alive = 0;
};

class TestSource : public BodySource {
 public:
  explicit TestSource(SourceState& state) : state_(state) { ++state_.alive; }
  ~TestSource() override { --state_.alive; }
  TestSource(const TestSource&) = delete;
  TestSource& operator=(const TestSource&) = delete;

  Task<std::optional<std::string>> next() override {
    while (state_.parts.empty() && !state_.end && !state_.fail) co_await state_.changed.wait();
    if (!state_.parts.empty()) {
      std::string part = state_.parts.front();
      state_.parts.erase(state_.parts.begin());
      co_return part;
    }
    if (state_.fail) throw Error(ErrorKind::failed, "the container is gone");
    co_return std::nullopt;
  }

 private:
  SourceState& state_;
};

using StreamTest = std::function<Task<void>(Server&, RawClient&, SourceState&)>;

/// A server that streams from `state` at every target but /plain, and a client of it.
void with_stream(StreamTest test) {
  std::optional<SourceState> state;
  const auto handler = [&state](Request request) -> Task<Response> {
    if (request.target == "/plain") co_return co_await echo(std::move(request));
    Response response;
    response.body_source = std::make_shared<TestSource>(*state);
    co_return response;
  };
  with_server({}, handler, [&](Server& server, std::uint16_t port) -> Task<void> {
    const auto executor = co_await asio::this_coro::executor;
    state.emplace(executor);
    RawClient client(executor, port);
    std::exception_ptr failure;
    try {
      co_await test(server, client, *state);
    } catch (...) {
      failure = std::current_exception();
    }
    // The signal must not outlive the executor, nor its waiters the signal.
    co_await server.stop(0s);
    state.reset();
    if (failure) std::rethrow_exception(failure);
  });
}

void give(SourceState& state, std::vector<std::string> parts, bool end = false) {
  state.parts = std::move(parts);
  state.end = end;
  state.changed.notify_all();
}

}  // namespace

TEST_CASE("each part of a stream reaches the client at once, and the connection lives on") {
  with_stream([](Server&, RawClient& client, SourceState& state) -> Task<void> {
    co_await client.write("GET /logs HTTP/1.1\r\n\r\n");
    const auto head = co_await client.read_to("\r\n\r\n");
    CHECK_THAT(head, Catch::Matchers::ContainsSubstring("\r\nTransfer-Encoding: chunked\r\n"));
    give(state, {"one"});
    co_await client.expect("3\r\none\r\n");
    give(state, {"", "two", "three"});
    co_await client.expect("3\r\ntwo\r\n5\r\nthree\r\n");
    give(state, {}, true);
    co_await client.expect("0\r\n\r\n");
    co_await client.write("GET /plain HTTP/1.1\r\n\r\n");
    co_await client.expect_response("HTTP/1.1 200 OK", "GET /plain ");
    CHECK(state.alive == 0);
  });
}

TEST_CASE("an idle source is destroyed when its client goes away") {
  with_stream([](Server& server, RawClient& client, SourceState& state) -> Task<void> {
    co_await client.write("GET /logs HTTP/1.1\r\n\r\n");
    co_await client.read_to("\r\n\r\n");
    CHECK(state.alive == 1);
    client.close();
    co_await eventually([&] { return state.alive == 0 && server.connections() == 0; });
  });
}

TEST_CASE("a request that comes during a stream is answered after it") {
  with_stream([](Server&, RawClient& client, SourceState& state) -> Task<void> {
    co_await client.write("GET /logs HTTP/1.1\r\n\r\n");
    co_await client.read_to("\r\n\r\n");
    co_await client.write("GET /plain HTTP/1.1\r\n\r\n");
    give(state, {"one"});
    co_await client.expect("3\r\none\r\n");
    give(state, {"two"}, true);
    co_await client.expect("3\r\ntwo\r\n0\r\n\r\n");
    co_await client.expect_response("HTTP/1.1 200 OK", "GET /plain ");
  });
}

TEST_CASE("a client that sends more than is kept during a stream neither stops it nor spins the server") {
  with_stream([](Server&, RawClient& client, SourceState& state) -> Task<void> {
    co_await client.write("GET /logs HTTP/1.1\r\n\r\n" + std::string(100'000, 'x'));
    co_await client.read_to("\r\n\r\n");
    give(state, {"one"}, true);
    co_await client.expect("3\r\none\r\n0\r\n\r\n");
  });
}

TEST_CASE("an HTTP/1.0 client gets the stream as it is, ended by the connection") {
  with_stream([](Server&, RawClient& client, SourceState& state) -> Task<void> {
    co_await client.write("GET /logs HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    const auto head = co_await client.read_to("\r\n\r\n");
    CHECK_THAT(head, !Catch::Matchers::ContainsSubstring("Transfer-Encoding"));
    give(state, {"one", "two"}, true);
    co_await client.expect_last("onetwo");
  });
}

TEST_CASE("a source that fails cuts the stream, so that the client sees that it is not whole") {
  spdlog::set_level(spdlog::level::off);
  with_stream([](Server&, RawClient& client, SourceState& state) -> Task<void> {
    co_await client.write("GET /logs HTTP/1.1\r\n\r\n");
    co_await client.read_to("\r\n\r\n");
    state.parts = {"one"};
    state.fail = true;
    state.changed.notify_all();
    co_await client.expect_last("3\r\none\r\n");
    CHECK(state.alive == 0);
  });
  spdlog::set_level(spdlog::level::info);
}

TEST_CASE("HEAD of a stream has no body and leaves no source") {
  with_stream([](Server&, RawClient& client, SourceState& state) -> Task<void> {
    co_await client.write("HEAD /logs HTTP/1.1\r\nConnection: close\r\n\r\n");
    const auto answer = co_await client.read_all();
    CHECK(answer.ends_with("\r\n\r\n"));
    CHECK(state.alive == 0);
  });
}

TEST_CASE("stopping lets a request in progress end and closes idle connections") {
  bool finish = false;
  bool inside = false;
  const auto handler = [&](Request request) -> Task<Response> {
    inside = true;
    while (request.target == "/wait" && !finish) co_await sleep_real(1ms);
    co_return co_await echo(std::move(request));
  };
  with_server({}, handler, [&](Server& server, std::uint16_t port) -> Task<void> {
    const auto executor = co_await asio::this_coro::executor;
    RawClient idle(executor, port);
    co_await idle.write("GET / HTTP/1.1\r\n\r\n");
    co_await idle.response();
    inside = false;
    RawClient busy(executor, port);
    co_await busy.write("GET /wait HTTP/1.1\r\n\r\n");
    co_await eventually([&] { return inside; });
    TaskGroup group(executor, [](const std::string&, std::exception_ptr) { FAIL("stop() failed"); });
    bool stopped = false;
    group.spawn("stop", [](Server& running, bool& done) -> Task<void> {
      co_await running.stop(10s);
      done = true;
    }(server, stopped));
    co_await idle.expect_last("");
    CHECK_THROWS(RawClient(executor, port));
    CHECK_FALSE(stopped);
    finish = true;
    const auto answer = co_await busy.read_all();
    CHECK(answer.ends_with("Connection: close\r\n\r\nGET /wait "));
    co_await group.wait();
    CHECK(stopped);
  });
}

TEST_CASE("what has not ended after the grace is cancelled") {
  bool ended = false;
  struct Watch {
    bool& ended;
    ~Watch() { ended = true; }
  };
  bool inside = false;
  const auto handler = [&](Request) -> Task<Response> {
    const Watch watch{ended};
    inside = true;
    co_await sleep_real(1h);
    co_return Response{};
  };
  with_server({}, handler, [&](Server& server, std::uint16_t port) -> Task<void> {
    RawClient client(co_await asio::this_coro::executor, port);
    co_await client.write("GET / HTTP/1.1\r\n\r\n");
    co_await eventually([&] { return inside; });
    co_await server.stop(5ms);
    CHECK(ended);
    CHECK(server.connections() == 0);
    co_await client.expect_last("");
  });
}

TEST_CASE("a stream that is open at the end of the grace is cut") {
  with_stream([](Server& server, RawClient& client, SourceState& state) -> Task<void> {
    co_await client.write("GET /logs HTTP/1.1\r\n\r\n");
    co_await client.read_to("\r\n\r\n");
    co_await server.stop(5ms);
    CHECK(state.alive == 0);
    co_await client.expect_last("");
  });
}
