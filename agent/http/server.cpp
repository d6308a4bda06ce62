#include "agent/http/server.hpp"

#include <spdlog/spdlog.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cerrno>
#include <list>
#include <optional>
#include <utility>
#include <vector>

#include "agent/base/error.hpp"
#include "agent/http/response_text.hpp"

namespace deploy::http {

namespace {

namespace beast = boost::beast;

using Socket = asio::generic::stream_protocol::socket;  // TCP and unix alike
using Stream = beast::basic_stream<asio::generic::stream_protocol>;
using Parser = beast::http::request_parser<beast::http::string_body>;
using ErrorCode = boost::system::error_code;

constexpr std::size_t read_bytes = 64 * 1024;
constexpr std::size_t linger_bytes_max = 64 * 1024 * 1024;
constexpr std::chrono::milliseconds accept_pause{100};

/// How a request that cannot be read is answered; nothing where the client is gone or was too slow.
std::optional<Response> refusal_of(const ErrorCode& error, const Limits& limits) {
  using beast::http::error::body_limit;
  using beast::http::error::buffer_overflow;
  using beast::http::error::end_of_stream;
  using beast::http::error::header_limit;
  using beast::http::error::partial_message;
  if (error == body_limit) {
    return error_response(413, "invalid",
                          "the body is larger than " + std::to_string(limits.body_bytes_max) + " bytes");
  }
  if (error == header_limit || error == buffer_overflow) {
    return error_response(431, "invalid",
                          "the request's header is larger than " + std::to_string(limits.header_bytes_max) + " bytes");
  }
  if (error == end_of_stream || error == partial_message) return std::nullopt;
  if (error.category() != beast::http::make_error_code(end_of_stream).category()) return std::nullopt;
  return error_response(400, "invalid", "the request is not valid HTTP/1.1: " + error.message());
}

Request to_request(Parser& parser) {
  auto message = parser.release();
  Request request;
  request.method = std::string(message.method_string());
  request.target = std::string(message.target());
  for (const auto& field : message) {
    request.headers.emplace(std::string(field.name_string()), std::string(field.value()));
  }
  request.body = std::move(message.body());
  return request;
}

bool expects_continue(const Parser& parser) {
  return beast::iequals(parser.get()[beast::http::field::expect], "100-continue");
}

}  // namespace

struct Server::Impl {
  struct Connection;

  Impl(asio::any_io_executor ex, Limits limit, Handler handle)
      : executor(std::move(ex)),
        limits(limit),
        handler(std::move(handle)),
        freed(executor),
        group(executor, [](const std::string& name, std::exception_ptr cause) {
          spdlog::error("http: {}: {}", name, message_of(cause));
        }) {}

  template <class Acceptor>
  Task<void> accept_loop(std::shared_ptr<Impl> self, Acceptor& acceptor);
  Task<void> make_room();
  Task<void> serve(std::unique_ptr<Connection> connection);
  Task<bool> request_begins(Connection& connection);
  Task<bool> exchange(Connection& connection);
  Task<void> refuse(Connection& connection, ErrorCode error);
  Task<Response> respond(Request request);
  Task<bool> send(Connection& connection, Response response, bool head_only, bool http_1_0, bool keep_alive);
  Task<bool> send_stream(Connection& connection, std::shared_ptr<BodySource> source, bool chunked);
  Task<void> client_leaves(Connection& connection);
  Task<bool> write(Connection& connection, std::array<asio::const_buffer, 2> parts);

