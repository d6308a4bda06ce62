// An HTTP/1.1 client over any stream of bytes: the Docker Engine's unix socket, the agent's own socket, a target's
// port. One connection per request, so nothing is shared between calls and a dead connection is never reused. A Client
// may be used by many coroutines of one thread at once. Source: RFC 9112.
#pragma once

#include <boost/asio/buffer.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "agent/base/async.hpp"
#include "agent/http/message.hpp"

namespace deploy::http {

/// One open connection. read_some and write may be under way at the same time, each once.
class ByteStream {
 public:
  virtual ~ByteStream() = default;
  /// Reads at least one byte; 0 is the end. Throws Error(unreachable), or Error(cancelled) when the call is cancelled.
  virtual Task<std::size_t> read_some(asio::mutable_buffer buffer) = 0;
  /// Writes all of it. Errors as above.
  virtual Task<void> write(asio::const_buffer buffer) = 0;
};

/// How to open a connection.
struct Connector {
  std::string name;  // for messages: "/run/docker.sock", "127.0.0.1:8080"
  std::string host;  // the "Host" field of requests that do not bring their own
  /// Throws Error(unreachable) "cannot connect to <name>: <cause>".
  std::function<Task<std::unique_ptr<ByteStream>>()> open;
};

Connector unix_connector(std::string path);
/// `host` is an address or a name to look up.
Connector tcp_connector(std::string host, std::uint16_t port);
/// The same with TLS 1.2 or later around it. The other side's certificate must be for `host` and vouched for by an
/// authority of the system's (SSL_CERT_FILE and SSL_CERT_DIR name others, as ever); else open throws Error(failed).
Connector tls_connector(std::string host, std::uint16_t port);

/// Hears of each part of a decoded body as it arrives; parts are never empty. What it throws ends the call.
using OnPart = std::function<void(std::string_view part)>;

class Client {
 public:
  /// Of the body that stream() collects of an answer that is not 2xx.
  static constexpr std::size_t error_body_bytes_max = 64 * 1024;

  explicit Client(Connector connector) : connector_(std::move(connector)) {}

  const std::string& name() const noexcept { return connector_.name; }

  /// Sends one request and returns the whole answer, whatever its status. `deadline` covers all of it, connecting
  /// included. Throws Error: unreachable (no connection, or it ended before the answer did), timed_out, cancelled,
  /// failed (the answer is not HTTP, or its body is larger than `body_bytes_max`), and whatever request.body_source
  /// throws. Fields "Host", "Connection" and the body's length are set here. An answer that comes before
  /// request.body_source is at its end ends the upload.
  Task<Response> send(Request request, std::chrono::milliseconds deadline, std::size_t body_bytes_max = 1 << 20);

  /// As send, but hands the body of a 2xx answer to `on_part` as it arrives, and returns (with an empty body) at its
  /// end. The body of any other answer is in the response, cut off at error_body_bytes_max. `header_deadline` covers
  /// the time until the answer's header is there, an upload included; `idle_deadline`, where given, the time between
  /// two parts after that.
  Task<Response> stream(Request request, OnPart on_part, std::chrono::milliseconds header_deadline,
                        std::optional<std::chrono::milliseconds> idle_deadline = std::nullopt);

 private:
  Connector connector_;
};

}  // namespace deploy::http
