// Nginx's configuration syntax: a file's text as a tree of directives that know the place of every byte, so that an
// editor can change one word and keep all else. What directives mean is nginx_conf's matter. Pure.
// Source: nginx.org, "Beginner's Guide", and how ngx_conf_file.c reads words; tried with 1.22 and 1.30.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/config/diagnostics.hpp"

namespace deploy::adopt {

/// Bytes of a file; the end is not among them.
struct ByteRange {
  std::size_t begin = 0;
  std::size_t end = 0;
  bool operator==(const ByteRange&) const = default;
};

struct NginxWord {
  std::string text;  // what Nginx takes it for: without its quotes, escapes resolved
  ByteRange range;   // with its quotes
};

struct NginxDirective {
  std::size_t file = 0;          // the number that its file was read with
  std::vector<NginxWord> words;  // its name, then its arguments: never empty
  ByteRange range;               // from its name to its `;` or `}`, which is included
  bool is_block = false;
  ByteRange inside;  // of a block: what is between its braces
  std::vector<NginxDirective> children;

  const std::string& name() const { return words.front().text; }
  /// The argument with this number, from 1; empty where it has fewer.
  const std::string& argument(std::size_t number) const;
};

struct NginxSyntax {
  std::vector<NginxDirective> directives;
  std::vector<ByteRange> comments;  // from `#` up to the end of the line, its line break not included
};

/// Nullopt, and one finding in `diagnostics`, where Nginx could not read the text either: what follows the first
/// mistake would be guessed. Limits: 4 MiB, blocks 64 deep, no Lua blocks.
std::optional<NginxSyntax> read_nginx_syntax(const std::string& path, std::size_t file, const std::string& text,
                                             config::Diagnostics& diagnostics);

/// Where a byte stands in a text, both from 1; columns count characters.
struct TextPosition {
  int line = 1;
  int column = 1;
};
TextPosition position_of(std::string_view text, std::size_t offset);

/// The directive as a person would name it: its words, shortened, and nothing that is not UTF-8.
std::string shown(const NginxDirective& directive);

/// The text as one word of a configuration, in quotes where it needs them.
std::string as_nginx_word(const std::string& text);

}  // namespace deploy::adopt
