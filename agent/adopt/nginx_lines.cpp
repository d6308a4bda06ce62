#include "agent/adopt/nginx_lines.hpp"

#include <algorithm>
#include <string_view>

namespace deploy::adopt {

namespace {

constexpr std::string_view line_blanks = " \t";

std::size_t line_begin(const std::string& text, std::size_t at) {
  return at == 0 ? 0 : text.rfind('\n', at - 1) + 1;  // npos + 1 is 0
}

/// Of the line break, or of the end of the text.
std::size_t line_end(const std::string& text, std::size_t at) { return std::min(text.find('\n', at), text.size()); }

/// What is before the byte in its line, where that is blank; empty where something stands there.
std::string indentation_before(const std::string& text, std::size_t at) {
  const auto begin = line_begin(text, at);
  const auto before = text.substr(begin, at - begin);
  return before.find_first_not_of(line_blanks) == std::string::npos ? before : "";
}

bool begins_its_line(const std::string& text, std::size_t at) {
  const auto begin = line_begin(text, at);
  return text.find_first_not_of(line_blanks, begin) >= at;
}

/// Does nothing but a comment follow in the line?
bool ends_its_line(const std::string& text, std::size_t at) {
  const auto next = text.find_first_not_of(" \t\r", at);
  return next == std::string::npos || text[next] == '\n' || text[next] == '#';
}

/// The line break of this line; of the first one where this has none.
std::string line_break_at(const std::string& text, std::size_t at) {
  auto end = text.find('\n', at);
  if (end == std::string::npos) end = text.find('\n');
  return end != std::string::npos && end > 0 && text[end - 1] == '\r' ? "\r\n" : "\n";
}

}  // namespace

NginxReplacement lines_after(const std::string& text, const NginxDirective& directive,
                             const std::vector<std::string>& lines) {
  const auto end = directive.range.end;
  const auto next_line = line_end(text, end) + 1;
  if (!ends_its_line(text, end) || next_line > text.size()) {
    std::string added;
    for (const auto& line : lines) added += " " + line;
    return {directive.file, {end, end}, added};
  }
  const auto indentation = indentation_before(text, directive.range.begin);
  const auto line_break = line_break_at(text, end);
  std::string added;
  for (const auto& line : lines) added += indentation + line + line_break;
  return {directive.file, {next_line, next_line}, added};
}

NginxReplacement last_line_in_block(const std::string& text, const NginxDirective& block, const std::string& line) {
  const auto brace = block.inside.end;
  if (!begins_its_line(text, brace)) return {block.file, {brace, brace}, line + " "};
  const auto begin = line_begin(text, brace);
  auto indentation = indentation_before(text, brace) + "    ";
  for (const auto& child : block.children) {
    if (!begins_its_line(text, child.range.begin)) continue;
    indentation = indentation_before(text, child.range.begin);
    break;
  }
  return {block.file, {begin, begin}, indentation + line + line_break_at(text, block.inside.begin)};
}

NginxReplacement last_line_of_file(std::size_t file, const std::string& text, const std::string& line) {
  const auto line_break = line_break_at(text, text.size());
  const bool open = !text.empty() && text.back() != '\n';
  return {file, {text.size(), text.size()}, (open ? line_break : "") + line + line_break};
}

NginxReplacement comments_in_place_of(const std::string& text, const NginxDirective& directive,
                                      const std::vector<std::string>& comments) {
  const auto indentation = indentation_before(text, directive.range.begin);
  const auto line_break = line_break_at(text, directive.range.begin);
  std::string added;
  for (const auto& comment : comments) added += (added.empty() ? "" : line_break + indentation) + comment;
  auto end = directive.range.end;
  if (!ends_its_line(text, end)) {
    added += line_break + indentation;
    end = text.find_first_not_of(line_blanks, end);
  }
  return {directive.file, {directive.range.begin, end}, added};
}

}  // namespace deploy::adopt
