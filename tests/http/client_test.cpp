// The client against a scripted server: what arrives and when is decided byte by byte.
#include "agent/http/client.hpp"

#include <unistd.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>
#include <catch2/catch_all.hpp>
#include <filesystem>
#include <vector>

#include "agent/base/error.hpp"
#include "tests/fakes/run.hpp"

namespace deploy::http {
namespace {

using tests::error_of;
using tests::run;
using Protocol = asio::local::stream_protocol;
using namespace std::chrono_literals;

struct Folder {
  Folder() {
    char name[] = "/tmp/client-test-XXXXXX";
    path = ::mkdtemp(name);
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string socket() const { return path + "/s"; }
  std::string path;
};

/// What the server does with a connection: reads until `until` was seen, writes `answer`, and closes or stays.
struct Script {
  std::string until = "\r\n\r\n";
  std::vector<std::string> answer;
  bool stay = false;
};

/// Never answers.
Script silent() { return {.until = "\r\n\r\n", .answer = {}, .stay = true}; }

Task<void> serve_once(Protocol::acceptor& acceptor, Script script, std::string& received) {
  auto socket = co_await acceptor.async_accept(asio::use_awaitable);
  if (!script.until.empty()) {
    co_await asio::async_read_until(socket, asio::dynamic_buffer(received), script.until, asio::use_awaitable);
  }
  for (const auto& part : script.answer) co_await asio::async_write(socket, asio::buffer(part), asio::use_awaitable);
  if (script.stay) co_await sleep_real(1h);
}

struct Outcome {
  Response response;
  std::string received;
};

Task<void> serve(Protocol::acceptor& acceptor, Script script, std::string& received) {
  co_await serve_once(acceptor, std::move(script), received);
  co_await sleep_real(1h);
}

using Call = std::function<Task<Response>(Client&)>;

Task<Outcome> call_server(std::string path, Script script, Call call) {
  Protocol::acceptor acceptor(co_await asio::this_coro::executor, Protocol::endpoint(path));
  Outcome outcome;
  Client client(unix_connector(path));
  auto answer = co_await first_of(call(client), serve(acceptor, std::move(script), outcome.received));
  outcome.response = std::move(answer.value());
  co_return outcome;
}

/// Runs `call` with a client of a server that follows the script once.
Outcome with_server(Script script, Call call) {
  Folder folder;
  return run(call_server(folder.socket(), std::move(script), std::move(call)));
}

Task<Response> get(Client& client, std::string target) {
  Request request;
  request.target = std::move(target);
  co_return co_await client.send(std::move(request), 5s, 100);
}

class Parts final : public BodySource {
 public:
  explicit Parts(std::vector<std::string> parts) : parts_(std::move(parts)) {}
  Task<std::optional<std::string>> next() override {
    if (next_ == parts_.size()) co_return std::nullopt;
    co_return parts_[next_++];
  }

