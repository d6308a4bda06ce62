// Text as a terminal shows it: widths, control characters, times. Pure functions.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "agent/ctl/environment.hpp"

namespace deploy::ctl {

/// One line that cannot steer the terminal: line breaks and tabs become spaces, and other control characters and bytes
/// that are not UTF-8 become "?". What came from a container, a commit or a person passes through here before it is
/// printed.
std::string printable(std::string_view text);

/// The columns that printable text takes: two for Hangul and other East Asian characters, none for combining marks.
std::size_t columns_of(std::string_view printable_text);

/// As much of the text as fits, with "…" at its end where something was cut off.
std::string fit(std::string_view printable_text, std::size_t columns);

/// A time of the API's views; nullopt for "" and for what is not one.
std::optional<std::chrono::system_clock::time_point> parse_time(std::string_view iso);

/// "2026-07-01 18:30:05" and "18:30:05" in the user's time zone; "-" for no time.
std::string local_time(std::string_view iso, const Environment& environment);
std::string local_clock(std::string_view iso, const Environment& environment);

/// How long it took, for people; "-" where it has not started or not ended.
std::string took(std::string_view started, std::string_view finished);

}  // namespace deploy::ctl
