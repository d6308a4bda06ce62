// HTTP requests and responses as the project's own plain data, so that Beast is included in few files.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "agent/base/async.hpp"
#include "agent/base/error.hpp"

namespace deploy::http {

struct CaseInsensitiveLess {
  using is_transparent = void;
  bool operator()(std::string_view left, std::string_view right) const noexcept;
};

/// Field names compare without regard to case (RFC 9110, 5.1). A repeated field keeps its first value.
using Headers = std::map<std::string, std::string, CaseInsensitiveLess>;

/// Parts of a body as they are asked for; the end is an empty optional. Parts are never empty.
class BodySource {
 public:
  virtual ~BodySource() = default;
  virtual Task<std::optional<std::string>> next() = 0;
};

struct Request {
  std::string method = "GET";
  std::string target = "/";  // path and query as sent
  Headers headers;
  std::string body;
  std::shared_ptr<BodySource> body_source;  // client only: sent chunked in place of `body`
  std::string peer;                         // server only: the user at the other end of a unix socket; else empty

  /// The header's value, or "" where it is absent.
  const std::string& header(std::string_view name) const;
  /// The target before '?'.
  std::string_view path() const;
  /// The decoded value of a query parameter, or `fallback`.
  std::string query(std::string_view name, std::string fallback = "") const;
};

struct Response {
  int status = 200;
  Headers headers;
  std::string body;
  std::shared_ptr<BodySource> body_source;  // server only: sent chunked in place of `body`, each part at once

  const std::string& header(std::string_view name) const;
};

/// application/json with this body.
Response json_response(int status, std::string body);

/// {"error":{"kind":…,"message":…}}: how every error is answered. `kind` is the stored name of an ErrorKind.
Response error_response(int status, std::string_view kind, std::string_view message);
/// The same with the error's own kind and message: invalid is 400, not_found 404, conflict 409, timed_out 504, others
/// 500.
Response error_response(const Error& error);

/// application/x-www-form-urlencoded decoding of one value; nullopt where an escape is malformed.
std::optional<std::string> url_decode(std::string_view text);
/// Percent-encodes everything but unreserved characters (RFC 3986, 2.3).
std::string url_encode(std::string_view text);

}  // namespace deploy::http
