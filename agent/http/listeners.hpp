// Sockets to accept connections on.
#pragma once

#include <sys/types.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <string>

#include "agent/base/async.hpp"

namespace deploy::http {

struct UnixSocketSpec {
  std::string path;
  mode_t mode = 0660;  // permission bits
  std::string group;   // name; empty: the process's own
};

/// Binds "address:port" ("[address]:port" for IPv6; "localhost" is 127.0.0.1) and listens. Throws Error: invalid where
/// it cannot be read, conflict where the port is taken, failed else.
asio::ip::tcp::acceptor bind_tcp(const asio::any_io_executor& executor, const std::string& host_port);

/// A listening unix socket and its file.
class UnixListener {
 public:
  /// Replaces a socket file that nobody answers on. The file has its mode and group before the first connection is
  /// possible. Throws Error: conflict where somebody answers or the file is not a socket, not_found where the group or
  /// the folder does not exist, invalid where the path is too long, failed else.
  UnixListener(const asio::any_io_executor& executor, UnixSocketSpec spec);
  /// Removes the file where it is still this one.
  ~UnixListener();
  UnixListener(const UnixListener&) = delete;
  UnixListener& operator=(const UnixListener&) = delete;

  asio::local::stream_protocol::acceptor acceptor;

 private:
  std::string path_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

/// The name of the user whose process connected (SO_PEERCRED, unix(7)), or "uid 1000" where it has none; "" for what is
/// no unix socket.
std::string peer_user(int socket);

}  // namespace deploy::http
