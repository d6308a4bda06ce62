// A load generator of strict clients: none ever sends a request twice, so each request that a rollout drops is counted.
//
// Open loop: every connection sends at its own fixed times, whatever the answers do; latency counts from the time a
// request was due. A connection that the server closed while nothing was under way is opened again, as any client does.
// Failed is: no connection, a reset or end of stream while a request is under way, no whole answer within 10 s, a
// status other than 2xx, a WebSocket that does not end with the message "end".
//
// The report (JSON) is written to --report at the end, and at each SIGUSR1. Times are milliseconds since 1970.
#include <sys/socket.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket.hpp>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;
using std::chrono::steady_clock;
using std::chrono::system_clock;
using namespace std::chrono_literals;

constexpr std::size_t errors_listed_max = 200;

struct Kind {
  std::string name;
  bool keep_alive = true;
  bool post = false;
  bool websocket = false;
};

const std::vector<Kind> all_kinds = {{"keepalive-get", true, false},
                                     {"keepalive-post", true, true},
                                     {"new-get", false, false},
                                     {"new-post", false, true},
                                     {"websocket", false, false, true}};

struct Options {
  std::string host;  // where to connect
  std::string port;
  std::string host_header;
  double rate = 100;
  int connections = 8;
  double seconds = 0;  // 0: until SIGTERM
  std::vector<std::string> kinds;
  std::vector<std::string> get_paths{"/"};
  std::vector<std::string> post_paths{"/"};
  std::vector<std::string> socket_paths{"/"};
  std::string post_body = "{}";
  std::string report;
};

std::int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(system_clock::now().time_since_epoch()).count();
}

struct Seen {
  std::int64_t count = 0;
  std::int64_t first_ms = 0;
  std::int64_t last_ms = 0;
};

/// What happened so far.
class Record {
 public:
  void success(const http::response<http::string_body>& answer, steady_clock::duration latency) {
    requests_++;
    latencies_us_.push_back(std::chrono::duration_cast<std::chrono::microseconds>(latency).count());
    const std::int64_t now = now_ms();
    if (last_success_ms_ != 0) longest_gap_ms_ = std::max(longest_gap_ms_, now - last_success_ms_);
    last_success_ms_ = now;
    Seen& seen = versions_[answer["X-Service"]][answer["X-Version"]];
    if (seen.count++ == 0) seen.first_ms = now;
    seen.last_ms = now;
  }

  void failure(const Kind& kind, const std::string& path, const std::string& error) {
    requests_++;
    failed_++;
    if (errors_.size() >= errors_listed_max) return;
    errors_.push_back({{"time", now_ms()}, {"kind", kind.name}, {"path", path}, {"error", error}});
  }

  void reopened() { reopened_++; }

  nlohmann::json report() const {
    std::vector<std::int64_t> sorted = latencies_us_;
    std::sort(sorted.begin(), sorted.end());
    auto percentile_ms = [&](double share) {
      if (sorted.empty()) return 0.0;
      const auto index = static_cast<std::size_t>(share * static_cast<double>(sorted.size() - 1));
      return static_cast<double>(sorted[index]) / 1000.0;
    };
    nlohmann::json versions = nlohmann::json::object();
    for (const auto& [service, counts] : versions_) {
      for (const auto& [version, seen] : counts) {
        versions[service][version] = {{"count", seen.count}, {"first", seen.first_ms}, {"last", seen.last_ms}};
      }
    }
    return {{"started", started_ms_},
            {"time", now_ms()},
            {"requests", requests_},
            {"failed", failed_},
            {"reopened", reopened_},
            {"errors", errors_},
            {"versions", versions},
            {"latency_ms", {{"p50", percentile_ms(0.5)}, {"p99", percentile_ms(0.99)}, {"max", percentile_ms(1.0)}}},
            {"longest_gap_ms", longest_gap_ms_}};
  }

 private:
  std::int64_t started_ms_ = now_ms();
  std::int64_t requests_ = 0;
  std::int64_t failed_ = 0;
  std::int64_t reopened_ = 0;
  std::int64_t last_success_ms_ = 0;
  std::int64_t longest_gap_ms_ = 0;
  std::vector<std::int64_t> latencies_us_;
  nlohmann::json errors_ = nlohmann::json::array();
  std::map<std::string, std::map<std::string, Seen>> versions_;
};

