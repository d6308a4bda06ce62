// Where in a configuration's text a line is put, so that what stands around it stays as it is: indentation, line ends
// and comments are those of the neighbours. Pure.
#pragma once

#include <string>
#include <vector>

#include "agent/adopt/nginx_levels.hpp"

namespace deploy::adopt {

/// New directives behind this one: on lines of their own where it ends its line, else on its line.
NginxReplacement lines_after(const std::string& text, const NginxDirective& directive,
                             const std::vector<std::string>& lines);

/// A new directive at the end of a block.
NginxReplacement last_line_in_block(const std::string& text, const NginxDirective& block, const std::string& line);

/// A new directive at the end of a file.
NginxReplacement last_line_of_file(std::size_t file, const std::string& text, const std::string& line);

/// Comments in the place of a directive; each begins with `#`.
NginxReplacement comments_in_place_of(const std::string& text, const NginxDirective& directive,
                                      const std::vector<std::string>& comments);

}  // namespace deploy::adopt
