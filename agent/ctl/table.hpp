// Tables for people: columns two spaces apart, aligned by what a terminal shows. Nothing is ever cut off.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace deploy::ctl {

enum class Colour { none, green, yellow, red };

/// The text in a colour, or as it is where `enabled` is false.
std::string coloured(std::string_view text, Colour colour, bool enabled);

struct Cell {
  std::string text;  // made printable by the table; empty is shown as "-"
  Colour colour = Colour::none;
};

class Table {
 public:
  explicit Table(std::vector<std::string> headings) : headings_(std::move(headings)) {}

  /// As many cells as there are headings.
  void add(std::vector<Cell> row);

  /// One line for the headings and one for each row, without spaces at their ends.
  std::string render(bool colours) const;

 private:
  std::vector<std::string> headings_;
  std::vector<std::vector<Cell>> rows_;
};

}  // namespace deploy::ctl