/// One client. It owns at most one connection.
class Client {
 public:
  Client(const Options& options, Record& record, Kind kind, asio::any_io_executor executor)
      : options_(options), record_(record), kind_(std::move(kind)), stream_(executor), resolver_(executor) {}

  /// One request and its answer; what goes wrong is recorded.
  asio::awaitable<void> request(std::size_t number, steady_clock::time_point due) {
    const auto& paths = kind_.websocket ? options_.socket_paths : kind_.post ? options_.post_paths : options_.get_paths;
    const std::string path = paths[number % paths.size()];
    std::string error;
    http::response<http::string_body> answer;
    try {
      stream_.expires_after(10s);
      if (!usable()) co_await connect();
      if (kind_.websocket) {
        answer = co_await listen(path);
      } else {
        answer = co_await exchange(path);
      }
      if (!kind_.websocket && http::to_status_class(answer.result()) != http::status_class::successful) {
        error = "status " + std::to_string(answer.result_int());
      }
    } catch (const boost::system::system_error& failure) {
      error = std::string(doing_) + ": " + failure.code().message();
      close();
    }
    if (error.empty()) {
      record_.success(answer, steady_clock::now() - due);
    } else {
      record_.failure(kind_, path, error);
    }
  }

 private:
  /// False where there is no connection, or the server closed it while nothing was under way.
  bool usable() {
    if (!stream_.socket().is_open()) return false;
    char byte = 0;
    const ssize_t got = ::recv(stream_.socket().native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return true;
    close();
    record_.reopened();
    return false;
  }

  asio::awaitable<void> connect() {
    doing_ = "resolve";
    auto addresses = co_await resolver_.async_resolve(options_.host, options_.port, asio::use_awaitable);
    doing_ = "connect";
    co_await stream_.async_connect(addresses, asio::use_awaitable);
    stream_.socket().set_option(tcp::no_delay(true));
  }

  asio::awaitable<http::response<http::string_body>> exchange(std::string path) {
    http::request<http::string_body> request(kind_.post ? http::verb::post : http::verb::get, path, 11);
    request.set(http::field::host, options_.host_header);
    request.keep_alive(kind_.keep_alive);
    if (kind_.post) {
      request.set(http::field::content_type, "application/json");
      request.body() = options_.post_body;
    }
    request.prepare_payload();
    doing_ = "send";
    co_await http::async_write(stream_, request, asio::use_awaitable);
    doing_ = "receive";
    http::response<http::string_body> answer;
    beast::flat_buffer buffer;
    co_await http::async_read(stream_, buffer, answer, asio::use_awaitable);
    if (!kind_.keep_alive || !answer.keep_alive()) close();
    co_return answer;
  }

  /// Reads a WebSocket until the server closes it. Returns the answer to its handshake.
  asio::awaitable<http::response<http::string_body>> listen(std::string path) {
    beast::websocket::stream<beast::tcp_stream&> socket(stream_);
    beast::websocket::response_type answer;
    doing_ = "open the WebSocket";
    co_await socket.async_handshake(answer, options_.host_header, path, asio::use_awaitable);
    doing_ = "read the WebSocket";
    std::string last;
    for (;;) {
      beast::flat_buffer buffer;
      auto [error, size] = co_await socket.async_read(buffer, asio::as_tuple(asio::use_awaitable));
      if (error == beast::websocket::error::closed && last == "end") break;
      if (error) throw boost::system::system_error(error);
      last = beast::buffers_to_string(buffer.data());
    }
    close();
    co_return answer;
  }

  void close() {
    boost::system::error_code ignored;
    stream_.socket().shutdown(tcp::socket::shutdown_both, ignored);
    stream_.close();
  }

  const Options& options_;
  Record& record_;
  Kind kind_;
  beast::tcp_stream stream_;
  tcp::resolver resolver_;
  const char* doing_ = "";
};

/// Sends at start + (k * connections + index) / rate until `stopping`.
asio::awaitable<void> run_client(const Options& options, Record& record, Kind kind, int index, const bool& stopping) {
  auto executor = co_await asio::this_coro::executor;
  Client client(options, record, std::move(kind), executor);
  asio::steady_timer timer(executor);
  const auto start = steady_clock::now();
  for (std::size_t k = 0; !stopping; k++) {
    const double due_s = (static_cast<double>(k) * options.connections + index) / options.rate;
    const auto due = start + std::chrono::duration_cast<steady_clock::duration>(std::chrono::duration<double>(due_s));
    if (options.seconds > 0 && due_s >= options.seconds) co_return;
    timer.expires_at(due);
    co_await timer.async_wait(asio::use_awaitable);
    if (stopping) co_return;
    co_await client.request(k, due);
  }
}

/// Renamed into place, so that a reader never sees half a report.
void write_report(const Options& options, const Record& record) {
  if (options.report.empty()) {
    std::cout << record.report().dump(2) << '\n';
    return;
  }
  const std::string part = options.report + ".part";
  std::ofstream(part) << record.report().dump(2) << '\n';
  std::filesystem::rename(part, options.report);
}

asio::awaitable<void> serve_signals(asio::signal_set& signals, const Options& options, const Record& record,
                                    bool& stopping) {
  while (!stopping) {
    const int signal = co_await signals.async_wait(asio::use_awaitable);
    if (signal == SIGUSR1) {
      write_report(options, record);
    } else {
      stopping = true;
    }
  }
}

Options parse(int argc, char** argv) {
  CLI::App app{"load: strict HTTP clients at a constant rate"};
  Options options;
  std::string target;
  app.add_option("--target", target, "HOST:PORT")->required();
  app.add_option("--host", options.host_header, "Host header (default: HOST)");
  app.add_option("--rate", options.rate, "requests per second, over all connections")->check(CLI::PositiveNumber);
  app.add_option("--connections", options.connections)->check(CLI::PositiveNumber);
  app.add_option("--seconds", options.seconds, "0: until SIGTERM");
  app.add_option("--kinds", options.kinds, "of keepalive-get, keepalive-post, new-get, new-post, websocket")
      ->delimiter(',');
  app.add_option("--get-paths", options.get_paths)->delimiter(',');
  app.add_option("--post-paths", options.post_paths)->delimiter(',');
  app.add_option("--socket-paths", options.socket_paths)->delimiter(',');
  app.add_option("--post-body", options.post_body);
  app.add_option("--report", options.report, "file (default: standard output)");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error) == 0 ? 0 : 2);
  }
  const auto colon = target.rfind(':');
  options.host = target.substr(0, colon);
  options.port = colon == std::string::npos ? "80" : target.substr(colon + 1);
  if (options.host_header.empty()) options.host_header = options.host;
  if (options.kinds.empty()) options.kinds = {"keepalive-get", "keepalive-post", "new-get"};
  return options;
}

