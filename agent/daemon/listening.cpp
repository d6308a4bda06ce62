#include "agent/daemon/listening.hpp"

#include <spdlog/spdlog.h>

#include <string>

#include "agent/daemon/folders.hpp"

namespace deploy::daemon {

namespace {

constexpr std::size_t webhook_body_bytes_max = 25 * 1024 * 1024;  // GitHub sends no more
constexpr std::size_t webhook_connections_max = 32;               // each may hold a whole body, on a box of 2 GB
/// Nginx's workers, which pass webhooks on, run as another user; what they pass is signed.
constexpr mode_t webhook_socket_mode = 0666;

}  // namespace

http::Limits webhook_limits() {
  http::Limits limits;
  limits.body_bytes_max = webhook_body_bytes_max;
  limits.connections_max = webhook_connections_max;
  return limits;
}

void listen_for_commands(http::Server& server, const config::SocketSettings& settings) {
  http::UnixSocketSpec socket;
  socket.path = settings.path.string();
  socket.group = settings.group;
  make_folder(settings.path.parent_path(), "socket.path");
  server.listen_unix(socket);
}

void listen_for_webhooks(http::Server& server, const config::WebhookSettings& webhook) {
  if (webhook.unix_socket.empty()) {
    const bool ipv6 = webhook.address.find(':') != std::string::npos;
    const auto host = ipv6 ? "[" + webhook.address + "]" : webhook.address;
    const auto port = server.listen_tcp(host + ":" + std::to_string(webhook.port));
    spdlog::info("listening for webhooks on {}:{}{}", host, port, webhook.path);
  } else {
    http::UnixSocketSpec socket;
    socket.path = webhook.unix_socket.string();
    socket.mode = webhook_socket_mode;
    server.listen_unix(socket);
    spdlog::info("listening for webhooks on unix:{}, {}", socket.path, webhook.path);
  }
}

}  // namespace deploy::daemon
