#include "agent/domain/labels.hpp"

#include <charconv>

namespace deploy::domain::labels {

std::string text(const std::map<std::string, std::string>& all, const char* name) {
  const auto found = all.find(name);
  return found == all.end() ? std::string() : found->second;
}

std::int64_t number(const std::map<std::string, std::string>& all, const char* name) {
  const auto digits = text(all, name);
  std::int64_t value = 0;
  const auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return failure == std::errc() && end == digits.data() + digits.size() ? value : 0;
}

}  // namespace deploy::domain::labels
