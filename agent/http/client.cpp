#include "agent/http/client.hpp"

#include <algorithm>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <utility>

#include "agent/base/error.hpp"

namespace deploy::http {

namespace {

namespace beast = boost::beast;

constexpr std::size_t part_bytes = 64 * 1024;
constexpr std::uint32_t header_bytes_max = 64 * 1024;

using View = beast::string_view;
using Code = beast::error_code;

/// Collects what Beast's parser recognises. Decoded body bytes wait in `body` until they are taken.
class AnswerParser final : public beast::http::basic_parser<false> {
 public:
  explicit AnswerParser(bool body_expected) {
    body_limit(boost::none);  // limits are the caller's
    header_limit(header_bytes_max);
    eager(true);
    if (!body_expected) skip(true);
  }

  Response answer;
  std::string body;

 private:
  void on_request_impl(beast::http::verb, View, View, int, Code&) override {}
  void on_response_impl(int code, View, int, Code&) override { answer.status = code; }
  void on_field_impl(beast::http::field, View name, View value, Code&) override {
    // Fields after the body (trailers) say nothing that we use.
    if (!is_header_done()) answer.headers.emplace(std::string(name), std::string(value));
  }
  void on_header_impl(Code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, Code&) override {}
  std::size_t on_body_impl(View part, Code&) override {
    body.append(part.data(), part.size());
    return part.size();
  }
  void on_chunk_header_impl(std::uint64_t, View, Code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, View part, Code&) override {
    body.append(part.data(), part.size());
    return part.size();
  }
  void on_finish_impl(Code&) override {}
};

bool printable(std::string_view text, char lowest) {
  return std::all_of(text.begin(), text.end(), [lowest](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= static_cast<unsigned char>(lowest) && byte != 127;
  });
}

void add_field(std::string& head, std::string_view name, std::string_view value) {
  // A tab inside a value is legal, and nobody needs it.
  if (name.empty() || !printable(name, '!') || name.find(':') != std::string_view::npos || !printable(value, ' ')) {
    throw Error(ErrorKind::invalid,
                "the HTTP field \"" + std::string(name) + "\" holds a character that is not allowed");
  }
  head.append(name).append(": ").append(value).append("\r\n");
}

std::string request_head(const Request& request, const std::string& host) {
  if (request.method.empty() || !printable(request.method, '!')) {
    throw Error(ErrorKind::invalid, "the HTTP method holds a character that is not allowed");
  }
  if (request.target.empty() || !printable(request.target, '!')) {
    throw Error(ErrorKind::invalid,
                "the HTTP target " + std::string(request.path()) + " holds a character that must be encoded");
  }
  std::string head = request.method + " " + request.target + " HTTP/1.1\r\n";
  if (request.header("Host").empty()) add_field(head, "Host", host);
  for (const auto& [name, value] : request.headers) add_field(head, name, value);
  add_field(head, "Connection", "close");
  const bool has_body = !request.body.empty() || request.method == "POST" || request.method == "PUT";
  if (request.body_source) {
    add_field(head, "Transfer-Encoding", "chunked");
  } else if (has_body) {
    add_field(head, "Content-Length", std::to_string(request.body.size()));
  }
  return head + "\r\n";
}

/// "GET /v1.41/info of /run/docker.sock"; without the query, which may hold secrets.
std::string describe(const Request& request, const std::string& name) {
  return request.method + " " + std::string(request.path()) + " of " + name;
}

/// One request and its answer.
struct Exchange {
  std::string what;
  std::string host;
  Request request;
  std::unique_ptr<ByteStream> stream;
  std::optional<AnswerParser> parser;
  std::string unparsed;
  std::string read_buffer = std::string(part_bytes, '\0');
  std::exception_ptr upload_failure;
};

using SharedExchange = std::shared_ptr<Exchange>;

std::string chunk_of(const std::string& part) {
  static constexpr std::string_view digits = "0123456789abcdef";
  std::string size;
  for (auto rest = part.size(); rest != 0; rest >>= 4) size.insert(size.begin(), digits[rest & 15]);
  return size + "\r\n" + part + "\r\n";
}

/// Writes `bytes`; false where the other side takes no more, which it may do once it has answered.
Task<bool> write_unless_closed(SharedExchange exchange, std::string bytes) {
  try {
    co_await exchange->stream->write(asio::buffer(bytes));
    co_return true;
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::unreachable) throw;
    exchange->upload_failure = std::current_exception();
  }
  co_return false;
}

Task<void> upload(SharedExchange exchange) {
  std::string head = request_head(exchange->request, exchange->host);
  if (!exchange->request.body_source) {
    head += exchange->request.body;
    co_await write_unless_closed(exchange, std::move(head));
    co_return;
  }
  bool open = co_await write_unless_closed(exchange, std::move(head));
  while (open) {
    auto part = co_await exchange->request.body_source->next();
    std::string chunk = part ? chunk_of(*part) : "0\r\n\r\n";
    open = co_await write_unless_closed(exchange, std::move(chunk));
    if (!part) co_return;
  }
}

/// Uploads, then waits to be cancelled: the answer's end is the end, not the upload's.
Task<void> upload_and_wait(SharedExchange exchange) {
  co_await upload(std::move(exchange));
  co_await sleep_real(std::chrono::hours(24 * 365));
}

[[noreturn]] void throw_malformed(const Exchange& exchange, const Code& code) {
  throw Error(ErrorKind::failed, exchange.what + ": the answer is not valid HTTP: " + code.message());
}

void parse_pending(Exchange& exchange) {
  auto& parser = *exchange.parser;
  while (!exchange.unparsed.empty() && !parser.is_done()) {
    Code code;
    const std::size_t used = parser.put(asio::buffer(exchange.unparsed), code);
    exchange.unparsed.erase(0, used);
    if (code == beast::http::error::need_more) return;
    if (code) throw_malformed(exchange, code);
    if (used == 0) return;
  }
}

/// Reads once and parses what came.
Task<void> read_more(SharedExchange exchange) {
  const std::size_t count = co_await exchange->stream->read_some(asio::buffer(exchange->read_buffer));
  if (count > 0) {
    exchange->unparsed.append(exchange->read_buffer, 0, count);
    parse_pending(*exchange);
    co_return;
  }
  auto& parser = *exchange->parser;
  Code code = beast::http::error::partial_message;
  if (parser.is_header_done() && parser.need_eof()) {
    code = {};
    parser.put_eof(code);
  }
  if (code) {
    throw Error(ErrorKind::unreachable, exchange->what + ": the connection was closed before the end of the answer");
  }
}

Task<void> read_header(SharedExchange exchange) {
  for (;;) {
    exchange->parser.emplace(exchange->request.method != "HEAD");
    parse_pending(*exchange);
    while (!exchange->parser->is_header_done()) co_await read_more(exchange);
    // 1xx answers come before the real one (RFC 9110, 15.2).
    if (exchange->parser->answer.status >= 200) co_return;
  }
}

/// Hands out decoded parts until the answer's end.
Task<void> read_body(SharedExchange exchange, OnPart on_part, std::optional<std::chrono::milliseconds> idle_deadline) {
  for (;;) {
    const std::string part = std::exchange(exchange->parser->body, {});
    if (!part.empty()) on_part(part);
    if (exchange->parser->is_done()) co_return;
    if (idle_deadline) {
      co_await with_deadline(read_more(exchange), *idle_deadline, exchange->what + ": the next part of the answer");
    } else {
      co_await read_more(exchange);
    }
  }
}

Task<Response> receive(SharedExchange exchange, std::size_t body_bytes_max) {
  co_await read_header(exchange);
  Response answer = std::exchange(exchange->parser->answer, {});
  OnPart collect = [&answer, &exchange, body_bytes_max](std::string_view part) {
    if (answer.body.size() + part.size() > body_bytes_max) {
      throw Error(ErrorKind::failed,
                  exchange->what + ": the answer is larger than " + std::to_string(body_bytes_max) + " bytes");
    }
    answer.body += part;
  };
  co_await read_body(exchange, collect, std::nullopt);
  co_return answer;
}

struct StreamLimits {
  std::chrono::milliseconds header;
  std::optional<std::chrono::milliseconds> idle;
};

Task<Response> receive_stream(SharedExchange exchange, OnPart on_part, StreamLimits limits) {
  co_await with_deadline(read_header(exchange), limits.header, exchange->what);
  Response answer = std::exchange(exchange->parser->answer, {});
  if (answer.status >= 200 && answer.status < 300) {
    co_await read_body(exchange, std::move(on_part), limits.idle);
    co_return answer;
  }
  OnPart collect = [&answer](std::string_view part) {
    answer.body += part.substr(0, Client::error_body_bytes_max - answer.body.size());
  };
  const auto idle = limits.idle ? limits.idle : limits.header;
  co_await read_body(exchange, collect, idle);
  co_return answer;
}

Task<SharedExchange> open_exchange(Connector connector, Request request) {
  auto exchange = std::make_shared<Exchange>();
  exchange->what = describe(request, connector.name);
  exchange->host = connector.host;
  exchange->request = std::move(request);
  exchange->stream = co_await connector.open();
  co_return exchange;
}

/// Runs the two directions beside each other: an answer may come, and the connection close, while we still upload.
Task<Response> both_ways(SharedExchange exchange, Task<Response> answer) {
  auto result = co_await first_of(std::move(answer), upload_and_wait(exchange));
  // The upload ends only by an exception, which first_of has thrown, or after a year.
  if (!result) throw Error(ErrorKind::timed_out, exchange->what + " took longer than a year");
  co_return std::move(*result);
}

Task<Response> send_all(Connector connector, Request request, std::size_t body_bytes_max) {
  auto exchange = co_await open_exchange(std::move(connector), std::move(request));
  co_return co_await both_ways(exchange, receive(exchange, body_bytes_max));
}

}  // namespace

Task<Response> Client::send(Request request, std::chrono::milliseconds deadline, std::size_t body_bytes_max) {
  std::string what = describe(request, connector_.name);
  auto work = send_all(connector_, std::move(request), body_bytes_max);
  co_return co_await with_deadline(std::move(work), deadline, std::move(what));
}

Task<Response> Client::stream(Request request, OnPart on_part, std::chrono::milliseconds header_deadline,
                              std::optional<std::chrono::milliseconds> idle_deadline) {
  std::string what = describe(request, connector_.name);
  auto opening = open_exchange(connector_, std::move(request));
  auto exchange = co_await with_deadline(std::move(opening), header_deadline, std::move(what));
  const StreamLimits limits{header_deadline, idle_deadline};
  co_return co_await both_ways(exchange, receive_stream(exchange, std::move(on_part), limits));
}

}  // namespace deploy::http
