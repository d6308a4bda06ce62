// A client that writes and reads bytes as it is told, for requests that no HTTP library would send.
#pragma once

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/write.hpp>
#include <catch2/catch_all.hpp>
#include <string>
#include <string_view>

#include "agent/base/async.hpp"

namespace deploy::tests {

/// Reads give up after 10 s with Error(timed_out), so that a failing test ends.
class RawClient {
 public:
  RawClient(const asio::any_io_executor& executor, std::uint16_t port) : socket_(executor) {
    socket_.connect(asio::ip::tcp::endpoint(asio::ip::address_v4::loopback(), port));
  }
  RawClient(const asio::any_io_executor& executor, const std::string& path) : socket_(executor) {
    socket_.connect(asio::local::stream_protocol::endpoint(path));
  }

  /// False where the other side has closed.
  Task<bool> write(std::string text) {
    auto [error, size] = co_await asio::async_write(socket_, asio::buffer(text), as_result);
    co_return !error;
  }

  /// Everything up to and including `mark`; less where the connection ends before.
  Task<std::string> read_to(std::string mark) {
    std::string what = "reading";
    co_return co_await with_deadline(read_to_unlimited(std::move(mark)), std::chrono::seconds(10), std::move(what));
  }

  /// Everything until the other side closes.
  Task<std::string> read_all() {
    std::string never;
    never.assign("\0never\0", 7);
    co_return co_await read_to(never);
  }

  /// One response with Content-Length: its status line and its body.
  Task<std::pair<std::string, std::string>> response() {
    const std::string head = co_await read_to("\r\n\r\n");
    const std::string name = "Content-Length: ";
    const auto at = head.find(name);
    std::size_t length = at == std::string::npos ? 0 : std::stoul(head.substr(at + name.size()));
    std::string body;
    while (body.size() < length) {
      // Byte by byte is enough for tests.
      const std::string byte = co_await read_bytes(1);
      if (byte.empty()) break;
      body += byte;
    }
    co_return std::pair(head.substr(0, head.find("\r\n")), body);
  }

  /// Reads as far as `text` goes and checks that it is this text.
  Task<void> expect(std::string text) {
    const std::string got = co_await read_to(text);
    CHECK(got == text);
  }

  /// Reads one response with Content-Length and checks its status line and body.
  Task<void> expect_response(std::string status_line, std::string body) {
    const auto got = co_await response();
    CHECK(got.first == status_line);
    CHECK(got.second == body);
  }

  /// Checks that the other side closes and what it sends before.
  Task<void> expect_last(std::string text) {
    const std::string got = co_await read_all();
    CHECK(got == text);
  }

  void end_writing() { socket_.shutdown(asio::socket_base::shutdown_send); }
  void close() { socket_.close(); }

 private:
  Task<std::string> read_to_unlimited(std::string mark) {
    for (;;) {
      const auto found = pending_.find(mark);
      if (found != std::string::npos) co_return take(found + mark.size());
      const bool got = co_await more();
      if (!got) co_return take(pending_.size());
    }
  }

  Task<std::string> read_bytes(std::size_t count) {
    while (pending_.size() < count) {
      std::string what = "reading";
      const bool got = co_await with_deadline(more(), std::chrono::seconds(10), std::move(what));
      if (!got) break;
    }
    co_return take(std::min(count, pending_.size()));
  }

  Task<bool> more() {
    std::array<char, 4096> part{};
    auto [error, size] = co_await socket_.async_read_some(asio::buffer(part), as_result);
    pending_.append(part.data(), size);
    co_return !error;
  }

  std::string take(std::size_t count) {
    std::string taken = pending_.substr(0, count);
    pending_.erase(0, count);
    return taken;
  }

  asio::generic::stream_protocol::socket socket_;
  std::string pending_;
};

}  // namespace deploy::tests
