#include "agent/adopt/health_search.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "agent/adopt/settings_text.hpp"
#include "agent/base/text.hpp"
#include "agent/config/scalars.hpp"

namespace deploy::adopt {

namespace {

constexpr std::array<std::string_view, 4> guesses{"/health", "/api/health", "/healthz", "/"};
constexpr std::array<std::string_view, 4> good_states{"up", "ok", "healthy", "pass"};
constexpr std::size_t body_shown_max = 200;
constexpr int not_found = 404;

bool is_good(int status) { return status >= 200 && status < 300; }

/// The beginning of a body on one line, printable.
std::string shown_body(const std::string& body) {
  std::string text;
  for (const auto& character :
       config::split_characters(body.substr(0, config::invalid_utf8(body).value_or(body.size())))) {
    if (text.size() + character.size() > body_shown_max) return text + "…";
    const bool control =
        character.size() == 1 && (static_cast<unsigned char>(character[0]) < 0x20 || character[0] == 0x7F);
    text += control ? " " : character;
  }
  return std::string(trim(text));
}

/// What a body in JSON says of its app's health: the member and the value that it has now.
std::map<std::string, std::string> state_in(const std::string& body) {
  const auto value = nlohmann::json::parse(body, nullptr, false);
  if (!value.is_object()) return {};
  if (const auto success = value.find("success"); success != value.end() && *success == true)
    return {{"/success", "true"}};
  const auto status = value.find("status");
  if (status == value.end() || !status->is_string()) return {};
  auto word = status->get<std::string>();
  std::string lower = word;
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (std::ranges::find(good_states, lower) == good_states.end()) return {};
  return {{"/status", yaml_text(word)}};
}

std::string refused(const FoundService& service, const std::string& path, const HttpAnswer& answer) {
  const auto what = answer.status == 0 ? fmt::format("is not answered: {}", answer.problem)
                                       : fmt::format("is answered {}: {}", answer.status, shown_body(answer.body));
  return fmt::format("GET {} on port {} {}; so it is not proposed as a health check", path, service.port, what);
}

}  // namespace

Task<FoundHealth> search_health(FoundService service, std::string address, HealthQuestions questions) {
  FoundHealth found;
  if (service.port == 0 || address.empty()) {
    found.docker = service.container.has_healthcheck && service.container.healthy;
    co_return found;
  }
  std::vector<std::string> paths = service.asked;
  for (const auto guess : guesses) {
    if (std::ranges::find(paths, guess) == paths.end()) paths.emplace_back(guess);
  }
  for (const auto& path : paths) {
    const bool is_guess = std::ranges::find(service.asked, path) == service.asked.end();
    const auto answer = co_await questions.get(address, service.port, path);
    if (is_good(answer.status)) {
      found.http = path;
      found.json = state_in(answer.body);
      co_return found;
    }
    if (!is_guess || (answer.status != not_found && answer.status != 0)) {
      found.notes.push_back(refused(service, path, answer));
    }
  }
  found.docker = service.container.has_healthcheck && service.container.healthy;
  if (!found.docker) found.tcp = co_await questions.accepts(address, service.port);
  found.notes.push_back(found.docker ? "its HEALTHCHECK is proposed, which says nothing before its first interval"
                        : found.tcp
                            ? "that its port is open is all that is proposed as its health check; an app can be "
                              "ill with an open port, so name a path that tells"
                            : "no health check of it was passed; write one into its file before the first "
                              "rollout");
  co_return found;
}

}  // namespace deploy::adopt
