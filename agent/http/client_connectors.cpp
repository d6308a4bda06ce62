// The connectors of the HTTP client: plain sockets, without Beast.
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/write.hpp>
#include <utility>
#include <vector>

#include "agent/base/error.hpp"
#include "agent/http/client.hpp"

namespace deploy::http {

namespace {

using Code = boost::system::error_code;

[[noreturn]] void throw_lost(const std::string& name, const Code& code) {
  if (code == asio::error::operation_aborted)
    throw Error(ErrorKind::cancelled, "the call to " + name + " was cancelled");
  throw Error(ErrorKind::unreachable, "the connection to " + name + " was lost: " + code.message());
}

[[noreturn]] void throw_refused(const std::string& name, const Code& code) {
  if (code == asio::error::operation_aborted)
    throw Error(ErrorKind::cancelled, "the call to " + name + " was cancelled");
  throw Error(ErrorKind::unreachable, "cannot connect to " + name + ": " + code.message());
}

template <class Socket>
class SocketStream final : public ByteStream {
 public:
  SocketStream(Socket socket, std::string name) : socket_(std::move(socket)), name_(std::move(name)) {}

  Task<std::size_t> read_some(asio::mutable_buffer buffer) override {
    auto [code, count] = co_await socket_.async_read_some(buffer, as_result);
    if (code == asio::error::eof) co_return 0;
    if (code) throw_lost(name_, code);
    co_return count;
  }

  Task<void> write(asio::const_buffer buffer) override {
    auto [code, count] = co_await asio::async_write(socket_, buffer, as_result);
    if (code) throw_lost(name_, code);
  }

 private:
  Socket socket_;
  std::string name_;
};

Task<std::unique_ptr<ByteStream>> open_unix(std::string path) {
  asio::local::stream_protocol::endpoint endpoint;
  try {
    endpoint = asio::local::stream_protocol::endpoint(path);
  } catch (const boost::system::system_error& error) {
    throw_refused(path, error.code());
  }
  asio::local::stream_protocol::socket socket(co_await asio::this_coro::executor);
  auto [code] = co_await socket.async_connect(endpoint, as_result);
  if (code) throw_refused(path, code);
  co_return std::make_unique<SocketStream<asio::local::stream_protocol::socket>>(std::move(socket), path);
}

Task<std::vector<asio::ip::tcp::endpoint>> look_up(std::string host, std::uint16_t port, std::string name) {
  Code code;
  const auto address = asio::ip::make_address(host, code);
  std::vector<asio::ip::tcp::endpoint> endpoints;
  if (!code) {
    endpoints.emplace_back(address, port);
    co_return endpoints;
  }
  asio::ip::tcp::resolver resolver(co_await asio::this_coro::executor);
  auto [failure, results] = co_await resolver.async_resolve(host, std::to_string(port), as_result);
  if (failure) throw_refused(name, failure);
  for (const auto& result : results) endpoints.push_back(result.endpoint());
  co_return endpoints;
}

Task<std::unique_ptr<ByteStream>> open_tcp(std::string host, std::uint16_t port, std::string name) {
  const auto endpoints = co_await look_up(host, port, name);
  Code last = asio::error::host_not_found;
  for (const auto& endpoint : endpoints) {
    asio::ip::tcp::socket socket(co_await asio::this_coro::executor);
    auto [code] = co_await socket.async_connect(endpoint, as_result);
    if (!code) {
      socket.set_option(asio::ip::tcp::no_delay(true), last);
      co_return std::make_unique<SocketStream<asio::ip::tcp::socket>>(std::move(socket), name);
    }
    last = code;
  }
  throw_refused(name, last);
}

}  // namespace

Connector unix_connector(std::string path) {
  auto open = [path] { return open_unix(path); };
  return Connector{path, "localhost", std::move(open)};
}

Connector tcp_connector(std::string host, std::uint16_t port) {
  const bool ipv6 = host.find(':') != std::string::npos;
  std::string name = (ipv6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
  auto open = [host = std::move(host), port, name] { return open_tcp(host, port, name); };
  return Connector{name, name, std::move(open)};
}

}  // namespace deploy::http
