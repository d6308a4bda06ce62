#include "agent/engine/dockerignore.hpp"

#include <algorithm>
#include <utility>

#include "agent/base/error.hpp"
#include "agent/base/text.hpp"

namespace deploy::engine {

namespace {

[[noreturn]] void throw_malformed() { throw Error(ErrorKind::invalid, "the pattern is malformed"); }

/// A character of a set; an escaped one stands for itself.
char take_character(std::string_view pattern, std::size_t& position) {
  if (position < pattern.size() && pattern[position] == '\\') ++position;
  if (position >= pattern.size()) throw_malformed();
  return pattern[position++];
}

/// "./a//b/../c/" is "a/c"; a pattern above the context is empty.
std::string clean(std::string_view pattern) {
  std::vector<std::string_view> parts;
  while (!pattern.empty()) {
    const auto part = pattern.substr(0, pattern.find('/'));
    pattern.remove_prefix(std::min(pattern.size(), part.size() + 1));
    if (part == "..") {
      if (!parts.empty()) parts.pop_back();
    } else if (!part.empty() && part != ".") {
      parts.push_back(part);
    }
  }
  std::string cleaned;
  for (const auto& part : parts) {
    if (!cleaned.empty()) cleaned += '/';
    cleaned += part;
  }
  return cleaned;
}

}  // namespace

Glob::Glob(std::string_view pattern) {
  for (std::size_t position = 0; position < pattern.size();) {
    const char c = pattern[position++];
    Token token;
    if (c == '*') {
      token = take_stars(pattern, position);
    } else if (c == '?') {
      token.kind = Token::Kind::any;
    } else if (c == '[') {
      take_set(pattern, position, token);
    } else if (c == '\\') {
      if (position == pattern.size()) throw_malformed();
      token.literal = pattern[position++];
    } else {
      token.literal = c;
    }
    tokens_.push_back(std::move(token));
  }
}

/// Reads the set that begins after '['.
void Glob::take_set(std::string_view pattern, std::size_t& position, Token& token) const {
  token.kind = Token::Kind::set;
  if (position < pattern.size() && pattern[position] == '^') {
    token.negated = true;
    ++position;
  }
  while (position < pattern.size() && pattern[position] != ']') {
    const char low = take_character(pattern, position);
    char high = low;
    if (position < pattern.size() && pattern[position] == '-') {
      ++position;
      if (position < pattern.size() && pattern[position] == ']') throw_malformed();
      high = take_character(pattern, position);
    }
    token.ranges.emplace_back(low, high);
  }
  if (position >= pattern.size() || token.ranges.empty()) throw_malformed();
  ++position;
}

/// Reads what follows the first '*'.
Glob::Token Glob::take_stars(std::string_view pattern, std::size_t& position) {
  Token token;
  token.kind = Token::Kind::run;
  if (position >= pattern.size() || pattern[position] != '*') return token;
  while (position < pattern.size() && pattern[position] == '*') ++position;
  token.kind = Token::Kind::deep_run;
  if (position < pattern.size() && pattern[position] == '/') {
    ++position;
    token.kind = Token::Kind::folders;
  }
  return token;
}

bool Glob::in_set(const Token& token, char c) {
  const bool found = std::any_of(token.ranges.begin(), token.ranges.end(),
                                 [c](const auto& range) { return range.first <= c && c <= range.second; });
  return found != token.negated && c != '/';
}

bool Glob::matches(std::string_view text) const {
  Positions active(tokens_.size() + 1, 0);
  Positions next(active.size(), 0);
  activate(active, 0);
  for (const char c : text) {
    std::fill(next.begin(), next.end(), 0);
    for (std::size_t i = 0; i < tokens_.size(); ++i) {
      if (active[i] != 0) step(next, i, c);
    }
    std::swap(active, next);
  }
  return active.back() != 0;
}

void Glob::activate(Positions& positions, std::size_t i) const {
  const auto may_be_empty = [](Token::Kind kind) {
    return kind == Token::Kind::run || kind == Token::Kind::deep_run || kind == Token::Kind::folders;
  };
  positions[i] = 1;
  while (i < tokens_.size() && may_be_empty(tokens_[i].kind)) positions[++i] = 1;
}

/// Marks which tokens may come next once token `i` has taken `c`.
void Glob::step(Positions& next, std::size_t i, char c) const {
  const auto& token = tokens_[i];
  switch (token.kind) {
    case Token::Kind::literal:
      if (token.literal == c) activate(next, i + 1);
      break;
    case Token::Kind::any:
      if (c != '/') activate(next, i + 1);
      break;
    case Token::Kind::set:
      if (in_set(token, c)) activate(next, i + 1);
      break;
    case Token::Kind::run:
      if (c != '/') activate(next, i);
      break;
    case Token::Kind::deep_run:
      activate(next, i);
      break;
    case Token::Kind::folders:
      // Inside a folder's name what follows may not begin; after its '/' it may.
      next[i] = 1;
      if (c == '/') activate(next, i + 1);
      break;
  }
}

DockerIgnore::DockerIgnore(std::string_view text, const std::string& name) {
  constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";
  if (text.starts_with(byte_order_mark)) text.remove_prefix(byte_order_mark.size());
  int number = 0;
  for (const auto& line : split_lines(text)) {
    ++number;
    if (line.starts_with('#')) continue;
    std::string_view pattern = trim(line);
    const bool negated = pattern.starts_with('!');
    if (negated) pattern = trim(pattern.substr(1));
    const std::string cleaned = clean(pattern);
    if (cleaned.empty()) continue;
    try {
      rules_.push_back({negated, Glob(cleaned)});
    } catch (const Error&) {
      throw Error(ErrorKind::invalid, name + ":" + std::to_string(number) + ": the pattern \"" + line +
                                          "\" is malformed; close its [ or write \\[ for the character itself");
    }
  }
}

bool DockerIgnore::ignores(std::string_view path) const {
  bool ignored = false;
  for (const auto& rule : rules_) {
    if (rule.negated != ignored) continue;  // it could only say what is so already
    bool matches = rule.glob.matches(path);
    for (auto slash = path.find('/'); !matches && slash != std::string_view::npos; slash = path.find('/', slash + 1)) {
      matches = rule.glob.matches(path.substr(0, slash));
    }
    if (matches) ignored = !rule.negated;
  }
  return ignored;
}

}  // namespace deploy::engine
