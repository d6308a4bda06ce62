#include "agent/ctl/api_client.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "agent/base/text.hpp"

namespace deploy::ctl {

namespace {

constexpr std::chrono::seconds answer_deadline{30};
constexpr std::size_t answer_bytes_max = 16 << 20;
constexpr std::size_t event_bytes_max = 1 << 20;

/// Arguments of the command line need not be UTF-8; JSON must be.
std::string json_text(const nlohmann::json& value) {
  return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

/// Cuts a stream into lines.
class Lines {
 public:
  explicit Lines(std::function<void(std::string_view)> on_line) : on_line_(std::move(on_line)) {}

  void add(std::string_view part) {
    rest_ += part;
    std::size_t begin = 0;
    for (auto end = rest_.find('\n'); end != std::string::npos; end = rest_.find('\n', begin)) {
      on_line_(std::string_view(rest_).substr(begin, end - begin));
      begin = end + 1;
    }
    rest_.erase(0, begin);
    if (rest_.size() > event_bytes_max) {
      throw Error(ErrorKind::failed, "deployd sent an event of more than 1 MiB; is another program behind the socket?");
    }
  }

 private:
  std::function<void(std::string_view)> on_line_;
  std::string rest_;
};

}  // namespace

ApiClient::ApiClient(std::string socket) : http_(http::unix_connector(std::move(socket))) {}

Error ApiClient::explained(const Error& error) const {
  const std::string& socket = http_.name();
  if (error.kind() == ErrorKind::timed_out) {
    return {ErrorKind::unreachable,
            fmt::format("deployd at {} did not answer within {} s; look at its log: journalctl -u deployd", socket,
                        answer_deadline.count())};
  }
  if (error.kind() != ErrorKind::unreachable) return error;
  const std::string refused = "cannot connect to " + socket + ": ";
  if (!error.message().starts_with(refused)) {
    return {ErrorKind::unreachable, fmt::format("deployd at {} went away: {}", socket, error.message())};
  }
  const std::string cause = error.message().substr(refused.size());
  const char* hint = cause == "Permission denied" ? "use sudo, or join the group that owns the socket"
                                                  : "is it running? (systemctl status deployd, or --socket)";
  return {ErrorKind::unreachable, fmt::format("cannot reach deployd at {}: {}; {}", socket, cause, hint)};
}

void ApiClient::check(const http::Response& response) const {
  if (response.status >= 200 && response.status < 300) return;
  api::ErrorView view;
  try {
    view = nlohmann::json::parse(response.body).get<api::ErrorView>();
  } catch (const nlohmann::json::exception&) {
    throw Error(ErrorKind::failed, fmt::format("{} answered with status {} and not as deployd does; is another "
                                               "program behind the socket?",
                                               http_.name(), response.status));
  }
  const auto kind = error_kind_from(view.kind);
  // unreachable and timed_out are about something the agent needs; here they would be about the agent.
  const bool refusal = kind == ErrorKind::invalid || kind == ErrorKind::not_found || kind == ErrorKind::conflict;
  throw Error(refusal ? kind : ErrorKind::failed, view.message);
}

template <class View>
View ApiClient::parsed(const std::string& body) const {
  try {
    return nlohmann::json::parse(body).get<View>();
  } catch (const nlohmann::json::exception& error) {
    throw Error(ErrorKind::failed, fmt::format("the answer of deployd at {} cannot be read: {}; are deployctl and "
                                               "deployd of the same version? (deployctl version)",
                                               http_.name(), error.what()));
  }
}

Task<http::Response> ApiClient::send(http::Request request) {
  try {
    auto response = co_await http_.send(std::move(request), answer_deadline, answer_bytes_max);
    check(response);
    co_return response;
  } catch (const Error& error) {
    throw explained(error);
  }
}

Task<http::Response> ApiClient::get(std::string target) {
  http::Request request;
  request.target = std::move(target);
  co_return co_await send(std::move(request));
}

Task<http::Response> ApiClient::post(std::string target, std::string body) {
  http::Request request;
  request.method = "POST";
  request.target = std::move(target);
  request.headers["Content-Type"] = "application/json";
  request.body = std::move(body);
  co_return co_await send(std::move(request));
}

Task<void> ApiClient::stream(std::string target, OnText on_text) {
  http::Request request;
  request.target = std::move(target);
  try {
    const auto response = co_await http_.stream(std::move(request), std::move(on_text), answer_deadline);
    check(response);
  } catch (const Error& error) {
    throw explained(error);
  }
}

Task<api::VersionView> ApiClient::version() {
  const auto response = co_await get("/v1/version");
  co_return parsed<api::VersionView>(response.body);
}

Task<api::StatusView> ApiClient::status() {
  const auto response = co_await get("/v1/status");
  co_return parsed<api::StatusView>(response.body);
}

Task<api::LiveServicesView> ApiClient::live() {
  const auto response = co_await get("/v1/live");
  co_return parsed<api::LiveServicesView>(response.body);
}

Task<api::PlanView> ApiClient::plan(std::vector<std::string> services) {
  const auto response =
      co_await get("/v1/plan?services=" + http::url_encode(fmt::format("{}", fmt::join(services, ","))));
  co_return parsed<api::PlanView>(response.body);
}

Task<api::PlanView> ApiClient::plan_rollback(api::RollbackRequest request) {
  const auto response =
      co_await get(fmt::format("/v1/rollback-plan?service={}&to={}&release={}", http::url_encode(request.service),
                               http::url_encode(request.to), request.release));
  co_return parsed<api::PlanView>(response.body);
}

Task<api::HistoryView> ApiClient::history(std::string service, int limit) {
  std::string target = fmt::format("/v1/rollouts?limit={}", limit);
  if (!service.empty()) target += "&service=" + http::url_encode(service);
  const auto response = co_await get(std::move(target));
  co_return parsed<api::HistoryView>(response.body);
}

Task<api::RolloutView> ApiClient::rollout(std::int64_t id) {
  const auto response = co_await get(fmt::format("/v1/rollouts/{}", id));
  co_return parsed<api::RolloutView>(response.body);
}

Task<api::AcceptedView> ApiClient::start(api::RolloutRequest request) {
  const auto response = co_await post("/v1/rollouts", json_text(request));
  co_return parsed<api::AcceptedView>(response.body);
}

Task<api::AcceptedView> ApiClient::roll_back(api::RollbackRequest request) {
  const auto response = co_await post("/v1/rollbacks", json_text(request));
  co_return parsed<api::AcceptedView>(response.body);
}

Task<api::AcceptedView> ApiClient::cancel(api::CancelRequest request) {
  const auto response = co_await post("/v1/cancellations", json_text(request));
  co_return parsed<api::AcceptedView>(response.body);
}

Task<api::PauseView> ApiClient::pause(api::PauseRequest request) {
  const auto response = co_await post("/v1/pauses", json_text(request));
  co_return parsed<api::PauseView>(response.body);
}

Task<api::PauseView> ApiClient::resume(api::PauseRequest request) {
  const auto response = co_await post("/v1/resumptions", json_text(request));
  co_return parsed<api::PauseView>(response.body);
}

Task<void> ApiClient::follow_events(std::int64_t release, std::int64_t after, OnEvent on_event) {
  Lines lines([this, &on_event](std::string_view line) {
    if (!trim(line).empty()) on_event(parsed<api::EventView>(std::string(line)));
  });
  OnText on_part = [&lines](std::string_view part) { lines.add(part); };
  co_await stream(fmt::format("/v1/events?after={}&release={}&follow=1", after, release), std::move(on_part));
}

Task<void> ApiClient::service_log(std::string service, int tail, bool follow, OnText on_text) {
  auto target = fmt::format("/v1/services/{}/logs?tail={}", http::url_encode(service), tail);
  if (follow) target += "&follow=1";
  co_await stream(std::move(target), std::move(on_text));
}

Task<void> ApiClient::rollout_log(std::int64_t id, bool follow, OnText on_text) {
  auto target = fmt::format("/v1/rollouts/{}/log", id);
  if (follow) target += "?follow=1";
  co_await stream(std::move(target), std::move(on_text));
}

}  // namespace deploy::ctl