  asio::any_io_executor executor;
  Limits limits;
  Handler handler;
  bool stopping = false;
  std::list<Connection*> connections;  // the longest idle first
  Signal freed;                        // a connection ended, or the server stops
  std::list<asio::ip::tcp::acceptor> tcp_acceptors;
  std::list<UnixListener> unix_listeners;
  TaskGroup group;
};

struct Server::Impl::Connection {
  Connection(std::shared_ptr<Impl> impl, Socket socket)
      : server(std::move(impl)),
        stream(std::move(socket)),
        buffer(server->limits.header_bytes_max + read_bytes),
        peer(peer_user(stream.socket().native_handle())),
        position(server->connections.insert(server->connections.end(), this)) {}
  ~Connection() {
    server->connections.erase(position);
    server->freed.notify_all();
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void close() {
    ErrorCode ignored;
    stream.socket().close(ignored);
  }

  std::shared_ptr<Impl> server;
  Stream stream;
  beast::flat_buffer buffer;
  std::string peer;  // Request::peer
  std::list<Connection*>::iterator position;
  bool idle = true;   // no byte of a request has come
  bool first = true;  // no request was answered yet
};

template <class Acceptor>
Task<void> Server::Impl::accept_loop(std::shared_ptr<Impl> self, Acceptor& acceptor) {
  while (!stopping) {
    // Room is made only when somebody is waiting for it: at the limit that closes an idle connection.
    auto [wait_error] = co_await acceptor.async_wait(asio::socket_base::wait_read, as_result);
    if (wait_error) break;
    co_await make_room();
    if (stopping) break;
    auto [error, socket] = co_await acceptor.async_accept(as_result);
    if (stopping || error == asio::error::operation_aborted) break;
    if (error) {
      spdlog::error("http: cannot accept a connection: {}", error.message());
      // Mostly too many open files: trying again at once would spin.
      co_await sleep_real(accept_pause);
      continue;
    }
    ErrorCode ignored;
    if constexpr (std::is_same_v<Acceptor, asio::ip::tcp::acceptor>) {
      socket.set_option(asio::ip::tcp::no_delay(true), ignored);
    }
    group.spawn("connection", serve(std::make_unique<Connection>(self, Socket(std::move(socket)))));
  }
}

Task<void> Server::Impl::make_room() {
  while (!stopping && connections.size() >= limits.connections_max) {
    for (Connection* connection : connections) {
      if (!connection->idle) continue;
      connection->close();
      break;
    }
    co_await freed.wait();
  }
}

Task<void> Server::Impl::serve(std::unique_ptr<Connection> connection) {
  for (bool more = true; more; connection->first = false) more = co_await exchange(*connection);
}

/// Waits for a byte of the next request; false where none comes.
Task<bool> Server::Impl::request_begins(Connection& connection) {
  if (connection.buffer.size() > 0) co_return true;
  if (stopping) co_return false;
  connection.idle = true;
  connections.splice(connections.end(), connections, connection.position);
  connection.stream.expires_after(connection.first ? limits.header_deadline : limits.idle_deadline);
  const auto space = connection.buffer.prepare(4096);
  auto [error, size] = co_await connection.stream.async_read_some(space, as_result);
  connection.idle = false;
  connection.buffer.commit(size);
  co_return !error;
}

/// One request and its response; true where the connection takes another.
Task<bool> Server::Impl::exchange(Connection& connection) {
  if (!co_await request_begins(connection)) co_return false;
  Parser parser;
  parser.header_limit(static_cast<std::uint32_t>(limits.header_bytes_max));
  parser.body_limit(limits.body_bytes_max);
  connection.stream.expires_after(limits.header_deadline);
  ErrorCode error;
  std::tie(error, std::ignore) =
      co_await beast::http::async_read_header(connection.stream, connection.buffer, parser, as_result);
  if (!error && !parser.is_done()) {
    if (expects_continue(parser) && connection.buffer.size() == 0) {
      constexpr std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";
      const std::array<asio::const_buffer, 2> parts{asio::buffer(go_on), asio::const_buffer()};
      if (!co_await write(connection, parts)) co_return false;
    }
    connection.stream.expires_after(limits.body_deadline);
    std::tie(error, std::ignore) =
        co_await beast::http::async_read(connection.stream, connection.buffer, parser, as_result);
  }
  if (error) {
    co_await refuse(connection, error);
    co_return false;
  }
  connection.stream.expires_never();
  const bool keep_alive = parser.keep_alive();
  const bool http_1_0 = parser.get().version() < 11;
  Request request = to_request(parser);
  request.peer = connection.peer;
  const bool head_only = request.method == "HEAD";
  Response response = co_await respond(std::move(request));
  co_return co_await send(connection, std::move(response), head_only, http_1_0, keep_alive && !stopping);
}

/// Answers what could not be read, and reads on for a while: closing with unread input makes TCP discard the answer on
/// its way to a client that is still sending.
Task<void> Server::Impl::refuse(Connection& connection, ErrorCode error) {
  auto response = refusal_of(error, limits);
  if (!response) co_return;
  co_await send(connection, std::move(*response), false, false, false);
  connection.stream.expires_after(limits.linger_deadline);
  std::vector<char> dropped(read_bytes);
  for (std::size_t total = 0; total < linger_bytes_max && !stopping;) {
    auto [end, size] = co_await connection.stream.async_read_some(asio::buffer(dropped), as_result);
    if (end) co_return;
    total += size;
  }
}

Task<Response> Server::Impl::respond(Request request) {
  const std::string what = request.method + " " + std::string(request.path());
  std::exception_ptr failure;
  try {
    co_return co_await handler(std::move(request));
  } catch (const Error& error) {
    co_return error_response(error);
  } catch (...) {
    failure = std::current_exception();
  }
  // A cancelled handler fails for that reason alone, and nobody waits for its answer.
  const auto cancelled = co_await asio::this_coro::cancellation_state;
  if (cancelled.cancelled() != asio::cancellation_type::none) std::rethrow_exception(failure);
  spdlog::error("http: {} failed: {}", what, message_of(failure));
  co_return error_response(500, "failed", "the agent failed to answer; its log says why");
}

Task<bool> Server::Impl::write(Connection& connection, std::array<asio::const_buffer, 2> parts) {
  connection.stream.expires_after(limits.write_deadline);
  auto [error, size] = co_await asio::async_write(connection.stream, parts, as_result);
  connection.stream.expires_never();
  co_return !error;
}

/// True where the connection takes another request.
Task<bool> Server::Impl::send(Connection& connection, Response response, bool head_only, bool http_1_0,
                              bool keep_alive) {
  auto framing = Framing::length;
  if (bodyless(response.status)) {
    framing = Framing::no_body;
  } else if (response.body_source) {
    framing = http_1_0 ? Framing::until_close : Framing::chunked;
  }
  if (framing == Framing::until_close) keep_alive = false;
  const bool without_body = head_only || framing == Framing::no_body;
  const std::string head = response_head(response, framing, keep_alive);
  const bool whole = framing == Framing::length && !without_body;
  const std::array<asio::const_buffer, 2> parts{asio::buffer(head),
                                                whole ? asio::buffer(response.body) : asio::const_buffer()};
  bool sent = co_await write(connection, parts);
  if (sent && response.body_source && !without_body) {
    auto source = std::exchange(response.body_source, nullptr);
    sent = co_await send_stream(connection, std::move(source), framing == Framing::chunked);
  }
  if (!sent || keep_alive) co_return sent;
  ErrorCode ignored;
  connection.stream.socket().shutdown(asio::socket_base::shutdown_send, ignored);
  co_return false;
}

/// Sends parts as they come; true at the end of the body. The source is gone when this returns.
Task<bool> Server::Impl::send_stream(Connection& connection, std::shared_ptr<BodySource> source, bool chunked) {
  try {
    for (;;) {
      auto next = co_await first_of(source->next(), client_leaves(connection));
      if (!next) co_return false;
      const bool end = !next->has_value();
      if (!end && (*next)->empty()) continue;
      const std::string part = end ? "" : std::move(**next);
      const std::string text = !chunked ? part : end ? "0\r\n\r\n" : chunk(part);
      const std::array<asio::const_buffer, 2> parts{asio::buffer(text), asio::const_buffer()};
      if (!co_await write(connection, parts)) co_return false;
      if (end) co_return true;
    }
  } catch (const Error& error) {
    // The status is on its way already: all that is left is to end without the last chunk, which the client notices.
    spdlog::error("http: a streamed response was cut off: {}", error.message());
  }
  co_return false;
}

/// Returns when the client has closed its side. What it sends meanwhile, the next requests, is kept for later.
Task<void> Server::Impl::client_leaves(Connection& connection) {
  Socket& socket = connection.stream.socket();
  while (connection.buffer.size() < limits.header_bytes_max) {
    auto [error] = co_await socket.async_wait(asio::socket_base::wait_read, as_result);
    if (error) co_return;
    const auto space = connection.buffer.prepare(4096);
    const auto size = ::recv(socket.native_handle(), space.data(), space.size(), MSG_DONTWAIT);
    if (size > 0) connection.buffer.commit(static_cast<std::size_t>(size));
    if (size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR)) co_return;
  }
  // It sends more than is kept. From here only a failing write tells that it left.
  Signal never(executor);
  co_await never.wait();
}

Server::Server(asio::any_io_executor executor, Limits limits, Handler handler)
    : impl_(std::make_shared<Impl>(std::move(executor), limits, std::move(handler))) {}

Server::~Server() = default;

std::uint16_t Server::listen_tcp(const std::string& host_port) {
  auto& acceptor = impl_->tcp_acceptors.emplace_back(bind_tcp(impl_->executor, host_port));
  impl_->group.spawn("accepting on " + host_port, impl_->accept_loop(impl_, acceptor));
  return acceptor.local_endpoint().port();
}

void Server::listen_unix(const UnixSocketSpec& spec) {
  auto& listener = impl_->unix_listeners.emplace_back(impl_->executor, spec);
  impl_->group.spawn("accepting on " + spec.path, impl_->accept_loop(impl_, listener.acceptor));
}

Task<void> Server::stop(std::chrono::milliseconds grace) {
  auto impl = impl_;
  impl->stopping = true;
  ErrorCode ignored;
  for (auto& acceptor : impl->tcp_acceptors) acceptor.close(ignored);
  for (auto& listener : impl->unix_listeners) listener.acceptor.close(ignored);
  impl->freed.notify_all();
  for (Impl::Connection* connection : impl->connections) {
    if (connection->idle) connection->close();
  }
  const auto ended = co_await first_of(impl->group.wait(), sleep_real(grace));
  if (!ended) {
    impl->group.cancel();
    for (Impl::Connection* connection : impl->connections) connection->close();
    co_await impl->group.wait();
  }
  impl->unix_listeners.clear();
}

std::size_t Server::connections() const noexcept { return impl_->connections.size(); }

}  // namespace deploy::http