 private:
  std::vector<std::string> parts_;
  std::size_t next_ = 0;
};

/// Never ends.
class Endless final : public BodySource {
 public:
  Task<std::optional<std::string>> next() override { co_return std::string(64 * 1024, 'x'); }
};

class Broken final : public BodySource {
 public:
  Task<std::optional<std::string>> next() override { throw Error(ErrorKind::failed, "the blob is damaged"); }
};

TEST_CASE("a request is sent as HTTP/1.1 and its answer comes back whole") {
  const auto outcome =
      with_server({.answer = {"HTTP/1.1 200 OK\r\nContent-Le", "ngth: 5\r\nApi-Version: 1.41\r\n\r\nhe", "llo"}},
                  [](Client& client) { return get(client, "/a?b=c"); });
  CHECK(outcome.received == "GET /a?b=c HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  CHECK(outcome.response.status == 200);
  CHECK(outcome.response.body == "hello");
  CHECK(outcome.response.header("api-version") == "1.41");
}

TEST_CASE("the host of a request's own is kept") {
  const auto outcome =
      with_server({.answer = {"HTTP/1.1 204 No Content\r\n\r\n"}}, [](Client& client) -> Task<Response> {
        Request request;
        request.headers["Host"] = "shop.example";
        co_return co_await client.send(std::move(request), 5s);
      });
  CHECK(outcome.received == "GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n");
  CHECK(outcome.response.status == 204);
}

TEST_CASE("a chunked answer is decoded and its trailer ignored") {
  const auto outcome = with_server({.answer = {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r",
                                               "\n2;x=y\r\nde\r\n0\r\nLate: 1\r\n\r\n"}},
                                   [](Client& client) { return get(client, "/"); });
  CHECK(outcome.response.body == "abcde");
  CHECK(outcome.response.header("Late").empty());
}

TEST_CASE("an answer without a length ends with the connection") {
  const auto outcome = with_server({.answer = {"HTTP/1.0 200 OK\r\n\r\nuntil the end"}},
                                   [](Client& client) { return get(client, "/"); });
  CHECK(outcome.response.body == "until the end");
}

TEST_CASE("an answer to HEAD has no body, whatever its length says") {
  const auto outcome = with_server({.answer = {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"}, .stay = true},
                                   [](Client& client) -> Task<Response> {
                                     Request request;
                                     request.method = "HEAD";
                                     co_return co_await client.send(std::move(request), 5s);
                                   });
  CHECK(outcome.response.status == 200);
  CHECK(outcome.response.body.empty());
}

TEST_CASE("interim answers are skipped") {
  const auto outcome =
      with_server({.answer = {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
                              "HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok"}},
                  [](Client& client) { return get(client, "/"); });
  CHECK(outcome.response.status == 201);
  CHECK(outcome.response.body == "ok");
}

TEST_CASE("a body source is uploaded in chunks") {
  const auto outcome = with_server({.until = "0\r\n\r\n", .answer = {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"}},
                                   [](Client& client) -> Task<Response> {
                                     Request request;
                                     request.method = "POST";
                                     request.target = "/build";
                                     std::vector<std::string> parts{"hello", std::string(17, 'x')};
                                     request.body_source = std::make_shared<Parts>(parts);
                                     co_return co_await client.send(std::move(request), 5s);
                                   });
  CHECK(outcome.received ==
        "POST /build HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        "5\r\nhello\r\n11\r\nxxxxxxxxxxxxxxxxx\r\n0\r\n\r\n");
}

TEST_CASE("an answer that comes during the upload ends it") {
  const bool closes = GENERATE(true, false);
  const auto outcome =
      with_server({.answer = {"HTTP/1.1 400 Bad Request\r\nContent-Length: 9\r\n\r\nno such x"}, .stay = !closes},
                  [](Client& client) -> Task<Response> {
                    Request request;
                    request.method = "POST";
                    request.body_source = std::make_shared<Endless>();
                    co_return co_await client.send(std::move(request), 5s);
                  });
  CHECK(outcome.response.status == 400);
  CHECK(outcome.response.body == "no such x");
}

TEST_CASE("what a body source throws ends the call") {
  const auto error = error_of([] {
    with_server(silent(), [](Client& client) -> Task<Response> {
      Request request;
      request.method = "POST";
      request.body_source = std::make_shared<Broken>();
      co_return co_await client.send(std::move(request), 5s);
    });
  });
  CHECK(error.message() == "the blob is damaged");
}

TEST_CASE("a stream hands out each part as it arrives") {
  std::vector<std::string> parts;
  const auto outcome = with_server(
      {.answer = {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\na\r\n", "2\r\nbc\r\n0\r\n\r\n"}},
      [&parts](Client& client) {
        return client.stream(
            {}, [&parts](std::string_view part) { parts.emplace_back(part); }, 5s, 5s);
      });
  std::string joined;
  for (const auto& part : parts) joined += part;
  CHECK(joined == "abc");
  CHECK(outcome.response.body.empty());
}

TEST_CASE("a stream's answer that is an error is kept in the response") {
  const auto outcome =
      with_server({.answer = {"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnope"}}, [](Client& client) {
        return client.stream(
            {}, [](std::string_view) { FAIL("not a part"); }, 5s);
      });
  CHECK(outcome.response.status == 404);
  CHECK(outcome.response.body == "nope");
}

TEST_CASE("a stream without a sign of life ends at the idle deadline") {
  const auto error = error_of([] {
    with_server({.answer = {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"}, .stay = true},
                [](Client& client) {
                  return client.stream(
                      {}, [](std::string_view) {}, 5s, 20ms);
                });
  });
  CHECK(error.kind() == ErrorKind::timed_out);
  CHECK_THAT(error.message(), Catch::Matchers::EndsWith("/s: the next part of the answer took longer than 0.02 s"));
}

TEST_CASE("no answer before the deadline is a timeout that names the request without its query") {
  const auto error = error_of([] {
    with_server(silent(), [](Client& client) -> Task<Response> {
      Request request;
      request.target = "/info?secret=1";
      co_return co_await client.send(std::move(request), 20ms);
    });
  });
  CHECK(error.kind() == ErrorKind::timed_out);
  CHECK_THAT(error.message(), Catch::Matchers::Matches("GET /info of /tmp/client-test-.*/s took longer than 0\\.02 s"));
}

TEST_CASE("an answer that breaks off is an error, not a short answer") {
  const auto error = error_of([] {
    with_server({.answer = {"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf"}},
                [](Client& client) { return get(client, "/x"); });
  });
  CHECK(error.kind() == ErrorKind::unreachable);
  CHECK_THAT(error.message(), Catch::Matchers::EndsWith("/s: the connection was closed before the end of the answer"));
}

TEST_CASE("a body beyond the limit is refused") {
  const auto error = error_of([] {
    with_server({.answer = {"HTTP/1.1 200 OK\r\n\r\n" + std::string(101, 'x')}},
                [](Client& client) { return get(client, "/x"); });
  });
  CHECK_THAT(error.message(), Catch::Matchers::EndsWith("/s: the answer is larger than 100 bytes"));
}

TEST_CASE("what is not HTTP is said to be so") {
  const auto error = error_of([] {
    with_server({.answer = {"SSH-2.0-OpenSSH_9.2\r\n\r\n"}}, [](Client& client) { return get(client, "/x"); });
  });
  CHECK(error.kind() == ErrorKind::failed);
  CHECK_THAT(error.message(), Catch::Matchers::ContainsSubstring("/s: the answer is not valid HTTP: "));
}

TEST_CASE("a connection that cannot be made names its end and the cause") {
  Folder folder;
  Client client(unix_connector(folder.path + "/none.sock"));
  const auto missing = error_of([&] { run(get(client, "/")); });
  CHECK(missing.kind() == ErrorKind::unreachable);
  CHECK(missing.message() == "cannot connect to " + folder.path + "/none.sock: No such file or directory");

  std::uint16_t port = 0;
  {
    asio::io_context context;
    asio::ip::tcp::acceptor closed(context, {asio::ip::make_address("127.0.0.1"), 0});
    port = closed.local_endpoint().port();
  }
  Client tcp(tcp_connector("127.0.0.1", port));
  const auto refused = error_of([&] { run(get(tcp, "/")); });
  CHECK(refused.message() == "cannot connect to 127.0.0.1:" + std::to_string(port) + ": Connection refused");

  Client too_long(unix_connector("/" + std::string(200, 'x')));
  const auto long_path = error_of([&] { run(get(too_long, "/")); });
  CHECK_THAT(long_path.message(), Catch::Matchers::EndsWith("x: File name too long"));
}

TEST_CASE("nothing can be smuggled into a request") {
  Request target;
  target.target = "/a b";
  Request field;
  field.headers["X-A"] = "1\r\nX-B: 2";
  const auto send = [](Request request) {
    return error_of([&] { with_server(silent(), [&request](Client& client) { return client.send(request, 5s); }); });
  };
  CHECK(send(target).message() == "the HTTP target /a b holds a character that must be encoded");
  CHECK(send(field).message() == "the HTTP field \"X-A\" holds a character that is not allowed");
}

Task<void> serve_tcp(asio::ip::tcp::acceptor& acceptor, std::string& received) {
  auto socket = co_await acceptor.async_accept(asio::use_awaitable);
  co_await asio::async_read_until(socket, asio::dynamic_buffer(received), "\r\n\r\n", asio::use_awaitable);
  const std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nup";
  co_await asio::async_write(socket, asio::buffer(answer), asio::use_awaitable);
  co_await sleep_real(1h);
}

Task<std::string> call_tcp() {
  const asio::ip::tcp::endpoint any(asio::ip::make_address("127.0.0.1"), 0);
  asio::ip::tcp::acceptor acceptor(co_await asio::this_coro::executor, any);
  Client client(tcp_connector("localhost", acceptor.local_endpoint().port()));
  std::string received;
  auto answer = co_await first_of(get(client, "/health"), serve_tcp(acceptor, received));
  CHECK(received == "GET /health HTTP/1.1\r\nHost: " + client.name() + "\r\nConnection: close\r\n\r\n");
  co_return answer.value().body;
}

TEST_CASE("a client talks over TCP, too") { CHECK(run(call_tcp()) == "up"); }

}  // namespace
}  // namespace deploy::http
