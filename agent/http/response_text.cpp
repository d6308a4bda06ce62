#include "agent/http/response_text.hpp"

#include <fmt/format.h>

#include <array>
#include <boost/beast/http/status.hpp>
#include <ctime>

namespace deploy::http {

namespace {

bool set_by_server(std::string_view name) {
  static const Headers names{{"Connection", ""}, {"Content-Length", ""}, {"Date", ""}, {"Transfer-Encoding", ""}};
  return names.contains(name);
}

/// IMF-fixdate (RFC 9110, 5.6.7).
std::string date() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  std::array<char, 40> text{};
  const auto length = std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  return {text.data(), length};
}

}  // namespace

std::string response_head(const Response& response, Framing framing, bool keep_alive) {
  namespace beast_http = boost::beast::http;
  const auto reason = beast_http::obsolete_reason(beast_http::int_to_status(static_cast<unsigned>(response.status)));
  auto head = fmt::format("HTTP/1.1 {} {}\r\nDate: {}\r\n", response.status,
                          std::string_view(reason.data(), reason.size()), date());
  for (const auto& [name, value] : response.headers) {
    if (set_by_server(name)) continue;
    head += name + ": ";
    for (const char c : value) head += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
    head += "\r\n";
  }
  if (framing == Framing::length) head += fmt::format("Content-Length: {}\r\n", response.body.size());
  if (framing == Framing::chunked) head += "Transfer-Encoding: chunked\r\n";
  head += keep_alive ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n";
  return head;
}

std::string chunk(std::string_view part) { return fmt::format("{:x}\r\n{}\r\n", part.size(), part); }

bool bodyless(int status) noexcept { return status < 200 || status == 204 || status == 304; }

}  // namespace deploy::http
