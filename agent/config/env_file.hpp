// Env files (`vars:`), read by the rules of Compose's .env files. Source: Docker's documentation, "Set, use, and manage
// variables in a Compose file with interpolation", section ".env file syntax". Values of this type hold secrets: no
// message made here quotes one.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace deploy::config {

class EnvFiles {
 public:
  /// Reads the files in order; a later assignment replaces an earlier one and may use it. Throws Error: not_found,
  /// failed (cannot be read), invalid (file and line of what is no assignment).
  static EnvFiles read(const std::vector<std::string>& files);

  /// The same for one text; `file` is for messages.
  void add(const std::string& file, std::string_view text);

  /// Nullopt where no file sets it. Throws Error(invalid) where its value uses a variable that is not set, or is no
  /// valid template: only then, because users' files hold much that we never need.
  std::optional<std::string> find(const std::string& name) const;

 private:
  struct Assignment {
    std::string value;
    std::string problem;  // why there is no value; empty: there is
  };
  /// `subject` begins the problem, e.g. "/srv/.env:3: the value of URL".
  Assignment evaluate(const std::string& text, const std::string& subject) const;

  std::map<std::string, Assignment> assignments_;
};

}  // namespace deploy::config
