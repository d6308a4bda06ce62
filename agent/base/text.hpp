// Small functions on text and digests that more than one module needs.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace deploy {

/// Lower-case hexadecimal, two digits a byte.
std::string to_hex(std::string_view bytes);

/// SHA-256 (FIPS 180-4), 64 lower-case hexadecimal digits.
std::string sha256_hex(std::string_view bytes);

/// HMAC-SHA-256 (RFC 2104), 64 lower-case hexadecimal digits.
std::string hmac_sha256_hex(std::string_view key, std::string_view bytes);

/// Compares secrets in a time that depends on their lengths only.
bool equal_in_constant_time(std::string_view left, std::string_view right);

/// Without leading and trailing space, tab, carriage return and line feed.
std::string_view trim(std::string_view text);

/// The lines without their line feed (and carriage return); a last line without one counts, an empty one does not.
std::vector<std::string> split_lines(std::string_view text);

/// For people: "512 B", "20 KiB", "1.5 GiB": one digit after the point below ten.
std::string human_bytes(std::uint64_t bytes);

/// For people: "0.3 s", "12.0 s" below a minute, "2 min 5 s", "1 h 3 min" above; "20 ms" below a tenth of a second.
std::string human_duration(std::chrono::milliseconds duration);

/// Each line of `text`, as split_lines.
template <class OnLine>
void each_line(std::string_view text, const OnLine& on_line) {
  for (const auto& line : split_lines(text)) on_line(line);
}

/// Every `what` in `text` replaced.
std::string replaced(std::string text, std::string_view what, std::string_view by);

/// "1 service", "2 services".
std::string counted(std::size_t count, std::string_view noun);

}  // namespace deploy
