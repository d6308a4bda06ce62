#include "agent/config/interpolation.hpp"

#include <algorithm>
#include <utility>
#include <vector>

namespace deploy::config {

namespace {

constexpr int depth_max = 16;

bool begins_name(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool continues_name(char c) { return begins_name(c) || (c >= '0' && c <= '9'); }

std::string_view name_at(std::string_view text) {
  if (text.empty() || !begins_name(text[0])) return {};
  auto end = std::ranges::find_if_not(text, continues_name);
  return text.substr(0, static_cast<std::size_t>(end - text.begin()));
}

/// A piece of a template: plain text, or a variable with what follows its name in the braces.
struct Piece {
  std::string_view plain;
  std::string_view name;        // empty: plain text
  char operation = 0;           // '-', '?', '+' or 0
  bool empty_is_unset = false;  // the operation had a colon
  std::string_view argument;
};

/// The pieces of a template, or what is wrong with it.
std::variant<std::vector<Piece>, std::string> split(std::string_view text) {
  std::vector<Piece> pieces;
  while (!text.empty()) {
    auto dollar = std::min(text.find('$'), text.size());
    if (dollar > 0) pieces.push_back({text.substr(0, dollar), {}, 0, false, {}});
    text.remove_prefix(dollar);
    if (text.empty()) break;
    if (text.starts_with("$$")) {
      pieces.push_back({text.substr(0, 1), {}, 0, false, {}});
      text.remove_prefix(2);
      continue;
    }
    if (!text.starts_with("${")) {
      auto name = name_at(text.substr(1));
      if (name.empty()) return "has a `$` that begins no variable";
      pieces.push_back({{}, name, 0, false, {}});
      text.remove_prefix(1 + name.size());
      continue;
    }
    auto end = variable_end(text, 0);
    if (!end) return "has a `${` without its `}`";
    auto inside = text.substr(2, *end - 3);
    text.remove_prefix(*end);
    Piece piece;
    piece.name = name_at(inside);
    if (piece.name.empty()) return "has a `${` that no variable's name follows";
    inside.remove_prefix(piece.name.size());
    if (inside.starts_with(':')) {
      piece.empty_is_unset = true;
      inside.remove_prefix(1);
    }
    if (!inside.empty()) {
      piece.operation = inside[0];
      piece.argument = inside.substr(1);
    }
    bool known = piece.operation == '-' || piece.operation == '?' || piece.operation == '+';
    if (!known && (piece.operation != 0 || piece.empty_is_unset)) {
      return "has something after the name of the variable " + std::string(piece.name) + " that has no meaning there";
    }
    pieces.push_back(piece);
  }
  return pieces;
}

std::optional<std::string> problem_at_depth(std::string_view text, int depth) {
  if (depth > depth_max) return "has variables nested too deeply";
  auto pieces = split(text);
  if (auto* problem = std::get_if<std::string>(&pieces)) return *problem;
  for (const auto& piece : std::get<std::vector<Piece>>(pieces)) {
    // A message is printed as it stands.
    if (piece.operation == 0 || piece.operation == '?') continue;
    if (auto problem = problem_at_depth(piece.argument, depth + 1)) return problem;
  }
  return std::nullopt;
}

std::variant<std::string, MissingVariable> value_of(const Piece& piece, const Lookup& lookup) {
  auto value = lookup(std::string(piece.name));
  bool usable = value && !(piece.empty_is_unset && value->empty());
  if (piece.operation == '+') return usable ? interpolate(piece.argument, lookup) : std::string();
  if (usable) return std::move(*value);
  if (piece.operation == '-') return interpolate(piece.argument, lookup);
  return MissingVariable{std::string(piece.name), piece.empty_is_unset, std::string(piece.argument)};
}

}  // namespace

std::variant<std::string, MissingVariable> interpolate(std::string_view text, const Lookup& lookup) {
  std::string result;
  auto pieces = split(text);
  for (const auto& piece : std::get<std::vector<Piece>>(pieces)) {
    if (piece.name.empty()) {
      result += piece.plain;
      continue;
    }
    auto value = value_of(piece, lookup);
    if (auto* missing = std::get_if<MissingVariable>(&value)) return std::move(*missing);
    result += std::get<std::string>(value);
  }
  return result;
}

std::optional<std::string> template_problem(std::string_view text) { return problem_at_depth(text, 0); }

std::optional<std::size_t> variable_end(std::string_view text, std::size_t start) {
  int depth = 0;
  for (auto at = start; at < text.size(); ++at) {
    if (text.substr(at, 2) == "${") ++depth;
    if (text[at] == '}' && --depth == 0) return at + 1;
  }
  return std::nullopt;
}

}  // namespace deploy::config
