#include "agent/ctl/text.hpp"

#include <fmt/format.h>

#include <charconv>
#include <vector>

#include "agent/base/text.hpp"
#include "agent/config/scalars.hpp"

namespace deploy::ctl {

namespace {

bool is_control(std::string_view character) {
  const auto byte = static_cast<unsigned char>(character[0]);
  if (character.size() == 1) return byte < 0x20 || byte == 0x7f;
  // U+0080 to U+009F: a terminal may take U+009B for the start of an escape sequence.
  return byte == 0xc2 && static_cast<unsigned char>(character[1]) < 0xa0;
}

bool is_combining(std::string_view character) {
  if (character.size() == 2) {  // U+0300 to U+036F
    const auto first = static_cast<unsigned char>(character[0]);
    const auto second = static_cast<unsigned char>(character[1]);
    return first == 0xcc || (first == 0xcd && second < 0xb0);
  }
  // Zero-width space and joiners, variation selectors.
  return character == "\u200b" || character == "\u200c" || character == "\u200d" || character == "\ufe0e" ||
         character == "\ufe0f";
}

std::string valid_utf8(std::string_view text) {
  std::string valid(text);
  while (const auto bad = config::invalid_utf8(valid)) valid[*bad] = '?';
  return valid;
}

std::size_t columns_of_character(std::string_view character) {
  if (is_combining(character)) return 0;
  return config::is_wide(character) ? 2 : 1;
}

std::optional<int> number_at(std::string_view text, std::size_t position, std::size_t digits) {
  int number = 0;
  const char* first = text.data() + position;
  const auto [end, error] = std::from_chars(first, first + digits, number);
  if (error != std::errc() || end != first + digits) return std::nullopt;
  return number;
}

}  // namespace

std::string printable(std::string_view text) {
  std::string result;
  for (const auto& character : config::split_characters(valid_utf8(text))) {
    if (character == "\n" || character == "\r" || character == "\t") {
      result += ' ';
    } else {
      result += is_control(character) ? "?" : character;
    }
  }
  while (!result.empty() && result.back() == ' ') result.pop_back();
  return result;
}

std::size_t columns_of(std::string_view printable_text) {
  std::size_t columns = 0;
  for (const auto& character : config::split_characters(printable_text)) columns += columns_of_character(character);
  return columns;
}

std::string fit(std::string_view printable_text, std::size_t columns) {
  if (columns_of(printable_text) <= columns) return std::string(printable_text);
  std::string result;
  std::size_t used = 0;
  for (const auto& character : config::split_characters(printable_text)) {
    const auto width = columns_of_character(character);
    if (used + width + 1 > columns) break;
    result += character;
    used += width;
  }
  return result + "…";
}

std::optional<std::chrono::system_clock::time_point> parse_time(std::string_view iso) {
  // 2026-07-01T09:30:00.000Z
  if (iso.size() != 24 || iso[10] != 'T' || iso[23] != 'Z') return std::nullopt;
  const auto year = number_at(iso, 0, 4), month = number_at(iso, 5, 2), day = number_at(iso, 8, 2);
  const auto hour = number_at(iso, 11, 2), minute = number_at(iso, 14, 2), second = number_at(iso, 17, 2);
  const auto milliseconds = number_at(iso, 20, 3);
  if (!year || !month || !day || !hour || !minute || !second || !milliseconds) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(*year), std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok()) return std::nullopt;
  return std::chrono::sys_days(date) + std::chrono::hours(*hour) + std::chrono::minutes(*minute) +
         std::chrono::seconds(*second) + std::chrono::milliseconds(*milliseconds);
}

std::string local_time(std::string_view iso, const Environment& environment) {
  const auto time = parse_time(iso);
  if (!time) return "-";
  const std::tm local = environment.local_time(std::chrono::system_clock::to_time_t(*time));
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02}", local.tm_year + 1900, local.tm_mon + 1, local.tm_mday,
                     local.tm_hour, local.tm_min, local.tm_sec);
}

std::string local_clock(std::string_view iso, const Environment& environment) {
  const auto text = local_time(iso, environment);
  return text == "-" ? text : text.substr(11);
}

std::string took(std::string_view started, std::string_view finished) {
  const auto begin = parse_time(started), end = parse_time(finished);
  if (!begin || !end) return "-";
  return human_duration(std::chrono::duration_cast<std::chrono::milliseconds>(*end - *begin));
}

}  // namespace deploy::ctl
