#include "agent/engine/pull_progress.hpp"

#include <algorithm>
#include <array>

#include "agent/engine/engine_connection.hpp"

namespace deploy::engine {

namespace {

constexpr std::array<std::string_view, 9> unreachable_phrases{
    "connection refused",     "i/o timeout",      "no such host",
    "network is unreachable", "no route to host", "TLS handshake",
    "connection reset",       "Client.Timeout",   "Temporary failure in name resolution"};

constexpr std::array<std::string_view, 4> unknown_phrases{"manifest unknown", "not found", "does not exist",
                                                          "pull access denied"};

template <class Phrases>
bool contains_any(const std::string& message, const Phrases& phrases) {
  return std::any_of(phrases.begin(), phrases.end(),
                     [&message](std::string_view phrase) { return message.find(phrase) != std::string::npos; });
}

}  // namespace

void PullProgress::add(const Json& value) {
  const std::string status = value.value("status", "");
  const std::string id = value.value("id", "");
  if (status.empty()) return;
  if (id.empty() || status.starts_with("Pulling from")) {
    on_log_(status);
    return;
  }
  const bool complete = status == "Pull complete" || status == "Already exists";
  auto& known = layers_[id];
  if (!complete || known) return;
  known = true;
  const auto done = std::count_if(layers_.begin(), layers_.end(), [](const auto& layer) { return layer.second; });
  on_log_("layer " + std::to_string(done) + " of " + std::to_string(layers_.size()) + ": " + id);
}

Error pull_error(const std::string& reference, int status, const std::string& message) {
  const std::string what = "pull " + reference + ": ";
  if (contains_any(message, unreachable_phrases)) {
    return Error(ErrorKind::unreachable, what + "the registry does not answer: " + message);
  }
  if (contains_any(message, unknown_phrases)) return Error(ErrorKind::not_found, what + message);
  return Error(kind_of_answer(status, message), what + message);
}

}  // namespace deploy::engine
