#include "agent/proxy/config_dump.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <utility>
#include <vector>

#include "agent/base/text.hpp"
#include "agent/proxy/upstream_file.hpp"

namespace deploy::proxy {

namespace {

using std::chrono::milliseconds;

constexpr std::string_view section_mark = "# configuration file ";

/// Nginx's configuration as directives, without its meaning. Source: nginx's ngx_conf_read_token as documented by its
/// behaviour: words end at white space, ';' and '{'; quotes group; '#' starts a comment where a word could start.
class DirectiveReader {
 public:
  struct Directive {
    std::vector<std::string> words;
    char end = ';';  // ';', '{' or '}'
  };

  explicit DirectiveReader(std::string_view text) : text_(text) {}

  std::optional<Directive> next() {
    Directive directive;
    while (skip_space()) {
      const char c = text_[at_];
      if (c == ';' || c == '{' || c == '}') {
        ++at_;
        directive.end = c;
        return directive;
      }
      directive.words.push_back(c == '"' || c == '\'' ? quoted(c) : bare());
    }
    return std::nullopt;
  }

 private:
  bool skip_space() {
    while (at_ < text_.size()) {
      if (text_[at_] == '#') {
        at_ = std::min(text_.find('\n', at_), text_.size());
      } else if (std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos) {
        ++at_;
      } else {
        return true;
      }
    }
    return false;
  }

  std::string quoted(char quote) {
    std::string word;
    for (++at_; at_ < text_.size() && text_[at_] != quote; ++at_) {
      if (text_[at_] == '\\' && at_ + 1 < text_.size()) ++at_;
      word += text_[at_];
    }
    ++at_;
    return word;
  }

