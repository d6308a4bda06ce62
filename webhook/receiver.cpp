#include "webhook/receiver.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <utility>

#include "agent/base/error.hpp"
#include "agent/base/text.hpp"
#include "webhook/gate.hpp"
#include "webhook/github_event.hpp"
#include "webhook/signature.hpp"

namespace deploy::webhook {

namespace {

using Json = nlohmann::json;

/// Unsigned header values are kept only where they look like GitHub's: at most 64 letters, digits, '-' and '_'.
std::string plain_token(std::string_view value) {
  const bool plain = std::all_of(value.begin(), value.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
  return plain && value.size() <= 64 ? std::string(value) : std::string();
}

http::Response answer(int status, const Json& body) { return http::json_response(status, body.dump() + "\n"); }

/// What the delivery is, once its signature is known to be right, and how it is answered when it was stored.
struct Reading {
  domain::Delivery delivery;
  http::Response (*respond)(const domain::Delivery& stored) = nullptr;
};

http::Response accepted(const domain::Delivery& delivery) {
  Json services = Json::array();
  for (const auto& change : delivery.changes) services.push_back(change.service);
  Json body{{"delivery", delivery.id.value}, {"services", std::move(services)}};
  if (!delivery.config_commit.empty()) body["config_change"] = true;
  return answer(202, body);
}

http::Response ignored(const domain::Delivery& delivery) {
  return answer(200, {{"delivery", delivery.id.value}, {"ignored", delivery.outcome}});
}

http::Response pong(const domain::Delivery& delivery) {
  return answer(200, {{"delivery", delivery.id.value}, {"message", "pong"}});
}

http::Response unreadable(const domain::Delivery& delivery) {
  return http::error_response(400, "invalid", delivery.outcome);
}

Reading read(const http::Request& request, const std::vector<domain::Service>& services,
             const domain::ConfigRepo* config_repo) {
  Reading reading;
  domain::Delivery& delivery = reading.delivery;
  delivery.guid = plain_token(request.header("X-GitHub-Delivery"));
  delivery.event = plain_token(request.header("X-GitHub-Event"));
  delivery.body_sha256 = sha256_hex(request.body);
  reading.respond = unreadable;
  if (delivery.event.empty()) {
    delivery.outcome = "the header X-GitHub-Event is missing or malformed";
    return reading;
  }
  try {
    const auto event = parse_github_event(delivery.event, request.header("Content-Type"), request.body);
    delivery.repo = repository_of(event);
    auto decision = decide(event, services, config_repo);
    const bool wanted = decision.reason.empty();
    delivery.changes = std::move(decision.changes);
    delivery.config_commit = std::move(decision.config_commit);
    delivery.outcome = wanted ? "accepted" : std::move(decision.reason);
    reading.respond = wanted ? accepted : std::holds_alternative<PingEvent>(event) ? pong : ignored;
  } catch (const Error& error) {
    delivery.outcome = error.message();
  }
  return reading;
}

}  // namespace

Receiver::Receiver(std::vector<std::string> secrets, Services services, Sink& sink,
                   std::optional<domain::ConfigRepo> config_repo)
    : secrets_(std::move(secrets)), services_(std::move(services)), sink_(sink), config_repo_(std::move(config_repo)) {
  const bool empty = std::any_of(secrets_.begin(), secrets_.end(), [](const auto& secret) { return secret.empty(); });
  if (secrets_.empty() || empty) {
    throw Error(
        ErrorKind::invalid,
        "the webhook needs a secret that is not empty; set it here and in the settings of the webhook at GitHub");
  }
}

/// Anybody can send these, and they must not fill the log: the first is told, then the tenth, the hundredth, ...
void Receiver::tell_refused() {
  if (++refused_ != refused_told_next_) return;
  refused_told_next_ *= 10;
  spdlog::warn(
      "webhook: {} refused since deployd started, with a signature that is missing or wrong; if GitHub sent {}, "
      "check the webhook's secret",
      refused_ == 1 ? "a request was" : std::to_string(refused_) + " requests were", refused_ == 1 ? "it" : "them");
}

std::string Receiver::note() const {
  if (wrong_signatures_ == 0) return "";
  return counted(wrong_signatures_, "webhook") +
         " came with a wrong signature, and none with a right one since; where GitHub sent them, the secret in the "
         "webhook's settings there is not the one that agent.yaml names";
}

Task<http::Response> Receiver::receive(http::Request request) {
  if (request.method != "POST") {
    auto refusal = http::error_response(405, "invalid", "the webhook takes POST requests only");
    refusal.headers["Allow"] = "POST";
    co_return refusal;
  }
  const auto signature = request.header("X-Hub-Signature-256");
  if (!signature_matches(signature, request.body, secrets_)) {
    tell_refused();
    if (!signature.empty()) ++wrong_signatures_;
    co_return http::error_response(401, "invalid",
                                   "the header X-Hub-Signature-256 is missing or does not match the body; check the "
                                   "webhook's secret");
  }
  wrong_signatures_ = 0;
  Reading reading = read(request, *services_(), config_repo_ ? &*config_repo_ : nullptr);
  // Free 25 MB before waiting for the disk.
  request.body = std::string();
  const auto& delivery = reading.delivery;
  std::optional<StoredDelivery> stored;
  try {
    stored = co_await sink_.store(delivery);
  } catch (const std::exception& cause) {
    spdlog::error("webhook: delivery \"{}\" ({}, {}) could not be stored: {}", delivery.guid, delivery.event,
                  delivery.repo, cause.what());
  }
  if (!stored) {
    co_return http::error_response(503, "failed",
                                   "the delivery could not be stored; look at the agent's log, then redeliver it");
  }
  spdlog::info("webhook: delivery {} \"{}\" ({}, {}): {}", stored->id.value, delivery.guid, delivery.event,
               delivery.repo, stored->duplicate ? "received before" : delivery.outcome);
  if (stored->duplicate && reading.respond != unreadable) {
    co_return answer(200, {{"delivery", stored->id.value},
                           {"duplicate", true},
                           {"message", "this delivery was received before; nothing new was done"}});
  }
  reading.delivery.id = stored->id;
  co_return reading.respond(reading.delivery);
}

}  // namespace deploy::webhook
