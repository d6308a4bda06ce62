#include "agent/config/yaml_document.hpp"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string_view>
#include <system_error>

#include "agent/config/scalars.hpp"

namespace deploy::config {

namespace {

constexpr std::size_t file_bytes_max = 1 << 20;
constexpr std::size_t depth_max = 32;

/// Ends the parsing of a file; what() never reaches a user.
struct Stop {
  YAML::Mark mark;
  std::string message;
  std::string hint;
};

/// What yaml-cpp 0.7 and 0.8 call these, in words that help.
std::pair<std::string, std::string> explain(const std::string& message) {
  const std::string quote = "a value that holds `: `, ` #`, `{`, `[`, `@`, a backtick or `%` needs quotes";
  if (message == "illegal map value")
    return {"a `:` where no key can be", quote + "; keys of one map stand in one column"};
  if (message == "unknown token") return {"a character that cannot begin a value", quote};
  if (message == "end of map not found") {
    return {"this line belongs neither to the map above it nor outside of it", "keys of one map stand in one column"};
  }
  if (message == "end of map flow not found") return {"`{` without its `}`", quote};
  if (message == "end of sequence flow not found") return {"`[` without its `]`", quote};
  if (message == "illegal flow end") return {"`}` or `]` without its opening bracket", quote};
  if (message.starts_with("the referenced anchor is not defined"))  // 0.8 appends the name
    return {"an alias (`*name`) of an anchor that does not exist", ""};
  return {"not valid YAML: " + message, ""};
}

/// The lines of a text. yaml-cpp's marks count bytes.
class Text {
 public:
  explicit Text(const std::string& text) {
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) lines_.push_back(std::move(line));
  }

  /// The mark's column in characters, from 1. Marks mostly come in order: what was counted last is not counted again,
  /// for all of a JSON file may stand in one line.
  int column_of(const YAML::Mark& mark) {
    auto line = static_cast<std::size_t>(mark.line);
    auto bytes = static_cast<std::size_t>(mark.column);
    if (line >= lines_.size()) return mark.column + 1;
    if (line != counted_line_ || bytes < counted_bytes_) {
      counted_line_ = line;
      counted_bytes_ = 0;
      counted_characters_ = 0;
    }
    for (; counted_bytes_ < std::min(bytes, lines_[line].size()); ++counted_bytes_) {
      auto byte = static_cast<unsigned char>(lines_[line][counted_bytes_]);
      if ((byte & 0xC0U) != 0x80) ++counted_characters_;
    }
    return counted_characters_ + 1;
  }

  /// Does a quoted scalar begin at the mark that is never closed? yaml-cpp 0.7 takes the rest of the file for it.
  bool quote_is_open(const YAML::Mark& mark) const {
    auto line = static_cast<std::size_t>(mark.line);
    auto at = static_cast<std::size_t>(mark.column);
    if (line >= lines_.size() || at >= lines_[line].size()) return false;
    auto quote = lines_[line][at++];
    if (quote != '"' && quote != '\'') return false;
    for (; line < lines_.size(); ++line, at = 0) {
      const auto& text = lines_[line];
      for (; at < text.size(); ++at) {
        if (quote == '"' && text[at] == '\\') {
          ++at;
        } else if (text[at] == quote) {
          bool doubled = quote == '\'' && at + 1 < text.size() && text[at + 1] == quote;
          if (!doubled) return false;
          ++at;
        }
      }
    }
    return true;
  }

 private:
  std::vector<std::string> lines_;
  std::size_t counted_line_ = std::string::npos;
  std::size_t counted_bytes_ = 0;
  int counted_characters_ = 0;
};

}  // namespace

class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(Document& document, Text& text) : document_(document), text_(text) {}

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (document_.root_) throw Stop{mark, "a second document", "one file holds one document: remove the `---`"};
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    auto* node = make(Node::Kind::null, mark, anchor);
    // yaml-cpp's mark is that of whatever comes next, so an empty value stands where its key does.
    bool is_value = !open_.empty() && !open_.back()->entries.empty() && !open_.back()->entries.back().second;
    if (is_value) {
      node->line = open_.back()->entries.back().first->line;
      node->column = open_.back()->entries.back().first->column;
    }
    append(node);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (std::ranges::find(open_, anchors_.at(anchor)) != open_.end()) {
      throw Stop{mark, "an alias inside of its own anchor", "write the value out"};
    }
    append(anchors_.at(anchor));
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    bool is_string = tag == "!" || tag == "tag:yaml.org,2002:str";
    if (!is_string) refuse_tag(mark, tag);
    if (is_string && text_.quote_is_open(mark)) throw Stop{mark, "a quote that is never closed", ""};
    if (value == "<<" && !is_string) {
      throw Stop{mark, "merge keys (`<<`) are not supported", "write the keys out, or use an alias for a whole value"};
    }
    auto* node = make(Node::Kind::scalar, mark, anchor);
    node->quoted = is_string;
    node->text = value;
    append(node);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value /*style*/) override {
    open(Node::Kind::list, mark, tag, anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value /*style*/) override {
    open(Node::Kind::map, mark, tag, anchor);
  }
  void OnMapEnd() override { close(); }

 private:
  static void refuse_tag(const YAML::Mark& mark, const std::string& tag) {
    if (!tag.empty() && tag != "?")
      throw Stop{mark, "tags (`!…`) are not supported", "quote a value that begins with `!`"};
  }

  Node* make(Node::Kind kind, const YAML::Mark& mark, YAML::anchor_t anchor) {
    auto& node = document_.nodes_.emplace_back();
    node.kind = kind;
    node.line = mark.line + 1;
    node.column = text_.column_of(mark);
    if (anchor != 0) anchors_[anchor] = &node;
    return &node;
  }

  void append(const Node* node) {
    if (open_.empty()) {
      document_.root_ = node;
    } else if (auto* parent = open_.back(); parent->kind == Node::Kind::list) {
      parent->items.push_back(node);
    } else if (parent->entries.empty() || parent->entries.back().second) {
      parent->entries.emplace_back(node, nullptr);
    } else {
      parent->entries.back().second = node;
    }
  }

  void open(Node::Kind kind, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    refuse_tag(mark, tag);
    if (open_.size() == depth_max) throw Stop{mark, "nested deeper than " + std::to_string(depth_max) + " levels", ""};
    auto* node = make(kind, mark, anchor);
    append(node);
    open_.push_back(node);
  }

  void close() { open_.pop_back(); }

  Document& document_;
  Text& text_;
  std::vector<Node*> open_;
  std::map<YAML::anchor_t, Node*> anchors_;
};

