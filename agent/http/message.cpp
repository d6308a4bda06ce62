#include "agent/http/message.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <nlohmann/json.hpp>
#include <utility>

namespace deploy::http {

namespace {

int lower(char c) { return std::tolower(static_cast<unsigned char>(c)); }

const std::string& value_or_empty(const Headers& headers, std::string_view name) {
  static const std::string empty;
  const auto found = headers.find(name);
  return found == headers.end() ? empty : found->second;
}

std::optional<int> hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const int letter = lower(c);
  if (letter >= 'a' && letter <= 'f') return letter - 'a' + 10;
  return std::nullopt;
}

int status_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::invalid:
      return 400;
    case ErrorKind::not_found:
      return 404;
    case ErrorKind::conflict:
      return 409;
    case ErrorKind::unreachable:
      return 503;
    case ErrorKind::timed_out:
      return 504;
    case ErrorKind::failed:
    case ErrorKind::cancelled:
    case ErrorKind::disk_full:
    case ErrorKind::in_doubt:
      return 500;
  }
  return 500;
}

}  // namespace

bool CaseInsensitiveLess::operator()(std::string_view left, std::string_view right) const noexcept {
  return std::lexicographical_compare(left.begin(), left.end(), right.begin(), right.end(),
                                      [](char a, char b) { return lower(a) < lower(b); });
}

const std::string& Request::header(std::string_view name) const { return value_or_empty(headers, name); }

std::string_view Request::path() const { return std::string_view(target).substr(0, target.find('?')); }

std::string Request::query(std::string_view name, std::string fallback) const {
  const auto mark = target.find('?');
  if (mark == std::string::npos) return fallback;
  std::string_view rest = std::string_view(target).substr(mark + 1);
  while (!rest.empty()) {
    const auto pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
    const auto equals = std::min(pair.find('='), pair.size());
    if (url_decode(pair.substr(0, equals)) != name) continue;
    return url_decode(pair.substr(std::min(equals + 1, pair.size()))).value_or(fallback);
  }
  return fallback;
}

const std::string& Response::header(std::string_view name) const { return value_or_empty(headers, name); }

Response json_response(int status, std::string body) {
  Response response;
  response.status = status;
  response.headers["Content-Type"] = "application/json";
  response.body = std::move(body);
  return response;
}

Response error_response(int status, std::string_view kind, std::string_view message) {
  const nlohmann::json body{{"error", {{"kind", kind}, {"message", message}}}};
  // A message can quote bytes of a program's output that are not UTF-8; they must not turn the answer into an
  // exception.
  return json_response(status, body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

Response error_response(const Error& error) {
  return error_response(status_of(error.kind()), error_kind_name(error.kind()), error.message());
}

std::optional<std::string> url_decode(std::string_view text) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+') {
      decoded += ' ';
    } else if (text[i] != '%') {
      decoded += text[i];
    } else {
      if (i + 2 >= text.size()) return std::nullopt;
      const auto high = hex_digit(text[i + 1]);
      const auto low = hex_digit(text[i + 2]);
      if (!high || !low) return std::nullopt;
      decoded += static_cast<char>(*high * 16 + *low);
      i += 2;
    }
  }
  return decoded;
}

std::string url_encode(std::string_view text) {
  static constexpr std::string_view digits = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 || c == '-' || c == '.' || c == '_' || c == '~') {
      encoded += c;
    } else {
      encoded += '%';
      encoded += digits[byte >> 4];
      encoded += digits[byte & 15];
    }
  }
  return encoded;
}

}  // namespace deploy::http
