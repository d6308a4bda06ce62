// What is wrong with a user's files: every finding with its place, printed the way compilers do.
// Values, no thread rules. Readers add to one Diagnostics and go on, so that a user sees all errors at once.
#pragma once

#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace deploy::config {

struct Diagnostic {
  std::string file;
  int line = 0;          // from 1; 0: the file as a whole
  int column = 0;        // from 1, in characters; 0 with line 0
  std::string key_path;  // e.g. "health.expect.status", "depends_on[1]"; empty: the file as a whole
  std::string message;   // one line without a final period
  std::string hint;      // what to do, may be empty
  bool operator==(const Diagnostic&) const = default;
};

class Diagnostics {
 public:
  /// Keeps a file's text, to show lines of it. Findings are listed in the order in which their files were first named
  /// here or in add().
  void add_source(const std::string& file, const std::string& text);
  void add(Diagnostic diagnostic);

  /// Tests only: hears of each map that is read which keys it may have.
  void on_map(std::function<void(const std::string& key_path, const std::vector<std::string>& keys)> hook) {
    on_map_ = std::move(hook);
  }
  void tell_keys(const std::string& key_path, const std::vector<std::string>& keys) const {
    if (on_map_) on_map_(key_path, keys);
  }

  /// 200 findings are kept: a file with more is no configuration. Readers may stop looking when there are as many.
  bool full() const noexcept { return found_.size() >= findings_max; }

  bool empty() const noexcept { return found_.empty(); }
  std::size_t size() const noexcept { return found_.size(); }

  /// By file, line and column.
  std::vector<Diagnostic> sorted() const;

  /// "file:line:column: error: message", the source line with a caret under the column, and "hint: …" for each.
  std::string render() const;

  /// A list of objects with the fields of Diagnostic.
  nlohmann::json to_json_value() const;

 private:
  static constexpr std::size_t findings_max = 200;
  std::size_t rank_of(const std::string& file);
  std::string render_one(const Diagnostic& diagnostic) const;

  std::map<std::string, std::size_t> rank_;
  std::map<std::string, std::vector<std::string>> lines_;
  std::vector<Diagnostic> found_;
  std::function<void(const std::string&, const std::vector<std::string>&)> on_map_;
};

}  // namespace deploy::config
