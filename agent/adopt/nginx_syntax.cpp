#include "agent/adopt/nginx_syntax.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "agent/config/scalars.hpp"

namespace deploy::adopt {

namespace {

constexpr std::size_t nginx_file_bytes_max = 4 << 20;
constexpr int nginx_block_depth_max = 64;
constexpr std::size_t shown_characters_max = 80;

bool is_nginx_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

/// The word that stands between quotes or blanks. An unknown escape keeps its backslash, as in regular expressions.
std::string without_escapes(std::string_view raw) {
  std::string word;
  for (std::size_t at = 0; at < raw.size(); ++at) {
    const char next = raw[at] == '\\' && at + 1 < raw.size() ? raw[at + 1] : '\0';
    switch (next) {
      case '"':
      case '\'':
      case '\\':
        word += next;
        break;
      case 't':
        word += '\t';
        break;
      case 'r':
        word += '\r';
        break;
      case 'n':
        word += '\n';
        break;
      default:
        word += raw[at];
        continue;
    }
    ++at;
  }
  return word;
}

std::string shown_words(const std::vector<NginxWord>& words) {
  std::string text;
  for (const auto& word : words) text += (text.empty() ? "" : " ") + word.text;
  std::string clean;
  std::size_t count = 0;
  for (const auto& character : config::split_characters(text)) {
    if (++count > shown_characters_max) return clean + "…";
    const bool plain = !config::invalid_utf8(character) && static_cast<unsigned char>(character.front()) >= 0x20;
    clean += plain ? character : "?";
  }
  return clean;
}

class SyntaxReader {
 public:
  SyntaxReader(const std::string& path, std::size_t file, const std::string& text, config::Diagnostics& diagnostics)
      : path_(path), file_(file), text_(text), diagnostics_(diagnostics) {}

  std::optional<NginxSyntax> read() {
    if (text_.size() > nginx_file_bytes_max) {
      diagnostics_.add(
          {path_, 0, 0, "", "is larger than 4 MiB, which no Nginx configuration is", "is it the right file?"});
      return std::nullopt;
    }
    if (!read_block(syntax_.directives, nullptr, 0)) return std::nullopt;
    return std::move(syntax_);
  }

 private:
  enum class End { statement, block, close, file, mistake };

  /// Nothing that follows a mistake is read.
  End mistake(std::size_t offset, std::string message, std::string hint) {
    const auto position = position_of(text_, offset);
    diagnostics_.add({path_, position.line, position.column, "", std::move(message), std::move(hint)});
    return End::mistake;
  }

  /// The directives up to the end of `open`, the block that they are in; nullptr: up to the end of the file.
  bool read_block(std::vector<NginxDirective>& out, const NginxDirective* open, int depth) {
    for (;;) {
      NginxDirective directive;
      directive.file = file_;
      const auto end = read_words(directive.words);
      if (end == End::mistake) return false;
      if (end == End::file) {
        if (open == nullptr) return true;
        mistake(open->range.begin, fmt::format("the block `{}` is never closed", shown_words(open->words)),
                "add its `}`");
        return false;
      }
      if (end == End::close) {
        if (open != nullptr) return true;
        mistake(at_ - 1, "this `}` closes nothing", "remove it, or look above it for a `{` that is missing");
        return false;
      }
      directive.range = {directive.words.front().range.begin, at_};
      if (end == End::block && !read_inside(directive, depth + 1)) return false;
      out.push_back(std::move(directive));
    }
  }

  bool read_inside(NginxDirective& directive, int depth) {
    if (directive.name().ends_with("_by_lua_block")) {
      mistake(directive.range.begin, fmt::format("holds Lua (`{}`), which deployctl cannot read", directive.name()),
              "move the Lua to a file (`…_by_lua_file`), or write the upstream into this file by hand");
      return false;
    }
    if (depth > nginx_block_depth_max) {
      mistake(directive.range.begin, fmt::format("has blocks more than {} deep", nginx_block_depth_max), "");
      return false;
    }
    directive.is_block = true;
    directive.inside.begin = at_;
    if (!read_block(directive.children, &directive, depth)) return false;
    directive.range.end = at_;
    directive.inside.end = at_ - 1;
    return true;
  }

