// One table per enumeration: its values and their stored names, used in both directions.
#pragma once

#include <array>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace deploy::domain {

template <class Value, std::size_t N>
using NameTable = std::array<std::pair<Value, std::string_view>, N>;

template <class Value, std::size_t N>
std::string name_in(const NameTable<Value, N>& table, Value wanted) {
  for (const auto& [value, name] : table) {
    if (value == wanted) return std::string(name);
  }
  throw std::logic_error("an enumeration value without a name");
}

template <class Value, std::size_t N>
std::optional<Value> value_in(const NameTable<Value, N>& table, std::string_view wanted) {
  for (const auto& [value, name] : table) {
    if (wanted == name) return value;
  }
  return std::nullopt;
}

}  // namespace deploy::domain
