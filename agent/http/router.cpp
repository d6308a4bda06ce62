#include "agent/http/router.hpp"

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <utility>

namespace deploy::http {

namespace {

/// "/a//b" -> {"a", "", "b"}, "/" -> {""}
std::vector<std::string> split(std::string_view path) {
  std::vector<std::string> segments;
  if (path.starts_with('/')) path.remove_prefix(1);
  for (;;) {
    const auto slash = path.find('/');
    segments.emplace_back(path.substr(0, slash));
    if (slash == std::string_view::npos) return segments;
    path.remove_prefix(slash + 1);
  }
}

/// Decodes after the split, so that "%2F" is part of a segment. In a path '+' is itself (RFC 3986, 3.3).
std::optional<std::vector<std::string>> decoded_segments(std::string_view path) {
  auto segments = split(path);
  for (auto& segment : segments) {
    std::string escaped;
    for (const char c : segment) escaped += c == '+' ? std::string("%2B") : std::string(1, c);
    auto decoded = url_decode(escaped);
    if (!decoded) return std::nullopt;
    segment = std::move(*decoded);
  }
  return segments;
}

bool is_param(const std::string& segment) { return segment.starts_with('{') && segment.ends_with('}'); }

bool matches(const std::vector<std::string>& pattern, const std::vector<std::string>& segments) {
  return std::equal(pattern.begin(), pattern.end(), segments.begin(), segments.end(),
                    [](const std::string& wanted, const std::string& actual) {
                      return is_param(wanted) ? !actual.empty() : wanted == actual;
                    });
}

/// Orders patterns: at the first difference a literal segment goes before one in braces.
bool more_literal(const std::vector<std::string>& left, const std::vector<std::string>& right) {
  return std::lexicographical_compare(
      left.begin(), left.end(), right.begin(), right.end(),
      [](const std::string& a, const std::string& b) { return !is_param(a) && is_param(b); });
}

}  // namespace

void Router::add(std::string method, std::string_view pattern, Handler handler) {
  auto segments = split(pattern);
  auto route =
      std::find_if(routes_.begin(), routes_.end(), [&](const Route& known) { return known.pattern == segments; });
  if (route == routes_.end()) route = routes_.insert(routes_.end(), Route{std::move(segments), {}});
  if (!route->handlers.emplace(method, std::move(handler)).second) {
    throw std::logic_error("the route " + method + " " + std::string(pattern) + " is there twice");
  }
}

const Router::Route* Router::find(const std::vector<std::string>& segments) const {
  const Route* best = nullptr;
  for (const auto& route : routes_) {
    if (!matches(route.pattern, segments)) continue;
    if (best == nullptr || more_literal(route.pattern, best->pattern)) best = &route;
  }
  return best;
}

Task<Response> Router::handle(Request request) const {
  const auto segments = decoded_segments(request.path());
  if (!segments) co_return error_response(400, "invalid", "the path holds a malformed percent escape");
  const Route* route = find(*segments);
  const std::string path(request.path());
  if (route == nullptr) co_return error_response(404, "not_found", "there is nothing at " + path);
  auto handler = route->handlers.find(request.method);
  if (handler == route->handlers.end() && request.method == "HEAD") handler = route->handlers.find("GET");
  if (handler == route->handlers.end()) {
    std::string allowed;
    for (const auto& [method, unused] : route->handlers) allowed += (allowed.empty() ? "" : ", ") + method;
    auto refusal = error_response(405, "invalid", path + " takes " + allowed + " and not " + request.method);
    refusal.headers["Allow"] = allowed;
    co_return refusal;
  }
  Params params;
  for (std::size_t i = 0; i < segments->size(); ++i) {
    const auto& name = route->pattern[i];
    if (is_param(name)) params[name.substr(1, name.size() - 2)] = (*segments)[i];
  }
  co_return co_await handler->second(std::move(request), std::move(params));
}

}  // namespace deploy::http
