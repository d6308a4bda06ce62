#include "agent/config/scalars.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <numeric>
#include <utility>

#include "agent/config/interpolation.hpp"

namespace deploy::config {

namespace {

using std::chrono::milliseconds;

constexpr std::array<std::pair<std::string_view, std::int64_t>, 5> duration_units{
    {{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}}};
constexpr std::int64_t duration_max_ms = 10LL * 366 * 86'400'000;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::string_view take_while(std::string_view& text, bool (*wanted)(char)) {
  std::size_t length = 0;
  while (length < text.size() && wanted(text[length])) ++length;
  auto taken = text.substr(0, length);
  text.remove_prefix(length);
  return taken;
}

/// Optimal string alignment distance.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> cost(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) cost[i][0] = i;
  for (std::size_t j = 0; j <= b.size(); ++j) cost[0][j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    for (std::size_t j = 1; j <= b.size(); ++j) {
      auto replace = cost[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, replace});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
      }
    }
  }
  return cost[a.size()][b.size()];
}

/// The length of the character that starts with this byte; 0: none does.
std::size_t utf8_length(unsigned char first) {
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first < 0xE0) return 2;
  if (first >= 0xE0 && first < 0xF0) return 3;
  if (first >= 0xF0 && first < 0xF5) return 4;
  return 0;
}

char32_t code_point(std::string_view character) {
  auto first = static_cast<unsigned char>(character[0]);
  if (character.size() == 1) return first;
  char32_t value = first & (0xFFU >> (character.size() + 1));
  for (auto c : character.substr(1)) value = (value << 6) | (static_cast<unsigned char>(c) & 0x3FU);
  return value;
}

}  // namespace

std::optional<milliseconds> parse_duration(std::string_view text) {
  if (text == "0") return milliseconds(0);
  if (text.empty()) return std::nullopt;
  std::int64_t total_ms = 0;
  while (!text.empty()) {
    auto digits = take_while(text, is_digit);
    auto unit_name = take_while(text, [](char c) { return c >= 'a' && c <= 'z'; });
    const auto* unit = std::ranges::find(duration_units, unit_name, &std::pair<std::string_view, std::int64_t>::first);
    if (digits.empty() || digits.size() > 12 || unit == duration_units.end()) return std::nullopt;
    std::int64_t count = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), count);
    if (count > duration_max_ms / unit->second) return std::nullopt;
    total_ms += count * unit->second;
    if (total_ms > duration_max_ms) return std::nullopt;
  }
  return milliseconds(total_ms);
}

std::string format_duration(milliseconds duration) {
  auto left_ms = duration.count();
  if (left_ms == 0) return "0";
  std::string text;
  for (auto unit = duration_units.rbegin(); unit != duration_units.rend(); ++unit) {
    if (left_ms < unit->second) continue;
    text += std::to_string(left_ms / unit->second) + std::string(unit->first);
    left_ms %= unit->second;
  }
  return text;
}

std::optional<std::int64_t> parse_size(std::string_view text) {
  constexpr std::string_view units = "bkmg";
  auto number = take_while(text, [](char c) { return is_digit(c) || c == '.'; });
  double value = 0;
  auto [end, problem] = std::from_chars(number.data(), number.data() + number.size(), value);
  if (number.empty() || problem != std::errc() || end != number.data() + number.size()) return std::nullopt;
  if (!text.empty()) {
    auto power = units.find(static_cast<char>(text[0] | 0x20));
    if (power == std::string_view::npos) return std::nullopt;
    value *= std::pow(1024.0, static_cast<double>(power));
    text.remove_prefix(1);
    if (power > 0 && (text == "b" || text == "B")) text.remove_prefix(1);
  }
  if (!text.empty() || value >= 9007199254740992.0) return std::nullopt;
  return static_cast<std::int64_t>(value);
}

std::optional<std::vector<std::string>> split_words(std::string_view text) {
  std::vector<std::string> words;
  std::optional<std::string> word;
  char quote = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    auto c = text[at];
    if (quote == 0 && (c == ' ' || c == '\t' || c == '\n')) {
      if (word) words.push_back(*std::exchange(word, std::nullopt));
      continue;
    }
    if (!word) word.emplace();
    auto whole = text.substr(at, 2) == "${" ? variable_end(text, at) : std::nullopt;
    if (whole) {
      *word += text.substr(at, *whole - at);
      at = *whole - 1;
    } else if (c == quote) {
      quote = 0;
    } else if (quote == 0 && (c == '\'' || c == '"')) {
      quote = c;
    } else if (c == '\\' && quote != '\'' && at + 1 < text.size()) {
      auto next = text[++at];
      // Inside of double quotes a backslash keeps itself before anything but these.
      if (quote == '"' && next != '"' && next != '\\' && next != '$' && next != '`') *word += '\\';
      *word += next;
    } else {
      *word += c;
    }
  }
  if (quote != 0) return std::nullopt;
  if (word) words.push_back(*word);
  return words;
}

std::optional<std::string> nearest(std::string_view written, const std::vector<std::string>& candidates) {
  constexpr std::size_t length_max = 64;
  if (written.empty() || written.size() > length_max) return std::nullopt;
  const std::string* best = nullptr;
  auto best_distance = std::max<std::size_t>(1, written.size() / 3) + 1;
  for (const auto& candidate : candidates) {
    if (candidate.size() > length_max) continue;
    auto found = distance(written, candidate);
    if (found >= best_distance) continue;
    best = &candidate;
    best_distance = found;
  }
  return best ? std::optional(*best) : std::nullopt;
}

std::string suggestion(std::string_view written, const std::vector<std::string>& candidates) {
  auto meant = nearest(written, candidates);
  return meant ? "did you mean `" + *meant + "`?" : "";
}

std::optional<std::size_t> invalid_utf8(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    auto length = utf8_length(static_cast<unsigned char>(text[at]));
    auto character = text.substr(at, length);
    if (length == 0 || character.size() < length) return at;
    for (auto c : character.substr(1)) {
      if ((static_cast<unsigned char>(c) & 0xC0U) != 0x80) return at;
    }
    auto value = code_point(character);
    bool too_long = (length == 3 && value < 0x800) || (length == 4 && value < 0x10000);
    if (too_long || (value >= 0xD800 && value < 0xE000) || value > 0x10FFFF) return at;
    at += length;
  }
  return std::nullopt;
}

std::vector<std::string> split_characters(std::string_view text) {
  std::vector<std::string> characters;
  while (!text.empty()) {
    auto length = std::max<std::size_t>(1, utf8_length(static_cast<unsigned char>(text[0])));
    characters.emplace_back(text.substr(0, length));
    text.remove_prefix(std::min(length, text.size()));
  }
  return characters;
}

bool is_wide(std::string_view character) {
  auto value = code_point(character);
  return (value >= 0x1100 && value <= 0x115F) || (value >= 0x2E80 && value <= 0xA4CF) ||
         (value >= 0xAC00 && value <= 0xD7A3) || (value >= 0xF900 && value <= 0xFAFF) ||
         (value >= 0xFF00 && value <= 0xFF60) || (value >= 0x1F300 && value <= 0x1FAFF);
}

}  // namespace deploy::config
