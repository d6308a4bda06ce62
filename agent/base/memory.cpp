#include "agent/base/memory.hpp"

#include <charconv>
#include <fstream>
#include <iterator>
#include <string>

#include "agent/base/text.hpp"

namespace deploy {

std::optional<std::int64_t> parse_available_memory(std::string_view meminfo) {
  constexpr std::string_view name = "MemAvailable:";
  for (const auto& line : split_lines(meminfo)) {
    if (!line.starts_with(name)) continue;
    const auto value = trim(std::string_view(line).substr(name.size()));
    std::int64_t kilobytes = 0;
    const auto [end, problem] = std::from_chars(value.data(), value.data() + value.size(), kilobytes);
    if (problem != std::errc()) return std::nullopt;
    return kilobytes * 1024;
  }
  return std::nullopt;
}

std::optional<std::int64_t> available_memory() {
  std::ifstream file("/proc/meminfo");
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  return parse_available_memory(text);
}

}  // namespace deploy
