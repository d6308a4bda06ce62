// Picks scalar fields out of a large JSON text without building the document: memory and depth stay bounded whatever is
// sent.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace deploy::webhook {

/// The wanted fields of one JSON text, by dotted path ("repository.full_name"). Accessors throw Error(invalid) with a
/// message that names the path.
class JsonFields {
 public:
  /// Reads `text`, at most `depth_max` levels deep. Throws Error(invalid) where it is not one JSON object, or holds a
  /// wanted path twice.
  JsonFields(std::string_view text, std::set<std::string> wanted, std::size_t depth_max);

  /// Absent or null.
  bool absent(const std::string& path) const;
  std::int64_t integer(const std::string& path) const;
  bool boolean(const std::string& path) const;
  /// At most 512 bytes without control characters.
  std::string text(const std::string& path) const;
  /// The same, or "" where it is absent.
  std::string text_or_empty(const std::string& path) const;
  /// Any text, of any length and with any characters, or "" where it is absent: what people wrote.
  std::string prose_or_empty(const std::string& path) const;
  /// A commit id: 40 lower-case hexadecimal digits.
  std::string commit(const std::string& path) const;

 private:
  const nlohmann::json& at(const std::string& path) const;

  std::map<std::string, nlohmann::json> values_;  // objects and arrays are kept as empty ones, for their type
};

}  // namespace deploy::webhook
