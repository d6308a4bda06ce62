// A server on loopback for the length of a test.
#pragma once

#include <catch2/catch_all.hpp>
#include <exception>
#include <functional>

#include "agent/http/server.hpp"
#include "tests/fakes/run.hpp"
#include "tests/http/raw_client.hpp"

namespace deploy::tests {

using ServerTest = std::function<Task<void>(http::Server& server, std::uint16_t port)>;

inline Task<void> serve_and_test(http::Limits limits, http::Server::Handler handler, ServerTest test) {
  http::Server server(co_await asio::this_coro::executor, limits, std::move(handler));
  const auto port = server.listen_tcp("127.0.0.1:0");
  std::exception_ptr failure;
  try {
    co_await test(server, port);
  } catch (...) {
    failure = std::current_exception();
  }
  co_await server.stop(std::chrono::seconds(0));
  CHECK(server.connections() == 0);
  if (failure) std::rethrow_exception(failure);
}

/// Runs `test` beside a server, then stops it and checks that no connection is left.
inline void with_server(http::Limits limits, http::Server::Handler handler, ServerTest test) {
  run(serve_and_test(limits, std::move(handler), std::move(test)));
}

/// "METHOD target body"
inline Task<http::Response> echo(http::Request request) {
  http::Response response;
  response.body = request.method + " " + request.target + " " + request.body;
  co_return response;
}

/// Returns when `condition` holds; fails the test where it does not within 10 s.
inline Task<void> eventually(std::function<bool()> condition) {
  for (int i = 0; i < 10000 && !condition(); ++i) co_await sleep_real(std::chrono::milliseconds(1));
  REQUIRE(condition());
}

}  // namespace deploy::tests
