#include "agent/config/yaml_reader.hpp"

#include <algorithm>
#include <charconv>

#include "agent/config/interpolation.hpp"
#include "agent/config/scalars.hpp"

namespace deploy::config {

namespace {

std::string kind_name(const Node& node) {
  switch (node.kind) {
    case Node::Kind::null:
      return "nothing";
    case Node::Kind::scalar:
      return "a single value";
    case Node::Kind::list:
      return "a list";
    case Node::Kind::map:
      return "a map";
  }
  return "";
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const auto& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

template <class Number>
std::optional<Number> parse_number(const std::string& text) {
  Number number{};
  auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (problem != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

}  // namespace

void Value::error(const std::string& what, std::string hint) const {
  auto subject = key_path_.empty() ? std::string("the file") : "`" + key_path_ + "`";
  diagnostics_->add({*file_, node_->line, node_->column, key_path_, subject + " " + what, std::move(hint)});
}

std::string Value::key_path_of(const std::string& key) const { return key_path_.empty() ? key : key_path_ + "." + key; }

bool Value::expect_scalar(const std::string& wanted) const {
  if (is_scalar()) return true;
  if (node_->kind == Node::Kind::null) {
    error("has no value", "give it one (" + wanted + "), or remove the key");
  } else {
    error("must be " + wanted + ", not " + kind_name(*node_));
  }
  return false;
}

std::optional<std::string> Value::text() const {
  if (!expect_scalar("a text")) return std::nullopt;
  if (node_->text.find("${") != std::string::npos) {
    error("cannot hold a variable", "${…} is resolved in `container` and `source.git.args` only");
    return std::nullopt;
  }
  return node_->text;
}

std::optional<std::string> Value::filled_text() const {
  auto result = text();
  if (result && result->empty()) {
    error("is empty", "give it a value, or remove it");
    return std::nullopt;
  }
  return result;
}

std::optional<std::string> Value::template_text() const {
  if (!expect_scalar("a text")) return std::nullopt;
  if (auto problem = template_problem(node_->text)) {
    error(*problem, "write ${NAME}, ${NAME:-default} or ${NAME:?message}; $$ is a dollar sign");
    return std::nullopt;
  }
  return node_->text;
}

std::optional<bool> Value::boolean() const {
  if (!expect_scalar("true or false")) return std::nullopt;
  if (!node_->quoted && node_->text == "true") return true;
  if (!node_->quoted && node_->text == "false") return false;
  error("must be true or false", node_->quoted ? "remove the quotes" : "");
  return std::nullopt;
}

std::optional<std::int64_t> Value::integer(std::int64_t min, std::int64_t max) const {
  auto wanted = "a whole number from " + std::to_string(min) + " to " + std::to_string(max);
  if (!expect_scalar(wanted)) return std::nullopt;
  auto number = parse_number<std::int64_t>(node_->text);
  if (number && !node_->quoted && *number >= min && *number <= max) return number;
  error("must be " + wanted, number && node_->quoted ? "remove the quotes" : "");
  return std::nullopt;
}

std::optional<double> Value::positive_number() const {
  if (!expect_scalar("a number above 0, e.g. 0.5")) return std::nullopt;
  auto number = parse_number<double>(node_->text);
  if (number && *number > 0 && *number <= 1024) return number;
  error("must be a number above 0 and at most 1024, e.g. 0.5");
  return std::nullopt;
}

std::optional<std::chrono::milliseconds> Value::duration(std::chrono::milliseconds min,
                                                         std::chrono::milliseconds max) const {
  if (!expect_scalar("a duration such as 30s")) return std::nullopt;
  auto result = parse_duration(node_->text);
  if (!result) {
    bool only_digits = parse_number<std::int64_t>(node_->text).has_value();
    error("must be a duration such as 500ms, 30s, 5m or 1h", only_digits ? "did you mean `" + node_->text + "s`?" : "");
    return std::nullopt;
  }
  if (*result < min || *result > max) {
    error("must be from " + format_duration(min) + " to " + format_duration(max));
    return std::nullopt;
  }
  return result;
}

std::optional<std::int64_t> Value::size_bytes() const {
  if (!expect_scalar("a size such as 512m")) return std::nullopt;
  auto result = parse_size(node_->text);
  if (!result) error("must be a size such as 512m or 2g");
  return result;
}

std::optional<std::size_t> Value::one_of(const std::vector<std::string>& words) const {
  if (!expect_scalar("one of " + joined(words))) return std::nullopt;
  auto found = std::ranges::find(words, node_->text);
  if (found != words.end()) return static_cast<std::size_t>(found - words.begin());
  error("must be one of " + joined(words) + ", not `" + node_->text + "`", suggestion(node_->text, words));
  return std::nullopt;
}

std::vector<Value> Value::items() const {
  std::vector<Value> result;
  if (!is_list()) {
    error(node_->kind == Node::Kind::null ? "has no value" : "must be a list, not " + kind_name(*node_),
          is_scalar() ? "write [" + node_->text + "]" : "");
    return result;
  }
  for (const auto* item : node_->items) {
    result.emplace_back(*item, key_path_ + "[" + std::to_string(result.size()) + "]", *file_, *diagnostics_);
  }
  return result;
}

std::vector<std::string> Value::texts(std::optional<std::string> (Value::*read)() const) const {
  std::vector<std::string> result;
  for (const auto& item : items()) {
    if (auto text = (item.*read)()) result.push_back(std::move(*text));
  }
  return result;
}

std::vector<Entry> Value::entries() const {
  std::vector<Entry> result;
  if (!is_map()) {
    error(node_->kind == Node::Kind::null ? "has no value" : "must be a map, not " + kind_name(*node_),
          "write keys and values below it, or remove the key");
    return result;
  }
  std::map<std::string, int> first_line;
  for (const auto& [key, value] : node_->entries) {
    Value at_key(*key, key->kind == Node::Kind::scalar ? key_path_of(key->text) : key_path_, *file_, *diagnostics_);
    if (key->kind != Node::Kind::scalar) {
      at_key.error("has a key that is not a text", "");
      continue;
    }
    auto [first, is_new] = first_line.try_emplace(key->text, key->line);
    if (!is_new) {
      at_key.error("is given twice", "the first is on line " + std::to_string(first->second) + ": remove one");
      continue;
    }
    result.push_back({key->text, at_key, Value(*value, at_key.key_path(), *file_, *diagnostics_)});
  }
  return result;
}

std::map<std::string, std::string> Value::template_map() const {
  std::map<std::string, std::string> result;
  if (!is_list()) {
    for (const auto& [key, at_key, value] : entries()) {
      if (value.node().kind == Node::Kind::null) {
        value.error("has no value", "write \"\" for an empty one, or ${" + key + "} to take it from `vars`");
      } else if (auto text = value.template_text()) {
        result[key] = std::move(*text);
      }
    }
    return result;
  }
  for (const auto& item : items()) {
    auto text = item.template_text();
    if (!text) continue;
    auto equals = text->find('=');
    if (equals == std::string::npos || equals == 0) {
      item.error("must be KEY=VALUE",
                 equals == 0 ? "" : "write `" + *text + "=${" + *text + "}` to take it from `vars`");
    } else if (!result.emplace(text->substr(0, equals), text->substr(equals + 1)).second) {
      item.error("sets " + text->substr(0, equals) + " a second time", "remove one");
    }
  }
  return result;
}

Fields::Fields(const Value& map) : map_(map), entries_(map.entries()) {}

std::optional<Value> Fields::find(const std::string& key) {
  known_.push_back(key);
  for (const auto& entry : entries_) {
    if (entry.key == key) return entry.value;
  }
  return std::nullopt;
}

std::optional<Value> Fields::require(const std::string& key, const std::string& hint) {
  auto value = find(key);
  // A wrong type was reported already; what is missing in it would only distract.
  if (!value && map_.is_map()) map_.error("misses the required key `" + key + "`", hint);
  return value;
}

void Fields::text(const std::string& key, std::string& out) {
  if (auto value = find(key)) {
    if (auto text = value->filled_text()) out = std::move(*text);
  }
}

void Fields::template_text(const std::string& key, std::string& out) {
  if (auto value = find(key)) {
    if (auto text = value->template_text()) out = std::move(*text);
  }
}

void Fields::boolean(const std::string& key, bool& out) {
  if (auto value = find(key)) out = value->boolean().value_or(out);
}

void Fields::duration(const std::string& key, std::chrono::milliseconds min, std::chrono::milliseconds max,
                      std::chrono::milliseconds& out) {
  if (auto value = find(key)) out = value->duration(min, max).value_or(out);
}

void Fields::texts(const std::string& key, std::vector<std::string>& out) {
  if (auto value = find(key)) out = value->texts();
}

void Fields::template_texts(const std::string& key, std::vector<std::string>& out) {
  if (auto value = find(key)) out = value->texts(&Value::template_text);
}

void Fields::refuse(const std::string& key, const std::string& what, const std::string& hint) {
  refused_.insert(key);
  for (const auto& entry : entries_) {
    if (entry.key == key) entry.at_key.error(what, hint);
  }
}

void Fields::finish() {
  map_.tell_keys(known_);
  for (const auto& entry : entries_) {
    if (map_.diagnostics_full()) return;
    if (std::ranges::find(known_, entry.key) != known_.end() || refused_.contains(entry.key)) continue;
    entry.at_key.error("is not a known key", suggestion(entry.key, known_));
  }
}

}  // namespace deploy::config
