#include "tests/source/https_server.hpp"

#include <openssl/evp.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>
#include <utility>

#include "agent/base/process.hpp"
#include "agent/base/text.hpp"
#include "tests/source/mirror_fixture.hpp"

namespace deploy::tests {

namespace fs = std::filesystem;
using boost::asio::ip::tcp;
using TlsStream = boost::asio::ssl::stream<tcp::socket>;

namespace {

std::string field(const std::string& head, std::string_view name) {
  for (const std::string& line : split_lines(head)) {
    if (line.starts_with(name)) return std::string(trim(std::string_view(line).substr(name.size())));
  }
  return "";
}

std::string base64(std::string_view text) {
  std::string encoded(4 * (text.size() / 3 + 1) + 1, '\0');
  const int length =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(encoded.data()),
                      reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  encoded.resize(static_cast<std::size_t>(length));
  return encoded;
}

}  // namespace

HttpsServer::HttpsServer(fs::path folder, HttpsServerOptions options)
    : folder_(std::move(folder)),
      options_(std::move(options)),
      tls_(boost::asio::ssl::context::tls_server),
      acceptor_(context_, tcp::endpoint(boost::asio::ip::address_v4::loopback(), 0)) {
  fs::create_directories(folder_);
  const std::string key = folder_ / "key.pem";
  run_program({"openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
               "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate()});
  tls_.use_certificate_file(certificate(), boost::asio::ssl::context::pem);
  tls_.use_private_key_file(key, boost::asio::ssl::context::pem);
  asio::co_spawn(context_, accept_all(), [](std::exception_ptr) {});
  thread_ = std::thread([this] { context_.run(); });
}

HttpsServer::~HttpsServer() {
  context_.stop();
  thread_.join();
}

std::string HttpsServer::url(const std::string& path) const {
  return "https://localhost:" + std::to_string(acceptor_.local_endpoint().port()) + path;
}

Task<void> HttpsServer::accept_all() {
  while (true) {
    tcp::socket socket = co_await acceptor_.async_accept(asio::use_awaitable);
    asio::co_spawn(context_, serve(std::move(socket)), [](std::exception_ptr) {});
  }
}

Task<void> HttpsServer::serve(tcp::socket socket) {
  TlsStream stream(std::move(socket), tls_);
  co_await stream.async_handshake(boost::asio::ssl::stream_base::server, asio::use_awaitable);
  std::string input;
  const std::size_t head_bytes =
      co_await asio::async_read_until(stream, asio::dynamic_buffer(input), "\r\n\r\n", asio::use_awaitable);
  const std::string head = input.substr(0, head_bytes);
  std::string body = input.substr(head_bytes);
  const std::string length = field(head, "Content-Length:");
  if (!length.empty() && std::stoul(length) > body.size()) {
    const std::size_t have = body.size();
    body.resize(std::stoul(length));
    co_await asio::async_read(stream, asio::buffer(body.data() + have, body.size() - have), asio::use_awaitable);
  }
  const std::string reply = co_await answer(head, body);
  co_await asio::async_write(stream, asio::buffer(reply), asio::use_awaitable);
  boost::system::error_code ignored;
  auto token = asio::redirect_error(asio::use_awaitable, ignored);
  co_await stream.async_shutdown(token);
}

Task<std::string> HttpsServer::answer(std::string head, std::string body) {
  if (options_.answer) co_return options_.answer(head);
  if (!options_.canned.empty()) co_return options_.canned;
  if (!options_.token.empty() &&
      field(head, "Authorization:") != "Basic " + base64("x-access-token:" + options_.token)) {
    co_return "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"git\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
  }
  // The request line: METHOD TARGET VERSION. What git http-backend is told and answers is CGI (RFC 3875).
  const auto first = head.find(' ');
  const std::string target = head.substr(first + 1, head.find(' ', first + 1) - first - 1);
  const auto question = target.find('?');
  ProcessOptions backend;
  backend.argv = {"git", "http-backend"};
  backend.standard_input = std::move(body);
  backend.output_bytes_max = 64 << 20;  // a whole pack
  backend.environment = {{"GIT_PROJECT_ROOT", options_.repositories.string()},
                         {"GIT_HTTP_EXPORT_ALL", "1"},
                         {"REQUEST_METHOD", head.substr(0, first)},
                         {"PATH_INFO", target.substr(0, question)},
                         {"QUERY_STRING", question == std::string::npos ? "" : target.substr(question + 1)},
                         {"CONTENT_TYPE", field(head, "Content-Type:")},
                         {"CONTENT_LENGTH", std::to_string(backend.standard_input.size())}};
  const ProcessOutcome outcome = co_await run_process(std::move(backend));
  const auto end = outcome.output.find("\r\n\r\n");
  const std::string headers = outcome.output.substr(0, end);
  const std::string content = end == std::string::npos ? "" : outcome.output.substr(end + 4);
  const std::string status = field(headers, "Status:");
  co_return "HTTP/1.1 " + (status.empty() ? "200 OK" : status) +
      "\r\nConnection: close\r\nContent-Length: " + std::to_string(content.size()) + "\r\n" + headers + "\r\n\r\n" +
      content;
}

}  // namespace deploy::tests
