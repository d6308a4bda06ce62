#include "agent/config/env_file.hpp"

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <iterator>
#include <system_error>
#include <utility>

#include "agent/base/error.hpp"
#include "agent/config/interpolation.hpp"

namespace deploy::config {

namespace {

constexpr std::size_t file_bytes_max = 1 << 20;

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f'; }
bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.';
}

/// Walks through one file's text.
class Reader {
 public:
  Reader(const std::string& file, std::string_view text) : file_(file), left_(text) {}

  bool at_end() const { return left_.empty(); }
  bool at_line_end() const { return left_.empty() || left_[0] == '\n'; }
  int line() const { return line_; }

  char take() {
    auto c = left_[0];
    left_.remove_prefix(1);
    if (c == '\n') ++line_;
    return c;
  }
  bool skip(std::string_view text) {
    if (!left_.starts_with(text)) return false;
    left_.remove_prefix(text.size());
    return true;
  }
  void skip_blanks() {
    while (!left_.empty() && is_blank(left_[0])) take();
  }
  std::string_view rest_of_line() {
    auto rest = left_.substr(0, std::min(left_.find('\n'), left_.size()));
    left_.remove_prefix(rest.size());
    return rest;
  }
  std::string take_name() {
    std::string name;
    while (!left_.empty() && is_name_character(left_[0])) name += take();
    return name;
  }
  char next() const { return left_.empty() ? '\0' : left_[0]; }

  [[noreturn]] void refuse(int line, const std::string& message) const {
    throw Error(ErrorKind::invalid, file_ + ":" + std::to_string(line) + ": " + message);
  }

 private:
  const std::string& file_;
  std::string_view left_;
  int line_ = 1;
};

struct RawValue {
  std::string text;
  bool literal = false;  // from single quotes: holds no variables
};

std::string unquoted_value(std::string_view line) {
  for (std::size_t at = 0; at < line.size(); ++at) {
    if (line[at] == '#' && (at == 0 || is_blank(line[at - 1]))) {
      line = line.substr(0, at);
      break;
    }
  }
  while (!line.empty() && is_blank(line.back())) line.remove_suffix(1);
  return std::string(line);
}

/// What a backslash and this character stand for in double quotes.
std::string escaped(char c) {
  switch (c) {
    case 'n':
      return "\n";
    case 'r':
      return "\r";
    case 't':
      return "\t";
    case '"':
      return "\"";
    case '\\':
      return "\\";
    case '$':
      return "$$";  // the template's own escape
    default:
      return std::string("\\") + c;
  }
}

RawValue read_value(Reader& in) {
  auto quote = in.next();
  if (quote != '"' && quote != '\'') return {unquoted_value(in.rest_of_line()), false};
  auto start_line = in.line();
  RawValue value{"", quote == '\''};
  in.take();
  while (true) {
    if (in.at_end()) in.refuse(start_line, "a quote is never closed");
    auto c = in.take();
    if (c == quote) break;
    if (c != '\\' || in.at_end()) {
      value.text += c;
    } else if (quote == '"') {
      value.text += escaped(in.take());
    } else if (in.next() == '\'') {
      value.text += in.take();
    } else {
      value.text += c;
    }
  }
  in.skip_blanks();
  if (!in.at_line_end() && in.next() != '#') {
    in.refuse(in.line(), "text after the closing quote: put all of the value into the quotes");
  }
  in.rest_of_line();
  return value;
}

}  // namespace

void EnvFiles::add(const std::string& file, std::string_view text) {
  Reader in(file, text);
  in.skip("\xEF\xBB\xBF");
  while (!in.at_end()) {
    in.skip_blanks();
    if (in.at_line_end() || in.next() == '#') {
      in.rest_of_line();
      if (!in.at_end()) in.take();
      continue;
    }
    auto line = in.line();
    if (in.skip("export ") || in.skip("export\t")) in.skip_blanks();
    auto name = in.take_name();
    in.skip_blanks();
    // A name alone takes the shell's value in Compose; the agent has no shell's environment, so it stays unset.
    if (!name.empty() && in.at_line_end()) continue;
    if (name.empty() || (in.next() != '=' && in.next() != ':')) {
      in.refuse(line, "not an assignment: write NAME=value, or # before a comment");
    }
    in.take();
    in.skip_blanks();
    auto raw = read_value(in);
    assignments_[name] = raw.literal ? Assignment{std::move(raw.text), ""}
                                     : evaluate(raw.text, file + ":" + std::to_string(line) + ": the value of " + name);
  }
}

EnvFiles::Assignment EnvFiles::evaluate(const std::string& text, const std::string& subject) const {
  if (auto problem = template_problem(text)) {
    return {"", subject + " " + *problem + ": write $$ for a dollar sign, or use single quotes"};
  }
  try {
    auto result = interpolate(text, [this](const std::string& other) { return find(other); });
    if (auto* missing = std::get_if<MissingVariable>(&result)) {
      return {"", subject + " uses the variable " + missing->name +
                      ", which is not set before it: set it there, or use single quotes where `$` is meant"};
    }
    return {std::move(std::get<std::string>(result)), ""};
  } catch (const Error& error) {
    return {"", error.message()};
  }
}

EnvFiles EnvFiles::read(const std::vector<std::string>& files) {
  EnvFiles result;
  for (const auto& file : files) {
    std::ifstream in(file, std::ios::binary);
    if (!in) {
      auto kind = errno == ENOENT ? ErrorKind::not_found : ErrorKind::failed;
      throw Error(kind, "the env file " + file + " cannot be read: " + std::generic_category().message(errno) +
                            ": check the path under `vars` and the file's permissions");
    }
    std::string text(file_bytes_max + 1, '\0');
    in.read(text.data(), static_cast<std::streamsize>(text.size()));
    if (in.bad() || (in.gcount() == 0 && !in.eof())) {
      throw Error(ErrorKind::failed, "the env file " + file + " cannot be read: is it a folder?");
    }
    text.resize(static_cast<std::size_t>(in.gcount()));
    if (text.size() > file_bytes_max) throw Error(ErrorKind::invalid, "the env file " + file + " is larger than 1 MiB");
    result.add(file, text);
  }
  return result;
}

std::optional<std::string> EnvFiles::find(const std::string& name) const {
  auto found = assignments_.find(name);
  if (found == assignments_.end()) return std::nullopt;
  if (!found->second.problem.empty()) throw Error(ErrorKind::invalid, found->second.problem);
  return found->second.value;
}

}  // namespace deploy::config
