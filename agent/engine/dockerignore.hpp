// Which files of a build context are left out. Source: Docker's documentation, "Build context", .dockerignore files.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace deploy::engine {

/// A pattern of .dockerignore, matched against a whole path: '*' is any run without '/', '?' one character but '/',
/// "[a-z]" and
/// "[^a-z]" one of a set, '\' takes the next character literally, and "**" any run at all ("**/" also none).
/// Takes time linear in the product of both lengths, whatever the pattern.
class Glob {
 public:
  /// Throws Error(invalid) where the pattern is malformed.
  explicit Glob(std::string_view pattern);
  bool matches(std::string_view text) const;

 private:
  struct Token {
    enum class Kind { literal, any, set, run, deep_run, folders } kind = Kind::literal;
    char literal = 0;
    bool negated = false;
    std::vector<std::pair<char, char>> ranges;
  };
  using Positions = std::vector<char>;  // for each token: may it come next?

  void take_set(std::string_view pattern, std::size_t& position, Token& token) const;
  static Token take_stars(std::string_view pattern, std::size_t& position);
  static bool in_set(const Token& token, char c);
  void activate(Positions& positions, std::size_t i) const;
  void step(Positions& next, std::size_t i, char c) const;

  std::vector<Token> tokens_;
};

/// The rules of one .dockerignore. The last rule that matches a path, or a folder above it, decides.
class DockerIgnore {
 public:
  /// Throws Error(invalid) "<name>:<line>: …" where a pattern is malformed.
  DockerIgnore(std::string_view text, const std::string& name);
  DockerIgnore() = default;

  /// `path` is relative to the context, with '/', and names a file.
  bool ignores(std::string_view path) const;

 private:
  struct Rule {
    bool negated = false;
    Glob glob;
  };
  std::vector<Rule> rules_;
};

}  // namespace deploy::engine
