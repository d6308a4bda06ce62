// A Compose file as lines, so that an editor can add and take away single ones and keep every other byte. It sees keys
// by their indentation, as people write them; what is written in another form is not found, and said so by the editor.
// Pure. What a file means is Compose's matter: see compose_runner.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace deploy::adopt {

/// A key and what belongs to it: lines [at, end), comments and blank lines behind it left out.
struct ComposeKey {
  std::string name;
  std::size_t at = 0;
  std::size_t end = 0;
  std::size_t indent = 0;
  std::string value;  // behind the colon on its line, without anchor and comment; empty: it follows in lines
};

class ComposeLines {
 public:
  explicit ComposeLines(const std::string& text);

  /// Those of the top level.
  std::vector<ComposeKey> keys() const;
  /// Those inside of a key.
  std::vector<ComposeKey> keys(const ComposeKey& of) const;
  std::optional<ComposeKey> find(std::string_view name) const;
  std::optional<ComposeKey> find(const ComposeKey& of, std::string_view name) const;

  /// The numbers of the lines of a list's items ("- a"), and their texts without quotes and comments.
  std::vector<std::pair<std::size_t, std::string>> items(const ComposeKey& of) const;
  /// Of "[a, b]" on the key's own line.
  static std::vector<std::string> flow_items(const std::string& value);

  /// Which indentation the file's blocks have.
  std::size_t step() const { return step_; }
  const std::string& line(std::size_t number) const { return lines_[number]; }
  std::size_t size() const { return lines_.size(); }

  /// Each line may be replaced once; numbers are those of the text as it was read.
  void replace(std::size_t number, std::string line) { replaced_[number] = std::move(line); }
  void remove(std::size_t from, std::size_t end);
  /// Before the line with this number.
  void insert(std::size_t number, std::string line) { inserted_[number].push_back(std::move(line)); }

  /// Behind the line with this number, and before what is inserted before the next one.
  void append(std::size_t number, std::string line) { appended_[number].push_back(std::move(line)); }

  /// The text with all of it.
  std::string text() const;

 private:
  std::vector<ComposeKey> keys_between(std::size_t from, std::size_t end, std::optional<std::size_t> above) const;

  std::vector<std::string> lines_;  // without their ends
  std::string line_end_ = "\n";
  bool ends_with_line_ = true;
  std::size_t step_ = 2;
  std::map<std::size_t, std::optional<std::string>> replaced_;
  std::map<std::size_t, std::vector<std::string>> inserted_;
  std::map<std::size_t, std::vector<std::string>> appended_;
};

}  // namespace deploy::adopt
