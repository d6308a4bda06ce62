#include <utility>

#include "agent/base/error.hpp"
#include "agent/base/text.hpp"
#include "agent/http/client.hpp"
#include "agent/proxy/nginx.hpp"

namespace deploy::proxy {

namespace {

constexpr std::chrono::milliseconds ask_deadline{1000};
constexpr std::size_t answer_bytes_max = 4096;

Task<std::optional<std::string>> ask(std::string address, std::uint16_t port) {
  http::Client client(http::tcp_connector(std::move(address), port));
  http::Request request;
  request.target = std::string(marker_path);
  try {
    const auto response = co_await client.send(request, ask_deadline, answer_bytes_max);
    if (response.status == 200) co_return std::string(trim(response.body));
  } catch (const Error& error) {
    // Not answering is an answer: the caller asks again. Anything else, such as a cancellation, is not.
    if (!error.transient() && error.kind() != ErrorKind::failed) throw;
  }
  co_return std::nullopt;
}

}  // namespace

AskMarker marker_over_http(std::string address, std::uint16_t port) {
  return [address, port] { return ask(address, port); };
}

}  // namespace deploy::proxy
