// A cursor over a YAML document that reads typed fields. Nothing throws for what a user wrote: each read adds what is
// wrong to the Diagnostics, leaves the output as it was, and goes on.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "agent/config/diagnostics.hpp"
#include "agent/config/yaml_document.hpp"

namespace deploy::config {

/// Where a value stands, for findings that are made later.
struct Place {
  std::string file;
  int line = 0;
  int column = 0;
  std::string key_path;
};

struct Entry;

/// One value. Cheap to copy; the document and the diagnostics must outlive it.
class Value {
 public:
  Value(const Node& node, std::string key_path, const std::string& file, Diagnostics& diagnostics)
      : node_(&node), key_path_(std::move(key_path)), file_(&file), diagnostics_(&diagnostics) {}

  const Node& node() const { return *node_; }
  const std::string& key_path() const { return key_path_; }
  Place place() const { return {*file_, node_->line, node_->column, key_path_}; }
  bool is_list() const { return node_->kind == Node::Kind::list; }
  bool is_map() const { return node_->kind == Node::Kind::map; }
  bool is_scalar() const { return node_->kind == Node::Kind::scalar; }

  bool diagnostics_full() const { return diagnostics_->full(); }
  void tell_keys(const std::vector<std::string>& keys) const { diagnostics_->tell_keys(key_path_, keys); }

  /// Adds "`key.path` <what>" at this value.
  void error(const std::string& what, std::string hint = "") const;

  /// Any scalar's text as it stands ("1.0" and "no" are texts). Refuses "${": see template_text.
  std::optional<std::string> text() const;
  /// As text(), but not empty.
  std::optional<std::string> filled_text() const;
  /// A text in which ${VAR} will be resolved; what is not valid there is refused.
  std::optional<std::string> template_text() const;
  std::optional<bool> boolean() const;
  std::optional<std::int64_t> integer(std::int64_t min, std::int64_t max) const;
  /// Above zero; quotes are allowed, as in Compose.
  std::optional<double> positive_number() const;
  std::optional<std::chrono::milliseconds> duration(std::chrono::milliseconds min, std::chrono::milliseconds max) const;
  std::optional<std::int64_t> size_bytes() const;
  /// One of these words; the answer is an index into them.
  std::optional<std::size_t> one_of(const std::vector<std::string>& words) const;
  /// The values of a list; none where it is something else.
  std::vector<Value> items() const;
  /// The text of each item; `read` is one of the functions above.
  std::vector<std::string> texts(std::optional<std::string> (Value::*read)() const = &Value::filled_text) const;
  /// What a map holds, in the file's order; duplicate keys are reported and left out.
  std::vector<Entry> entries() const;
  /// A map of texts with ${VAR}, or a list of "KEY=VALUE" as Compose allows.
  std::map<std::string, std::string> template_map() const;

 private:
  bool expect_scalar(const std::string& wanted) const;
  std::string key_path_of(const std::string& key) const;

  const Node* node_;
  std::string key_path_;
  const std::string* file_;
  Diagnostics* diagnostics_;
};

/// One key of a map. The key is a value, too, so that errors can point at it.
struct Entry {
  std::string key;
  Value at_key;
  Value value;
};

/// The fields of a map. Each key that may be there is asked for by name; finish() reports the others.
class Fields {
 public:
  explicit Fields(const Value& map);

  std::optional<Value> find(const std::string& key);
  /// As find; reports a key that is not there. `hint` says what to write.
  std::optional<Value> require(const std::string& key, const std::string& hint);

  /// Reads a field into `out` where it is there and right.
  void text(const std::string& key, std::string& out);
  void template_text(const std::string& key, std::string& out);
  void boolean(const std::string& key, bool& out);
  template <class Integer>
  void integer(const std::string& key, std::int64_t min, std::int64_t max, Integer& out) {
    if (auto value = find(key)) {
      if (auto number = value->integer(min, max)) out = static_cast<Integer>(*number);
    }
  }
  void duration(const std::string& key, std::chrono::milliseconds min, std::chrono::milliseconds max,
                std::chrono::milliseconds& out);
  void texts(const std::string& key, std::vector<std::string>& out);
  void template_texts(const std::string& key, std::vector<std::string>& out);

  /// Reports the key, where it is there, with this message instead of "unknown key".
  void refuse(const std::string& key, const std::string& what, const std::string& hint = "");

  /// Reports every key that was not asked for, with the nearest one that was.
  void finish();

  const Value& map() const { return map_; }

 private:
  Value map_;
  std::vector<Entry> entries_;
  std::vector<std::string> known_;
  std::set<std::string> refused_;
};

}  // namespace deploy::config
