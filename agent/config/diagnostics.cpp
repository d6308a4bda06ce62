#include "agent/config/diagnostics.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <tuple>

#include "agent/config/scalars.hpp"

namespace deploy::config {

namespace {

/// A longer line is shown only around the column, in characters.
constexpr std::size_t shown_characters_max = 160;

/// A line longer than this was not written by a person, and is not shown.
constexpr std::size_t shown_line_bytes_max = 4096;

std::vector<std::string> split_lines(const std::string& text) {
  std::vector<std::string> lines;
  std::size_t start = 0;
  while (start <= text.size()) {
    auto end = std::min(text.find('\n', start), text.size());
    auto line = text.substr(start, end - start);
    if (line.ends_with('\r')) line.pop_back();
    lines.push_back(std::move(line));
    start = end + 1;
  }
  return lines;
}

/// The line and, below it, a caret under the character at `column` (from 1).
std::string line_with_caret(const std::string& line, int column) {
  auto characters = split_characters(line);
  auto at = std::min(static_cast<std::size_t>(column - 1), characters.size());
  std::size_t first = 0;
  auto last = characters.size();
  if (last > shown_characters_max) {
    first = at > shown_characters_max / 2 ? at - shown_characters_max / 2 : 0;
    last = std::min(last, first + shown_characters_max);
  }
  std::string shown = first > 0 ? "..." : "";
  std::string below(shown.size(), ' ');
  for (auto index = first; index < last; ++index) {
    shown += characters[index];
    if (index >= at) continue;
    below += characters[index] == "\t" ? "\t" : std::string(is_wide(characters[index]) ? 2 : 1, ' ');
  }
  if (last < characters.size()) shown += "...";
  return "  " + shown + "\n  " + below + "^\n";
}

}  // namespace

std::size_t Diagnostics::rank_of(const std::string& file) {
  return rank_.try_emplace(file, rank_.size()).first->second;
}

void Diagnostics::add_source(const std::string& file, const std::string& text) {
  rank_of(file);
  lines_[file] = split_lines(text);
}

void Diagnostics::add(Diagnostic diagnostic) {
  if (full()) return;
  rank_of(diagnostic.file);
  found_.push_back(std::move(diagnostic));
}

std::vector<Diagnostic> Diagnostics::sorted() const {
  auto result = found_;
  std::ranges::stable_sort(
      result, {}, [this](const Diagnostic& one) { return std::tuple(rank_.at(one.file), one.line, one.column); });
  return result;
}

std::string Diagnostics::render_one(const Diagnostic& diagnostic) const {
  auto text = diagnostic.file;
  if (diagnostic.line > 0) {
    text += ":" + std::to_string(diagnostic.line) + ":" + std::to_string(diagnostic.column);
  }
  text += ": error: " + diagnostic.message + "\n";
  auto lines = lines_.find(diagnostic.file);
  auto index = static_cast<std::size_t>(diagnostic.line);
  if (index > 0 && lines != lines_.end() && index <= lines->second.size()) {
    const auto& line = lines->second[index - 1];
    if (!line.empty() && line.size() <= shown_line_bytes_max) text += line_with_caret(line, diagnostic.column);
  }
  if (!diagnostic.hint.empty()) text += "  hint: " + diagnostic.hint + "\n";
  return text;
}

std::string Diagnostics::render() const {
  std::string text;
  for (const auto& diagnostic : sorted()) text += render_one(diagnostic);
  if (full()) text += "and there may be more: only " + std::to_string(findings_max) + " errors are listed\n";
  return text;
}

nlohmann::json Diagnostics::to_json_value() const {
  auto list = nlohmann::json::array();
  for (const auto& one : sorted()) {
    list.push_back({{"file", one.file},
                    {"line", one.line},
                    {"column", one.column},
                    {"key_path", one.key_path},
                    {"message", one.message},
                    {"hint", one.hint}});
  }
  return list;
}

}  // namespace deploy::config
