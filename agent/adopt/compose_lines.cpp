#include "agent/adopt/compose_lines.hpp"

#include <algorithm>
#include <cctype>
#include <utility>

#include "agent/base/text.hpp"

namespace deploy::adopt {

namespace {

std::size_t indent_of(const std::string& line) { return std::min(line.find_first_not_of(' '), line.size()); }

bool is_empty(const std::string& line) {
  const auto text = trim(line);
  return text.empty() || text.starts_with('#');
}

/// Where a comment begins; the end of the text where there is none.
std::size_t comment_in(std::string_view text) {
  char quote = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quote != 0) {
      if (c == quote) quote = 0;
    } else if (c == '"' || c == '\'') {
      quote = c;
    } else if (c == '#' && (i == 0 || text[i - 1] == ' ' || text[i - 1] == '\t')) {
      return i;
    }
  }
  return text.size();
}

std::string unquoted(std::string_view text) {
  text = trim(text);
  const bool quoted = text.size() >= 2 && (text.front() == '"' || text.front() == '\'') && text.back() == text.front();
  return std::string(quoted ? text.substr(1, text.size() - 2) : text);
}

/// The value without the anchor before it.
std::string without_anchor(std::string_view value) {
  value = trim(value);
  if (value.starts_with('&')) value = trim(value.substr(std::min(value.find(' '), value.size())));
  return std::string(value);
}

/// A key at the beginning of a line, and what follows its colon.
std::optional<std::pair<std::string, std::string>> key_in(const std::string& line) {
  const auto content = std::string_view(line).substr(indent_of(line));
  if (content.empty() || content.front() == '#' || content.front() == '-' || content.front() == '?')
    return std::nullopt;
  const auto text = content.substr(0, comment_in(content));
  std::size_t colon = 0;
  if (text.front() == '"' || text.front() == '\'') {
    const auto close = text.find(text.front(), 1);
    if (close == std::string_view::npos) return std::nullopt;
    colon = text.find(':', close);
  } else {
    colon = text.find(": ");
    if (colon == std::string_view::npos && trim(text).ends_with(':')) colon = trim(text).size() - 1;
  }
  if (colon == std::string_view::npos) return std::nullopt;
  return std::pair(unquoted(text.substr(0, colon)), without_anchor(text.substr(colon + 1)));
}

}  // namespace

ComposeLines::ComposeLines(const std::string& text) {
  if (text.find("\r\n") != std::string::npos) line_end_ = "\r\n";
  ends_with_line_ = text.ends_with('\n');
  lines_ = split_lines(text);
  for (const auto& line : lines_) {
    if (is_empty(line) || indent_of(line) == 0) continue;
    step_ = indent_of(line);
    break;
  }
}

std::vector<ComposeKey> ComposeLines::keys_between(std::size_t from, std::size_t end,
                                                   std::optional<std::size_t> above) const {
  std::vector<ComposeKey> keys;
  std::optional<std::size_t> indent;
  for (auto at = from; at < end; ++at) {
    if (is_empty(lines_[at])) continue;
    if (!indent) indent = indent_of(lines_[at]);
    if (above && *indent <= *above) return {};
    if (indent_of(lines_[at]) != *indent) continue;
    const auto key = key_in(lines_[at]);
    if (!key) continue;
    ComposeKey found{key->first, at, at + 1, *indent, key->second};
    for (auto next = at + 1; next < end; ++next) {
      if (is_empty(lines_[next])) continue;
      // A list's items may stand as far left as its key.
      const bool is_item = indent_of(lines_[next]) == *indent && lines_[next][*indent] == '-';
      if (indent_of(lines_[next]) <= *indent && !is_item) break;
      found.end = next + 1;
    }
    keys.push_back(std::move(found));
  }
  return keys;
}

std::vector<ComposeKey> ComposeLines::keys() const { return keys_between(0, lines_.size(), std::nullopt); }

std::vector<ComposeKey> ComposeLines::keys(const ComposeKey& of) const {
  return keys_between(of.at + 1, of.end, of.indent);
}

std::optional<ComposeKey> ComposeLines::find(std::string_view name) const {
  const auto all = keys();
  const auto found = std::ranges::find(all, name, &ComposeKey::name);
  return found == all.end() ? std::nullopt : std::optional(*found);
}

std::optional<ComposeKey> ComposeLines::find(const ComposeKey& of, std::string_view name) const {
  const auto all = keys(of);
  const auto found = std::ranges::find(all, name, &ComposeKey::name);
  return found == all.end() ? std::nullopt : std::optional(*found);
}

std::vector<std::pair<std::size_t, std::string>> ComposeLines::items(const ComposeKey& of) const {
  std::vector<std::pair<std::size_t, std::string>> found;
  std::optional<std::size_t> indent;
  for (auto at = of.at + 1; at < of.end; ++at) {
    const auto& line = lines_[at];
    if (is_empty(line)) continue;
    if (!indent) indent = indent_of(line);
    const auto content = std::string_view(line).substr(indent_of(line));
    if (indent_of(line) != *indent || !content.starts_with('-')) continue;
    found.emplace_back(at, unquoted(content.substr(1, comment_in(content) - 1)));
  }
  return found;
}

std::vector<std::string> ComposeLines::flow_items(const std::string& value) {
  std::vector<std::string> found;
  if (!value.starts_with('[') || !value.ends_with(']')) return found;
  const auto inner = std::string_view(value).substr(1, value.size() - 2);
  for (std::size_t at = 0; at <= inner.size();) {
    const auto end = std::min(inner.find(',', at), inner.size());
    if (auto item = unquoted(inner.substr(at, end - at)); !item.empty()) found.push_back(std::move(item));
    at = end + 1;
  }
  return found;
}

void ComposeLines::remove(std::size_t from, std::size_t end) {
  for (auto at = from; at < end; ++at) replaced_[at] = std::nullopt;
}

std::string ComposeLines::text() const {
  std::vector<std::string> all;
  const auto add = [&](const std::map<std::size_t, std::vector<std::string>>& lines, std::size_t at) {
    const auto found = lines.find(at);
    if (found != lines.end()) all.insert(all.end(), found->second.begin(), found->second.end());
  };
  for (std::size_t at = 0; at <= lines_.size(); ++at) {
    if (at > 0) add(appended_, at - 1);
    add(inserted_, at);
    if (at == lines_.size()) break;
    const auto changed = replaced_.find(at);
    if (changed == replaced_.end()) {
      all.push_back(lines_[at]);
    } else if (changed->second) {
      all.push_back(*changed->second);
    }
  }
  std::string text;
  for (std::size_t i = 0; i < all.size(); ++i) {
    text += all[i];
    if (i + 1 < all.size() || ends_with_line_) text += line_end_;
  }
  return text;
}

}  // namespace deploy::adopt
