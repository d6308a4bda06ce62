#include "agent/engine/json_lines.hpp"

#include <algorithm>

#include "agent/base/error.hpp"
#include "agent/base/text.hpp"

namespace deploy::engine {

void JsonLines::feed(std::string_view part) {
  while (!part.empty()) {
    const auto end = part.find('\n');
    pending_ += part.substr(0, end);
    part.remove_prefix(std::min(part.size(), end == std::string_view::npos ? part.size() : end + 1));
    if (pending_.size() > line_bytes_max) {
      throw Error(ErrorKind::failed,
                  "the engine's progress holds a line of more than " + std::to_string(line_bytes_max) + " bytes");
    }
    if (end != std::string_view::npos) finish();
  }
}

void JsonLines::finish() {
  const std::string line = std::exchange(pending_, {});
  parse(trim(line));
}

void JsonLines::parse(std::string_view line) {
  if (line.empty()) return;
  const auto value = Json::parse(line, nullptr, false);
  if (!value.is_object()) {
    throw Error(ErrorKind::failed, "the engine's progress holds a line that is no JSON object");
  }
  on_value_(value);
}

std::string stream_error(const Json& value) {
  const auto detail = value.find("errorDetail");
  if (detail != value.end() && detail->is_object() && detail->contains("message") &&
      detail->at("message").is_string()) {
    return detail->at("message").get<std::string>();
  }
  const auto error = value.find("error");
  return error != value.end() && error->is_string() ? error->get<std::string>() : "";
}

}  // namespace deploy::engine