  /// The words of one directive, up to and with what ends it.
  End read_words(std::vector<NginxWord>& words) {
    while (skip_blanks_and_comments()) {
      const char c = text_[at_];
      if (c == '}') {
        if (!words.empty()) return unfinished(words);
        ++at_;
        return End::close;
      }
      if (c == ';' || c == '{') {
        if (words.empty()) return mistake(at_, fmt::format("no directive stands before this `{}`", c), "remove it");
        ++at_;
        return c == ';' ? End::statement : End::block;
      }
      if (c == '"' || c == '\'') {
        if (read_quoted(words) == End::mistake) return End::mistake;
      } else if (!read_bare(words)) {
        return unfinished(words);
      }
    }
    return words.empty() ? End::file : unfinished(words);
  }

  End unfinished(const std::vector<NginxWord>& words) {
    return mistake(words.front().range.begin, fmt::format("`{}` does not end with `;`", shown_words(words)),
                   "add the `;`");
  }

  bool skip_blanks_and_comments() {
    while (at_ < text_.size()) {
      if (text_[at_] == '#') {
        const auto begin = at_;
        at_ = std::min(text_.find('\n', at_), text_.size());
        const bool has_return = text_[at_ - 1] == '\r';
        syntax_.comments.push_back({begin, has_return ? at_ - 1 : at_});
      } else if (is_nginx_blank(text_[at_])) {
        ++at_;
      } else {
        return true;
      }
    }
    return false;
  }

  End read_quoted(std::vector<NginxWord>& words) {
    const auto begin = at_;
    const char quote = text_[at_++];
    while (at_ < text_.size() && text_[at_] != quote) at_ += text_[at_] == '\\' ? 2 : 1;
    if (at_ >= text_.size()) return mistake(begin, fmt::format("this {} is never closed", quote), "add the other one");
    ++at_;
    words.push_back(
        {without_escapes(std::string_view(text_).substr(begin + 1, at_ - begin - 2)), ByteRange{begin, at_}});
    const char next = at_ < text_.size() ? text_[at_] : ' ';
    // `)` begins a word of its own, so that `if ($a = "b")` can be written.
    if (is_nginx_blank(next) || next == ';' || next == '{' || next == ')') return End::statement;
    return mistake(at_, "a quoted text must be followed by a blank or `;`", "put the quotes around the whole word");
  }

  /// False where the file ends in the word; what there is of it is kept, to be shown.
  bool read_bare(std::vector<NginxWord>& words) {
    const auto begin = at_;
    bool variable = false;  // the byte before was `$`, so `{` is a part of `${name}`
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == '{' && variable) continue;
      variable = c == '$';
      if (c == '\\') {
        ++at_;
      } else if (at_ > begin && (is_nginx_blank(c) || c == ';' || c == '{')) {
        break;
      }
    }
    at_ = std::min(at_, text_.size());
    words.push_back({without_escapes(std::string_view(text_).substr(begin, at_ - begin)), ByteRange{begin, at_}});
    return at_ < text_.size();
  }

  const std::string& path_;
  std::size_t file_;
  const std::string& text_;
  config::Diagnostics& diagnostics_;
  NginxSyntax syntax_;
  std::size_t at_ = 0;
};

}  // namespace

const std::string& NginxDirective::argument(std::size_t number) const {
  static const std::string none;
  return number < words.size() ? words[number].text : none;
}

std::optional<NginxSyntax> read_nginx_syntax(const std::string& path, std::size_t file, const std::string& text,
                                             config::Diagnostics& diagnostics) {
  diagnostics.add_source(path, text);
  return SyntaxReader(path, file, text, diagnostics).read();
}

TextPosition position_of(std::string_view text, std::size_t offset) {
  const auto before = text.substr(0, offset);
  const auto last = before.rfind('\n');
  const auto start = last == std::string_view::npos ? 0 : last + 1;
  TextPosition position;
  position.line = static_cast<int>(std::count(before.begin(), before.end(), '\n')) + 1;
  position.column = static_cast<int>(config::split_characters(before.substr(start)).size()) + 1;
  return position;
}

std::string shown(const NginxDirective& directive) { return shown_words(directive.words); }

std::string as_nginx_word(const std::string& text) {
  const bool plain = !text.empty() && text.front() != '#' && text.find_first_of(" \t\r\n;{}\"'\\") == std::string::npos;
  if (plain) return text;
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "\"";
}

}  // namespace deploy::adopt
