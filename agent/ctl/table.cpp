#include "agent/ctl/table.hpp"

#include <algorithm>
#include <cassert>

#include "agent/ctl/text.hpp"

namespace deploy::ctl {

std::string coloured(std::string_view text, Colour colour, bool enabled) {
  if (!enabled || colour == Colour::none) return std::string(text);
  // ECMA-48, SGR: 32 green, 33 yellow, 31 red, 0 as before.
  const char* code = colour == Colour::green ? "\x1b[32m" : colour == Colour::yellow ? "\x1b[33m" : "\x1b[31m";
  return code + std::string(text) + "\x1b[0m";
}

void Table::add(std::vector<Cell> row) {
  assert(row.size() == headings_.size());
  for (auto& cell : row) {
    cell.text = printable(cell.text);
    if (cell.text.empty()) cell.text = "-";
  }
  rows_.push_back(std::move(row));
}

std::string Table::render(bool colours) const {
  std::vector<std::size_t> widths;
  for (const auto& heading : headings_) widths.push_back(columns_of(heading));
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], columns_of(row[i].text));
  }
  std::string result;
  const auto add_cell = [&](const Cell& cell, std::size_t column) {
    result += coloured(cell.text, cell.colour, colours);
    const bool last = column + 1 == widths.size();
    result += last ? "\n" : std::string(widths[column] - columns_of(cell.text) + 2, ' ');
  };
  for (std::size_t i = 0; i < headings_.size(); ++i) add_cell({headings_[i]}, i);
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) add_cell(row[i], i);
  }
  return result;
}

}  // namespace deploy::ctl