  std::string bare() {
    std::string word;
    while (at_ < text_.size() && std::string_view(" \t\r\n;{").find(text_[at_]) == std::string_view::npos) {
      if (text_.substr(at_, 2) == "${") {
        const auto close = std::min(text_.find('}', at_), text_.size() - 1);
        word += text_.substr(at_, close + 1 - at_);
        at_ = close + 1;
      } else {
        if (text_[at_] == '\\' && at_ + 1 < text_.size()) word += text_[at_++];
        word += text_[at_++];
      }
    }
    return word;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

std::optional<int> number_in(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// "5s", "1m30s", "500ms", "5" (seconds). Source: nginx.org, "Configuration file measurement units".
milliseconds time_in(std::string_view text) {
  static constexpr std::pair<std::string_view, std::int64_t> units[] = {
      {"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}};
  milliseconds total{0};
  while (!text.empty()) {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc()) return total;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    std::int64_t factor = 1000;
    for (const auto& [name, unit_ms] : units) {
      if (!text.starts_with(name)) continue;
      factor = unit_ms;
      text.remove_prefix(name.size());
      break;
    }
    total += milliseconds(value * factor);
    while (text.starts_with(' ')) text.remove_prefix(1);
  }
  return total;
}

/// Notes the port of a `listen` argument: "80", "*:80", "127.0.0.1:80", "localhost", "[::]:80", "unix:…".
void note_listen(std::string_view argument, ConfigDump& dump) {
  if (argument.starts_with("unix:") || argument.starts_with('[')) return;
  const auto colon = argument.rfind(':');
  const std::string_view last = colon == std::string_view::npos ? argument : argument.substr(colon + 1);
  const auto number = number_in(last);
  const int port = number.value_or(80);
  if (port < 1 || port > 65535) return;
  const std::string_view address = colon != std::string_view::npos ? argument.substr(0, colon)
                                   : number                        ? std::string_view("*")
                                                                   : argument;
  auto& ports = address == "*" || address == "0.0.0.0" ? dump.wildcard_ports : dump.address_ports;
  ports.insert(static_cast<std::uint16_t>(port));
}

/// Nginx compares the names of upstreams so.
std::string in_lower_case(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return lower;
}

/// proxy_pass, grpc_pass and their like, with a variable in the destination: it can be any upstream.
bool goes_anywhere(const std::vector<std::string>& words) {
  return words.front().ends_with("_pass") && words[1].find('$') != std::string::npos;
}

void read_section(std::string_view text, ConfigDump& dump) {
  const auto lower = in_lower_case(text);
  std::erase_if(dump.unnamed, [&](const auto& name) { return lower.find(in_lower_case(name)) != std::string::npos; });
  DirectiveReader reader(text);
  std::vector<std::pair<std::string, bool>> open;  // blocks, and whether a `listen` was seen in each
  while (const auto directive = reader.next()) {
    if (directive->end == '{') {
      open.emplace_back(directive->words.empty() ? "" : directive->words.front(), false);
      continue;
    }
    if (directive->end == '}') {
      if (open.empty()) continue;
      if (open.back() == std::pair<std::string, bool>("server", false)) dump.wildcard_ports.insert(80);
      open.pop_back();
      continue;
    }
    if (directive->words.size() < 2) continue;
    if (directive->words.front() == "listen") {
      note_listen(directive->words[1], dump);
      if (!open.empty()) open.back().second = true;
    } else if (directive->words.front() == "include") {
      dump.includes.insert(directive->words[1]);
    } else if (directive->words.front() == "ssl_certificate") {
      dump.certificates.insert(directive->words[1]);
    } else if (directive->words.front() == "keepalive_min_timeout") {
      dump.keepalive_min_timeout =
          std::max(dump.keepalive_min_timeout.value_or(milliseconds{0}), time_in(directive->words[1]));
    } else if (goes_anywhere(directive->words)) {
      dump.unnamed.clear();
    }
  }
}

/// The dump is on standard output, messages are on standard error, and the engine may put one anywhere into the other.
std::string without_messages(std::string_view output) {
  std::string clean;
  for (;;) {
    const auto message = output.find("nginx: [");
    clean += output.substr(0, message);
    if (message == std::string_view::npos) return clean;
    output.remove_prefix(std::min(output.find('\n', message), output.size() - 1) + 1);
  }
}

}  // namespace

ConfigDump read_dump(std::string_view raw, const std::set<std::string>& upstreams) {
  ConfigDump dump;
  const std::string clean = without_messages(raw);
  const std::string_view output = clean;
  dump.complete = output.starts_with(section_mark);
  if (dump.complete) dump.unnamed = upstreams;
  auto start = output.starts_with(section_mark) ? 0 : output.find("\n# configuration file ");
  while (start != std::string_view::npos) {
    const auto body = output.find('\n', start + 1);
    if (body == std::string_view::npos) break;
    const auto next = output.find("\n# configuration file ", body);
    const auto text = output.substr(body + 1, next == std::string_view::npos ? next : next - body - 1);
    const auto name = output.find(section_mark, start) + section_mark.size();
    if (text.starts_with(file_header)) {
      dump.has_own_files = true;
    } else {
      const auto path = trim(output.substr(name, body - name));
      dump.users_files.emplace(path.substr(0, path.size() - (path.ends_with(':') ? 1 : 0)), text);
      read_section(text, dump);
    }
    start = next;
  }
  for (const auto port : dump.wildcard_ports) dump.address_ports.erase(port);
  return dump;
}

NginxVersion read_version(std::string_view output) {
  NginxVersion version;
  const std::string_view mark = "version: ";
  const auto at = output.find(mark);
  const auto line = trim(at == std::string_view::npos ? output : output.substr(at + mark.size()));
  version.text = std::string(line.substr(0, line.find_first_of(" \r\n")));
  auto rest = std::string_view(version.text);
  rest.remove_prefix(std::min(rest.find('/'), rest.size() - (rest.empty() ? 0 : 1)) + (rest.empty() ? 0 : 1));
  for (auto& part : version.number) {
    const auto dot = std::min(rest.find('.'), rest.size());
    part = number_in(rest.substr(0, dot)).value_or(0);
    rest.remove_prefix(std::min(dot + 1, rest.size()));
  }
  return version;
}

bool has_keepalive_min_timeout(const NginxVersion& version) { return version.number >= std::array<int, 3>{1, 27, 4}; }

std::string idle_connections_cost(const NginxVersion& version, const ConfigDump& dump) {
  const std::string risk = "idle keep-alive connections at every reload, which can cost a request that is on its way";
  if (!has_keepalive_min_timeout(version)) {
    return fmt::format(
        "{} closes {}; Nginx 1.27.4 or later with \"keepalive_min_timeout 5s;\" inside http {{}} does not",
        version.text, risk);
  }
  if (!dump.keepalive_min_timeout) {
    return fmt::format("Nginx closes {}; add \"keepalive_min_timeout 5s;\" inside http {{}}", risk);
  }
  return "";
}

bool has_http2_directive(const NginxVersion& version) { return version.number >= std::array<int, 3>{1, 25, 1}; }

}  // namespace deploy::proxy
