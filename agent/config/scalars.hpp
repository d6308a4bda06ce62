// The small languages inside of values: durations, sizes, shell words, UTF-8; and guessing what was meant. Pure
// functions.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace deploy::config {

/// "500ms", "30s", "5m", "1h", "1m30s", or "0". Nullopt for anything else, and for more than 10 years.
std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);

/// The shortest text that parse_duration reads back, e.g. "2m" for 120 s.
std::string format_duration(std::chrono::milliseconds duration);

/// Bytes of "512", "512b", "64k", "512m", "1.5g" and the same with a "b" after the unit; a unit is 1024 of the one
/// before. Source: Compose specification, "Specifying byte values". Nullopt for anything else, and from 2^53 bytes on.
std::optional<std::int64_t> parse_size(std::string_view text);

/// Splits a command line into words by a shell's rules for blanks, quotes and backslashes, and nothing else of a shell:
/// no globs, no pipes. "${…}" stays in one word. Nullopt where a quote is not closed.
std::optional<std::vector<std::string>> split_words(std::string_view text);

/// The candidate nearest to what was written, by edit distance (a swap of neighbours counts once); nullopt where none
/// is near.
std::optional<std::string> nearest(std::string_view written, const std::vector<std::string>& candidates);

/// "did you mean `x`?", or nothing.
std::string suggestion(std::string_view written, const std::vector<std::string>& candidates);

/// The byte offset of the first byte that is not valid UTF-8 (RFC 3629); nullopt where all is.
std::optional<std::size_t> invalid_utf8(std::string_view text);

/// The characters (code points) of valid UTF-8, one string each.
std::vector<std::string> split_characters(std::string_view text);

/// Does a terminal show this character two columns wide, as it does Hangul and other East Asian characters?
bool is_wide(std::string_view character);

}  // namespace deploy::config
