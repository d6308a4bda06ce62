// A YAML file as a tree of nodes that know where they stand. Over yaml-cpp's events, because its own node tree hides
// duplicate keys and lets through much that is certainly a mistake; this is stricter than YAML 1.2: one document,
// UTF-8, no tabs as indentation, no tags, no merge keys, a depth of at most 32, at most 1 MiB.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/config/diagnostics.hpp"

namespace deploy::config {

struct Node {
  enum class Kind { null, scalar, list, map };
  Kind kind = Kind::null;
  int line = 0;         // from 1
  int column = 0;       // from 1, in characters
  bool quoted = false;  // a scalar in quotes, or a block scalar
  std::string text;     // of a scalar
  std::vector<const Node*> items;
  std::vector<std::pair<const Node*, const Node*>> entries;  // in the file's order, duplicates included
};

/// Owns its nodes. An alias is its anchor's node.
class Document {
 public:
  /// Nullptr, and at least one diagnostic, where the text cannot be read as one YAML document whose top is a map.
  /// Adds the text as a source to `diagnostics`; never throws for any text.
  static std::unique_ptr<Document> parse(const std::string& file, const std::string& text, Diagnostics& diagnostics);

  const Node& root() const { return *root_; }

 private:
  friend class TreeBuilder;
  std::deque<Node> nodes_;
  const Node* root_ = nullptr;
};

/// The file's text; nullopt and a diagnostic where it is missing, unreadable, not a regular file or larger than 1 MiB.
std::optional<std::string> read_text(const std::string& file, Diagnostics& diagnostics,
                                     const std::string& missing_hint = "check the path");

}  // namespace deploy::config
