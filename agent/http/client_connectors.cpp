// The connectors of the HTTP client: plain sockets and TLS, without Beast.
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/ssl.hpp>
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

Task<asio::ip::tcp::socket> connect_tcp(std::string host, std::uint16_t port, std::string name) {
  const auto endpoints = co_await look_up(host, port, name);
  Code last = asio::error::host_not_found;
  for (const auto& endpoint : endpoints) {
    asio::ip::tcp::socket socket(co_await asio::this_coro::executor);
    auto [code] = co_await socket.async_connect(endpoint, as_result);
    if (!code) {
      socket.set_option(asio::ip::tcp::no_delay(true), last);
      co_return socket;
    }
    last = code;
  }
  throw_refused(name, last);
}

Task<std::unique_ptr<ByteStream>> open_tcp(std::string host, std::uint16_t port, std::string name) {
  auto socket = co_await connect_tcp(std::move(host), port, name);
  co_return std::make_unique<SocketStream<asio::ip::tcp::socket>>(std::move(socket), name);
}

namespace ssl = asio::ssl;
using TlsSocket = ssl::stream<asio::ip::tcp::socket>;

std::shared_ptr<ssl::context> client_context() {
  auto context = std::make_shared<ssl::context>(ssl::context::tls_client);
  context->set_options(ssl::context::default_workarounds | ssl::context::no_tlsv1 | ssl::context::no_tlsv1_1);
  context->set_default_verify_paths();
  context->set_verify_mode(ssl::verify_peer);
  return context;
}

[[noreturn]] void throw_no_handshake(TlsSocket& socket, const std::string& name, const Code& code) {
  if (code == asio::error::operation_aborted) throw_refused(name, code);
  const auto verdict = SSL_get_verify_result(socket.native_handle());
  if (verdict == X509_V_OK) {
    throw Error(ErrorKind::unreachable, "cannot connect to " + name + " with TLS: " + code.message());
  }
  throw Error(ErrorKind::failed,
              "the certificate of " + name + " is not trusted (" + X509_verify_cert_error_string(verdict) +
                  "): it expired, is for another name, or its authority is unknown here; renew it, or add the "
                  "authority with update-ca-certificates");
}

/// Over a TLS stream; the context outlives it.
class TlsStream final : public ByteStream {
 public:
  TlsStream(std::shared_ptr<ssl::context> context, std::unique_ptr<TlsSocket> socket, std::string name)
      : context_(std::move(context)), socket_(std::move(socket)), name_(std::move(name)) {}

  Task<std::size_t> read_some(asio::mutable_buffer buffer) override {
    auto [code, count] = co_await socket_->async_read_some(buffer, as_result);
    if (code == asio::error::eof) co_return 0;
    if (code) throw_lost(name_, code);  // also a connection that ended without TLS's own end: it may be cut off
    co_return count;
  }

  Task<void> write(asio::const_buffer buffer) override {
    auto [code, count] = co_await asio::async_write(*socket_, buffer, as_result);
    if (code) throw_lost(name_, code);
  }

 private:
  std::shared_ptr<ssl::context> context_;
  std::unique_ptr<TlsSocket> socket_;
  std::string name_;
};

Task<std::unique_ptr<ByteStream>> open_tls(std::shared_ptr<ssl::context> context, std::string host, std::uint16_t port,
                                           std::string name) {
  auto plain = co_await connect_tcp(host, port, name);
  auto socket = std::make_unique<TlsSocket>(std::move(plain), *context);
  // One server has many names: it must know which is meant (RFC 6066, 3).
  SSL_set_tlsext_host_name(socket->native_handle(), host.c_str());
  socket->set_verify_callback(ssl::host_name_verification(host));
  auto [code] = co_await socket->async_handshake(ssl::stream_base::client, as_result);
  if (code) throw_no_handshake(*socket, name, code);
  co_return std::make_unique<TlsStream>(std::move(context), std::move(socket), std::move(name));
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

Connector tls_connector(std::string host, std::uint16_t port) {
  const std::string name = host + ":" + std::to_string(port);
  const std::string field = port == 443 ? host : name;
  auto open = [context = client_context(), host = std::move(host), port, name] {
    return open_tls(context, host, port, name);
  };
  return Connector{name, field, std::move(open)};
}

}  // namespace deploy::http
