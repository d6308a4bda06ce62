#include "agent/http/server.hpp"

#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <sstream>
#include <stdexcept>

#include "tests/http/served.hpp"

using namespace std::chrono_literals;
using namespace deploy;
using namespace deploy::http;
using namespace deploy::tests;
using Catch::Matchers::ContainsSubstring;

namespace {

std::string error_body(const std::string& kind, const std::string& message) {
  return "{\"error\":{\"kind\":\"" + kind + "\",\"message\":\"" + message + "\"}}\n";
}

/// Sends `request` on a connection of its own and returns everything that comes back until the server closes.
Task<std::string> exchange(std::uint16_t port, std::string request) {
  RawClient client(co_await asio::this_coro::executor, port);
  co_await client.write(std::move(request));
  co_return co_await client.read_all();
}

/// The same, in a server of its own.
std::string exchange_with(Limits limits, Server::Handler handler, const std::string& request) {
  std::string answer;
  with_server(limits, std::move(handler),
              [&](Server&, std::uint16_t port) -> Task<void> { answer = co_await exchange(port, request); });
  return answer;
}

std::string status_line(const std::string& answer) { return answer.substr(0, answer.find("\r\n")); }
std::string body_of(const std::string& answer) { return answer.substr(answer.find("\r\n\r\n") + 4); }

/// Keeps what is logged while it lives.
class CapturedLog {
 public:
  CapturedLog() : before_(spdlog::default_logger()) {
    spdlog::set_default_logger(
        std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::ostream_sink_mt>(text_)));
  }
  ~CapturedLog() { spdlog::set_default_logger(before_); }
  CapturedLog(const CapturedLog&) = delete;
  CapturedLog& operator=(const CapturedLog&) = delete;
  std::string text() const { return text_.str(); }

 private:
  std::ostringstream text_;
  std::shared_ptr<spdlog::logger> before_;
};

}  // namespace

