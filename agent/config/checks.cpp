#include "agent/config/checks.hpp"

#include <algorithm>
#include <string_view>

namespace deploy::config {

namespace {

bool is_lower_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool is_alphanumeric(char c) { return is_lower_or_digit(c) || (c >= 'A' && c <= 'Z'); }
bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }

bool refuse(const Value& value, const std::string& what, const std::string& hint = "") {
  value.error(what, hint);
  return false;
}

}  // namespace

bool check_name(const Value& value, const std::string& name) {
  bool ok = name.size() >= 2 && name.size() <= 41 && is_lower_or_digit(name[0]) &&
            std::ranges::all_of(name, [](char c) { return is_lower_or_digit(c) || c == '-'; });
  return ok || refuse(value, "must have 2 to 41 lower-case letters, digits and hyphens, and not begin with a hyphen");
}

bool check_upstream_name(const Value& value, const std::string& name) {
  bool ok = name.size() <= 64 && is_alphanumeric(name[0]) &&
            std::ranges::all_of(name, [](char c) { return is_alphanumeric(c) || c == '_' || c == '.' || c == '-'; });
  if (!ok)
    return refuse(value, "must have at most 64 letters, digits, `_`, `.` and `-`, and begin with a letter or digit");
  return !name.starts_with("deployctl") ||
         refuse(value, "must not begin with `deployctl`, which is used for calls between services");
}

bool check_docker_name(const Value& value, const std::string& name) {
  bool ok = name.size() >= 2 && is_alphanumeric(name[0]) &&
            std::ranges::all_of(name, [](char c) { return is_alphanumeric(c) || c == '_' || c == '.' || c == '-'; });
  return ok || refuse(value, "must be a name that Docker takes: letters, digits, `_`, `.` and `-`, two or more");
}

bool check_printable(const Value& value, const std::string& text) {
  return std::ranges::none_of(text, is_control) || refuse(value, "holds a line break or another control character");
}

bool check_url_path(const Value& value, const std::string& path) {
  if (!path.starts_with('/')) return refuse(value, "must begin with `/`", "did you mean `/" + path + "`?");
  bool ok = std::ranges::none_of(
      path, [](char c) { return is_control(c) || std::string_view(" #;{}").find(c) != std::string_view::npos; });
  return ok || refuse(value, "must be a path without blanks, line breaks, `#`, `;`, `{` and `}`",
                      "write them as %20 and so on");
}

bool check_nginx_text(const Value& value, const std::string& text) {
  bool ok = std::ranges::none_of(
      text, [](char c) { return is_control(c) || std::string_view(";{}\"'\\#").find(c) != std::string_view::npos; });
  return ok || refuse(value, "must not hold line breaks, `;`, `{`, `}`, quotes, `\\` or `#`",
                      "it goes into Nginx's files as one directive; deployctl adds the `;`");
}

bool check_repository(const Value& value, const std::string& repo) {
  auto slash = repo.find('/');
  bool ok = slash != std::string::npos && slash > 0 && slash + 1 < repo.size() &&
            repo.find('/', slash + 1) == std::string::npos && std::ranges::all_of(repo, [](char c) {
              return is_alphanumeric(c) || std::string_view("/_.-").find(c) != std::string_view::npos;
            });
  return ok || refuse(value, "must be owner/name as GitHub names the repository", "e.g. behindy3359/behindy-back");
}

std::filesystem::path beside(const std::string& file, const std::string& path) {
  return (std::filesystem::path(file).parent_path() / path).lexically_normal();
}

void read_path(Fields& fields, const std::string& key, std::filesystem::path& out) {
  auto value = fields.find(key);
  if (!value) return;
  auto text = value->filled_text();
  if (text && check_printable(*value, *text)) out = beside(value->place().file, *text);
}

}  // namespace deploy::config
