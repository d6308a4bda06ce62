// A git server over TLS on loopback: `git http-backend` behind a few lines of HTTP, or one canned answer.
// One request a connection; its certificate is for "localhost", signed by itself.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>

#include "agent/base/async.hpp"

namespace deploy::tests {

struct HttpsServerOptions {
  std::filesystem::path repositories;                          // served below /
  std::string token;                                           // asked for where it is not empty
  std::string canned;                                          // a whole answer, headers included, in place of all that
  std::function<std::string(const std::string& head)> answer;  // the same, made of the request; on the server's thread
};

class HttpsServer {
 public:
  /// Makes its certificate in `folder`.
  HttpsServer(std::filesystem::path folder, HttpsServerOptions options);
  ~HttpsServer();

  std::string certificate() const { return folder_ / "certificate.pem"; }
  /// https://localhost:port/path
  std::string url(const std::string& path) const;

 private:
  Task<void> accept_all();
  Task<void> serve(boost::asio::ip::tcp::socket socket);
  Task<std::string> answer(std::string head, std::string body);

  std::filesystem::path folder_;
  HttpsServerOptions options_;
  boost::asio::io_context context_;
  boost::asio::ssl::context tls_;
  boost::asio::ip::tcp::acceptor acceptor_;
  std::thread thread_;
};

}  // namespace deploy::tests
