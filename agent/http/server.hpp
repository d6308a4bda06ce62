// An HTTP/1.1 server on TCP and unix sockets, for the webhook and the agent's own API. Every connection is a task of
// one group: nothing outlives stop(). One thread: listen, stop and the handler run on the executor's. Source: RFC 9112.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "agent/base/async.hpp"
#include "agent/http/listeners.hpp"
#include "agent/http/message.hpp"

namespace deploy::http {

struct Limits {
  std::size_t header_bytes_max = 16 * 1024;  // request line and fields; more is answered 431
  std::size_t body_bytes_max = 1024 * 1024;  // more is answered 413
  std::size_t connections_max = 256;         // beyond it new ones wait; the longest idle one is closed for them
  std::chrono::milliseconds header_deadline{
      10000};                                       // from a request's first byte (on a new connection: from the start)
  std::chrono::milliseconds body_deadline{60000};   // from the end of the header
  std::chrono::milliseconds idle_deadline{75000};   // between requests
  std::chrono::milliseconds write_deadline{30000};  // for each write: a whole response, or one part of a stream
  std::chrono::milliseconds linger_deadline{5000};  // reading on after a refusal, so that the client gets to see it
};

class Server {
 public:
  /// Runs at most once at a time for each connection. An Error it throws is answered as error_response says; whatever
  /// else it throws is logged and answered 500 without its message.
  using Handler = std::function<Task<Response>(Request)>;

  Server(asio::any_io_executor executor, Limits limits, Handler handler);
  /// After stop() returned, or when the executor runs nothing any more.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Serves on "127.0.0.1:9010" or "[::1]:9010"; port 0 chooses one. Returns the port. Throws Error(invalid, conflict,
  /// failed).
  std::uint16_t listen_tcp(const std::string& host_port);

  /// Serves on a socket file, which stop() removes. Throws Error(invalid, conflict, not_found, failed).
  void listen_unix(const UnixSocketSpec& spec);

  /// Accepts nothing more, closes idle connections, lets requests in progress end within `grace`, then cancels the
  /// rest. Streams that are still open are cut at the end of `grace`.
  Task<void> stop(std::chrono::milliseconds grace);

  /// Connections that are open now.
  std::size_t connections() const noexcept;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace deploy::http