std::vector<Kind> kinds_of(const Options& options) {
  std::vector<Kind> kinds;
  for (const auto& name : options.kinds) {
    auto found = std::find_if(all_kinds.begin(), all_kinds.end(), [&](const Kind& kind) { return kind.name == name; });
    if (found == all_kinds.end()) {
      std::cerr << "load: there is no kind '" << name << "'\n";
      std::exit(2);
    }
    kinds.push_back(*found);
  }
  return kinds;
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  const std::vector<Kind> kinds = kinds_of(options);
  Record record;
  bool stopping = false;
  asio::io_context context(1);
  asio::signal_set signals(context, SIGTERM, SIGINT, SIGUSR1);
  int running = options.connections;
  auto rethrow = [](std::exception_ptr failure) {
    if (failure) std::rethrow_exception(failure);
  };
  auto client_ended = [&](std::exception_ptr failure) {
    rethrow(failure);
    if (--running == 0) context.stop();
  };
  for (int index = 0; index < options.connections; index++) {
    const Kind& kind = kinds[static_cast<std::size_t>(index) % kinds.size()];
    asio::co_spawn(context, run_client(options, record, kind, index, stopping), client_ended);
  }
  asio::co_spawn(context, serve_signals(signals, options, record, stopping), rethrow);
  context.run();
  write_report(options, record);
  return 0;
}