TEST_CASE("requests of one connection are answered one after the other") {
  with_server({}, echo, [](Server& server, std::uint16_t port) -> Task<void> {
    RawClient client(co_await asio::this_coro::executor, port);
    co_await client.write("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    co_await client.expect_response("HTTP/1.1 200 OK", "GET /a ");
    co_await client.write("POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello");
    co_await client.expect_response("HTTP/1.1 200 OK", "POST /b hello");
    co_await client.write(
        "POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n");
    co_await client.expect_response("HTTP/1.1 200 OK", "POST /c hello");
    CHECK(server.connections() == 1);
  });
}

TEST_CASE("pipelined requests are answered in their order") {
  const auto slow_first = [](Request request) -> Task<Response> {
    if (request.target == "/1") co_await sleep_real(20ms);
    co_return co_await echo(std::move(request));
  };
  const auto answer = exchange_with({}, slow_first,
                                    "GET /1 HTTP/1.1\r\n\r\n"
                                    "POST /2 HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi"
                                    "GET /3 HTTP/1.1\r\nConnection: close\r\n\r\n");
  const auto first = answer.find("GET /1 ");
  const auto second = answer.find("POST /2 hi");
  const auto third = answer.find("GET /3 ");
  CHECK(first < second);
  CHECK(second < third);
  CHECK(third != std::string::npos);
}

TEST_CASE("the connection ends when the client asks for it, and by default with HTTP/1.0") {
  const auto request =
      GENERATE(as<std::string>{}, "GET / HTTP/1.1\r\nConnection: close\r\n\r\n", "GET / HTTP/1.0\r\n\r\n");
  const auto answer = exchange_with({}, echo, request);
  CHECK_THAT(answer, ContainsSubstring("\r\nConnection: close\r\n"));
  CHECK(body_of(answer) == "GET / ");
}

TEST_CASE("HEAD, 204 and 304 have no body") {
  const auto answer = exchange_with({}, echo, "HEAD / HTTP/1.1\r\nConnection: close\r\n\r\n");
  CHECK_THAT(answer, ContainsSubstring("\r\nContent-Length: 7\r\n"));
  CHECK(body_of(answer).empty());
  const auto status = GENERATE(204, 304);
  const auto empty = [status](Request) -> Task<Response> {
    Response response;
    response.status = status;
    response.body = "never sent";
    co_return response;
  };
  const auto without = exchange_with({}, empty, "GET / HTTP/1.1\r\nConnection: close\r\n\r\n");
  CHECK_THAT(without, !ContainsSubstring("Content-Length"));
  CHECK(body_of(without).empty());
}

TEST_CASE("a client that asks first is told to go on") {
  with_server({}, echo, [](Server&, std::uint16_t port) -> Task<void> {
    RawClient client(co_await asio::this_coro::executor, port);
    co_await client.write("POST / HTTP/1.1\r\nExpect: 100-Continue\r\nContent-Length: 5\r\n\r\n");
    co_await client.expect("HTTP/1.1 100 Continue\r\n\r\n");
    co_await client.write("hello");
    co_await client.expect_response("HTTP/1.1 200 OK", "POST / hello");
  });
}

TEST_CASE("a body of the limit is taken and one more byte is 413") {
  Limits limits;
  limits.body_bytes_max = 1000;
  const std::string end = "Connection: close\r\nContent-Length: ";
  const auto exact = exchange_with(limits, echo, "POST / HTTP/1.1\r\n" + end + "1000\r\n\r\n" + std::string(1000, 'x'));
  CHECK(body_of(exact) == "POST / " + std::string(1000, 'x'));
  limits.linger_deadline = 10ms;
  const auto over =
      GENERATE(as<std::string>{}, "Content-Length: 1001\r\n\r\n" + std::string(1001, 'x'),
               // Refused from the header alone, without asking for the body.
               "Expect: 100-continue\r\nContent-Length: 1001\r\n\r\n", "Content-Length: 99999999999999\r\n\r\n",
               "Transfer-Encoding: chunked\r\n\r\n3e9\r\n" + std::string(1001, 'x') + "\r\n0\r\n\r\n");
  const auto answer = exchange_with(limits, echo, "POST / HTTP/1.1\r\n" + over);
  CHECK(status_line(answer) == "HTTP/1.1 413 Payload Too Large");
  CHECK(body_of(answer) == error_body("invalid", "the body is larger than 1000 bytes"));
}

TEST_CASE("25 MB are taken, and a client that sends 1 byte more without looking up still gets to read its 413") {
  constexpr std::size_t most = 25 * 1024 * 1024;
  Limits limits;
  limits.body_bytes_max = most;
  std::size_t received = 0;
  const auto measure = [&received](Request request) -> Task<Response> {
    received = request.body.size();
    co_return Response{};
  };
  const auto post = [](std::size_t size) {
    return "POST / HTTP/1.1\r\nConnection: close\r\nContent-Length: " + std::to_string(size) + "\r\n\r\n" +
           std::string(size, 'x');
  };
  with_server(limits, measure, [&](Server&, std::uint16_t port) -> Task<void> {
    std::string request = post(most);
    std::string answer = co_await exchange(port, std::move(request));
    CHECK(status_line(answer) == "HTTP/1.1 200 OK");
    CHECK(received == most);
    received = 0;
    RawClient client(co_await asio::this_coro::executor, port);
    request = post(most + 1);
    const bool written = co_await client.write(std::move(request));
    CHECK(written);
    client.end_writing();
    answer = co_await client.read_all();
    CHECK(status_line(answer) == "HTTP/1.1 413 Payload Too Large");
    CHECK(received == 0);
  });
}

TEST_CASE("what is not HTTP is 400") {
  const auto request = GENERATE(as<std::string>{}, "\x16\x03\x01\x02\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n",
                                "GET / HTTP/1.1\r\nbad name: x\r\n\r\n", "GET / HTTP/1.1\r\nno colon\r\n\r\n",
                                "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
                                "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
                                "POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
  CAPTURE(request);
  Limits limits;
  limits.linger_deadline = 10ms;
  bool asked = false;
  const auto handler = [&asked](Request) -> Task<Response> {
    asked = true;
    co_return Response{};
  };
  const auto answer = exchange_with(limits, handler, request);
  CHECK(status_line(answer) == "HTTP/1.1 400 Bad Request");
  CHECK_THAT(body_of(answer),
             Catch::Matchers::StartsWith(
                 "{\"error\":{\"kind\":\"invalid\",\"message\":\"the request is not valid HTTP/1.1: "));
  CHECK_FALSE(asked);
}

TEST_CASE("a flood of header fields is 431") {
  Limits limits;
  limits.header_bytes_max = 4096;
  limits.linger_deadline = 10ms;
  std::string request = "GET / HTTP/1.1\r\n";
  SECTION("many fields") {
    for (int i = 0; i < 100000; ++i) request += "X-" + std::to_string(i) + ": y\r\n";
  }
  SECTION("one long field") { request += "X: " + std::string(1'000'000, 'y') + "\r\n"; }
  SECTION("a long target") { request = "GET /" + std::string(100'000, 'y') + " HTTP/1.1\r\n"; }
  const auto answer = exchange_with(limits, echo, request + "\r\n");
  CHECK(status_line(answer) == "HTTP/1.1 431 Request Header Fields Too Large");
  CHECK(body_of(answer) == error_body("invalid", "the request's header is larger than 4096 bytes"));
}

TEST_CASE("a client that is too slow is disconnected") {
  Limits limits;
  std::string request;
  SECTION("before it says anything") { limits.header_deadline = 20ms; }
  SECTION("inside the header") {
    limits.header_deadline = 20ms;
    request = "GET / HTTP/1.1\r\nX-Slow:";
  }
  SECTION("inside the body") {
    limits.body_deadline = 20ms;
    request = "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhel";
  }
  CHECK(exchange_with(limits, echo, request).empty());
}

TEST_CASE("a byte now and then does not keep a slow client connected") {
  Limits limits;
  limits.header_deadline = 50ms;
  with_server(limits, echo, [](Server& server, std::uint16_t port) -> Task<void> {
    RawClient client(co_await asio::this_coro::executor, port);
    co_await client.write("GET / HTTP/1.1\r\nX-Slow: ");
    co_await eventually([&] { return server.connections() == 1; });
    const auto start = std::chrono::steady_clock::now();
    while (server.connections() > 0) {
      co_await client.write("a");
      co_await sleep_real(1ms);
      REQUIRE(std::chrono::steady_clock::now() - start < 10s);
    }
  });
}

TEST_CASE("an idle connection is closed after its deadline, and not while a request is in progress") {
  Limits limits;
  limits.idle_deadline = 20ms;
  limits.header_deadline = 20ms;
  limits.body_deadline = 20ms;
  const auto slow = [](Request request) -> Task<Response> {
    co_await sleep_real(60ms);
    co_return co_await echo(std::move(request));
  };
  with_server(limits, slow, [](Server&, std::uint16_t port) -> Task<void> {
    RawClient client(co_await asio::this_coro::executor, port);
    co_await client.write("GET / HTTP/1.1\r\n\r\n");
    co_await client.expect_response("HTTP/1.1 200 OK", "GET / ");
    co_await client.expect_last("");
  });
}

TEST_CASE("a client that does not read its answer is disconnected") {
  Limits limits;
  limits.write_deadline = 20ms;
  const auto large = [](Request) -> Task<Response> {
    Response response;
    response.body.assign(64 * 1024 * 1024, 'x');
    co_return response;
  };
  with_server(limits, large, [](Server& server, std::uint16_t port) -> Task<void> {
    RawClient client(co_await asio::this_coro::executor, port);
    co_await client.write("GET / HTTP/1.1\r\n\r\n");
    co_await eventually([&] { return server.connections() == 1; });
    co_await eventually([&] { return server.connections() == 0; });
  });
}

TEST_CASE("a client that leaves in the middle of its request is not answered for") {
  bool asked = false;
  const auto handler = [&asked](Request) -> Task<Response> {
    asked = true;
    co_return Response{};
  };
  with_server({}, handler, [](Server& server, std::uint16_t port) -> Task<void> {
    RawClient client(co_await asio::this_coro::executor, port);
    co_await client.write("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhel");
    co_await eventually([&] { return server.connections() == 1; });
    client.close();
    co_await eventually([&] { return server.connections() == 0; });
  });
  CHECK_FALSE(asked);
}

TEST_CASE("an Error of the handler is answered by its kind") {
  const auto handler = [](Request) -> Task<Response> {
    throw Error(ErrorKind::not_found, "there is no service \"x\"");
    co_return Response{};
  };
  const auto answer = exchange_with({}, handler, "GET / HTTP/1.1\r\nConnection: close\r\n\r\n");
  CHECK(status_line(answer) == "HTTP/1.1 404 Not Found");
  CHECK(body_of(answer) == error_body("not_found", "there is no service \\\"x\\\""));
}

TEST_CASE("any other exception is logged and answered without its message") {
  const CapturedLog log;
  std::string answer;
  SECTION("from the coroutine") {
    const auto handler = [](Request) -> Task<Response> {
      throw std::runtime_error("the password is 1234");
      co_return Response{};
    };
    answer = exchange_with({}, handler, "GET /a?b=c HTTP/1.1\r\nConnection: close\r\n\r\n");
  }
  SECTION("from the function that makes it") {
    const auto handler = [](Request) -> Task<Response> { throw std::runtime_error("the password is 1234"); };
    answer = exchange_with({}, handler, "GET /a?b=c HTTP/1.1\r\nConnection: close\r\n\r\n");
  }
  CHECK(status_line(answer) == "HTTP/1.1 500 Internal Server Error");
  CHECK(body_of(answer) == error_body("failed", "the agent failed to answer; its log says why"));
  CHECK_THAT(log.text(), ContainsSubstring("http: GET /a failed: the password is 1234"));
}

TEST_CASE("beyond the limit a new connection waits until one ends") {
  Limits limits;
  limits.connections_max = 2;
  bool finish = false;
  int inside = 0;
  const auto handler = [&](Request request) -> Task<Response> {
    ++inside;
    while (request.target == "/wait" && !finish) co_await sleep_real(1ms);
    co_return co_await echo(std::move(request));
  };
  with_server(limits, handler, [&](Server& server, std::uint16_t port) -> Task<void> {
    const auto executor = co_await asio::this_coro::executor;
    RawClient first(executor, port);
    RawClient second(executor, port);
    co_await first.write("GET /wait HTTP/1.1\r\nConnection: close\r\n\r\n");
    co_await second.write("GET /wait HTTP/1.1\r\nConnection: close\r\n\r\n");
    co_await eventually([&] { return inside == 2; });
    RawClient third(executor, port);
    co_await third.write("GET /third HTTP/1.1\r\n\r\n");
    co_await sleep_real(20ms);
    CHECK(inside == 2);
    CHECK(server.connections() == 2);
    finish = true;
    co_await third.expect_response("HTTP/1.1 200 OK", "GET /third ");
    const auto first_answer = co_await first.read_all();
    CHECK(body_of(first_answer) == "GET /wait ");
    const auto second_answer = co_await second.read_all();
    CHECK(body_of(second_answer) == "GET /wait ");
  });
}

TEST_CASE("at the limit the longest idle connection makes room") {
  Limits limits;
  limits.connections_max = 2;
  with_server(limits, echo, [](Server&, std::uint16_t port) -> Task<void> {
    const auto executor = co_await asio::this_coro::executor;
    RawClient first(executor, port);
    RawClient second(executor, port);
    for (RawClient* client : {&first, &second, &first}) {
      co_await client->write("GET / HTTP/1.1\r\n\r\n");
      co_await client->response();
    }
    RawClient third(executor, port);
    co_await third.write("GET /third HTTP/1.1\r\n\r\n");
    co_await third.expect_response("HTTP/1.1 200 OK", "GET /third ");
    co_await second.expect_last("");
    co_await first.write("GET /first HTTP/1.1\r\n\r\n");
    co_await first.expect_response("HTTP/1.1 200 OK", "GET /first ");
  });
}

TEST_CASE("an address that cannot be listened on is refused in words") {
  asio::io_context context;
  Server server(context.get_executor(), {}, echo);
  const auto message = [&](const std::string& address) {
    return error_of([&] { server.listen_tcp(address); }).message();
  };
  CHECK(message("9010") == "cannot listen on \"9010\": write it as address:port");
  CHECK(message("127.0.0.1:http") == "cannot listen on \"127.0.0.1:http\": the port must be a number from 0 to 65535");
  CHECK(message("127.0.0.1:65536") ==
        "cannot listen on \"127.0.0.1:65536\": the port must be a number from 0 to 65535");
  CHECK(message("example.org:80") ==
        "cannot listen on \"example.org:80\": \"example.org\" is not an IP address; 127.0.0.1 is this host only, "
        "0.0.0.0 is "
        "every interface");
  const auto taken = "127.0.0.1:" + std::to_string(server.listen_tcp("127.0.0.1:0"));
  CHECK(message(taken) ==
        "cannot listen on " + taken + ": another process uses the port; stop it or choose another port");
  CHECK(server.listen_tcp("localhost:0") != 0);
}