namespace {

/// What yaml-cpp reads without a word although it is certainly a mistake. True where the text can be parsed.
bool check_characters(const std::string& file, const std::string& text, Diagnostics& diagnostics) {
  std::size_t line_start = 0;
  int line = 1;
  auto add = [&](std::size_t offset, std::string message, std::string hint) {
    auto before = std::string_view(text).substr(line_start, offset - line_start);
    auto column = static_cast<int>(split_characters(before).size()) + 1;
    diagnostics.add({file, line, column, "", std::move(message), std::move(hint)});
    return false;
  };
  auto broken = invalid_utf8(text);
  // Between brackets, as in all of a JSON file, a tab is a blank like any other.
  auto first = text.find_first_not_of(" \t\r\n");
  bool tabs_allowed = first != std::string::npos && text[first] == '{';
  bool ok = true;
  bool indentation = true;
  for (std::size_t at = 0; at < text.size(); ++at) {
    auto c = static_cast<unsigned char>(text[at]);
    if (at == broken) {
      // The source line cannot be shown.
      diagnostics.add_source(file, "");
      return add(at, "not UTF-8", "save the file as UTF-8, e.g. with iconv -t UTF-8");
    }
    if (c == '\t' && indentation && !tabs_allowed) {
      ok = add(at, "a tab in the indentation", "indent with spaces");
      indentation = false;
    }
    if (c == 0x7F || (c < 0x20 && c != '\t' && c != '\n' && c != '\r')) {
      return add(at, "a control character (byte " + std::to_string(c) + ")",
                 "remove it, or write it as an escape in quotes");
    }
    indentation = c == '\n' || (indentation && c == ' ');
    if (c == '\n') {
      line_start = at + 1;
      ++line;
    }
  }
  return ok;
}

void parse_events(const std::string& text, TreeBuilder& builder) {
  std::istringstream in(text);
  YAML::Parser parser(in);
  while (parser.HandleNextDocument(builder)) {
  }
}

}  // namespace

std::unique_ptr<Document> Document::parse(const std::string& file, const std::string& original,
                                          Diagnostics& diagnostics) {
  // A byte order mark would count as a column.
  auto text = original.starts_with("\xEF\xBB\xBF") ? original.substr(3) : original;
  diagnostics.add_source(file, text);
  if (!check_characters(file, text, diagnostics)) return nullptr;
  auto document = std::make_unique<Document>();
  Text lines(text);
  auto stopped = [&](const YAML::Mark& mark, std::string message, std::string hint) {
    diagnostics.add({file, mark.line + 1, lines.column_of(mark), "", std::move(message), std::move(hint)});
  };
  try {
    TreeBuilder builder(*document, lines);
    parse_events(text, builder);
  } catch (const Stop& stop) {
    stopped(stop.mark, stop.message, stop.hint);
    return nullptr;
  } catch (const YAML::Exception& error) {
    auto [message, hint] = explain(error.msg);
    stopped(error.mark, message, hint);
    return nullptr;
  }
  if (!document->root_) {
    diagnostics.add({file, 0, 0, "", "the file is empty", "docs/configuration.md has an example"});
    return nullptr;
  }
  if (document->root_->kind != Node::Kind::map) {
    const auto& root = *document->root_;
    diagnostics.add(
        {file, root.line, root.column, "", "the file must hold a map of keys and values", "write `key: value`"});
    return nullptr;
  }
  return document;
}

std::optional<std::string> read_text(const std::string& file, Diagnostics& diagnostics,
                                     const std::string& missing_hint) {
  auto refuse = [&](std::string message, std::string hint) {
    diagnostics.add({file, 0, 0, "", std::move(message), std::move(hint)});
    return std::nullopt;
  };
  std::error_code problem;
  auto status = std::filesystem::status(file, problem);
  if (status.type() == std::filesystem::file_type::not_found) return refuse("there is no such file", missing_hint);
  if (problem) return refuse("cannot be read: " + problem.message(), "check its permissions and those of its folder");
  if (!std::filesystem::is_regular_file(status)) return refuse("is not a regular file", "");
  std::ifstream in(file, std::ios::binary);
  if (!in) return refuse("cannot be read: " + std::generic_category().message(errno), "check its permissions");
  std::string text(file_bytes_max + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (in.bad()) return refuse("cannot be read: an input error", "check the disk");
  text.resize(static_cast<std::size_t>(in.gcount()));
  if (text.size() > file_bytes_max) return refuse("is larger than 1 MiB", "a configuration file is never that large");
  return text;
}

}  // namespace deploy::config
