#include "agent/adopt/nginx_conf.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <set>
#include <utility>

#include "agent/proxy/upstream_file.hpp"

namespace deploy::adopt {

namespace {

constexpr std::size_t nginx_files_max = 1000;
/// Of all directives where each `include` is counted with what it includes.
constexpr std::size_t nginx_directives_max = 200'000;

std::string lower_case(std::string_view text) {
  std::string lower(text);
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return lower;
}

bool is_port_text(std::string_view text, std::uint16_t& port) {
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), port);
  return problem == std::errc() && end == text.data() + text.size() && port != 0;
}

NginxPass parse_pass(const NginxDirective& directive, std::vector<const NginxDirective*> blocks) {
  NginxPass pass;
  pass.directive = &directive;
  pass.blocks = std::move(blocks);
  std::string_view rest = directive.argument(1);
  pass.variables = rest.find('$') != std::string_view::npos;
  if (pass.variables) return pass;
  if (const auto mark = rest.find("://"); mark != std::string_view::npos) {
    pass.scheme = lower_case(rest.substr(0, mark));
    rest.remove_prefix(mark + 3);
  }
  const auto end = std::min(rest.find_first_of("/?"), rest.size());
  const auto address = parse_nginx_address(rest.substr(0, end));
  if (!address) return pass;
  pass.address = *address;
  pass.address_text = rest.substr(0, end);
  pass.uri = rest.substr(end);
  return pass;
}

std::string words_from(const NginxDirective& directive, std::size_t from) {
  std::string text;
  for (std::size_t i = from; i < directive.words.size(); ++i)
    text += (text.empty() ? "" : " ") + directive.words[i].text;
  return text;
}

bool names_the_proxied(const NginxDirective& directive) {
  return std::ranges::any_of(directive.words, [](const auto& word) {
    return word.text.find("$proxy_host") != std::string::npos || word.text.find("${proxy_host") != std::string::npos ||
           word.text.find("$proxy_port") != std::string::npos || word.text.find("${proxy_port") != std::string::npos;
  });
}

}  // namespace

/// Reads the files, then goes through them in the order in which Nginx does.
class NginxConfReader {
 public:
  NginxConfReader(const FindNginxFiles& find, config::Diagnostics& diagnostics)
      : find_(find), diagnostics_(diagnostics) {}

  std::optional<NginxConf> read(NginxFile main) {
    if (!add(std::move(main)) || !walk(conf_.syntax_.front().directives)) return std::nullopt;
    return std::move(conf_);
  }

 private:
  bool mistake(const NginxDirective& directive, std::string message, std::string hint) {
    const auto& file = conf_.files_[directive.file];
    const auto position = position_of(file.text, directive.range.begin);
    diagnostics_.add({file.path, position.line, position.column, "", std::move(message), std::move(hint)});
    return false;
  }

  bool add(NginxFile file) {
    const auto number = conf_.files_.size();
    numbers_[file.path] = number;
    conf_.files_.push_back(std::move(file));
    conf_.syntax_.emplace_back();
    // What deployctl writes is no part of what the users wrote.
    if (conf_.files_[number].text.starts_with(proxy::file_header)) return true;
    auto syntax = read_nginx_syntax(conf_.files_[number].path, number, conf_.files_[number].text, diagnostics_);
    if (!syntax) return false;
    conf_.syntax_[number] = std::move(*syntax);
    being_read_.insert(number);
    // By number: adding files moves the list, and not the directives that it leads to.
    for (const auto* include : includes_in(conf_.syntax_[number].directives)) {
      if (!follow(*include)) return false;
    }
    being_read_.erase(number);
    return true;
  }

  static std::vector<const NginxDirective*> includes_in(const std::vector<NginxDirective>& directives) {
    std::vector<const NginxDirective*> found;
    for (const auto& directive : directives) {
      if (directive.is_block) {
        const auto inner = includes_in(directive.children);
        found.insert(found.end(), inner.begin(), inner.end());
      } else if (directive.name() == "include" && directive.words.size() == 2) {
        found.push_back(&directive);
      }
    }
    return found;
  }

  bool follow(const NginxDirective& include) {
    auto files = find_(conf_.pattern_of(include));
    std::vector<std::size_t> numbers;
    for (auto& file : files) {
      const auto known = numbers_.find(file.path);
      if (known != numbers_.end()) {
        if (being_read_.contains(known->second)) {
          return mistake(include, fmt::format("includes {}, which includes this file", file.path),
                         "remove one of both");
        }
        numbers.push_back(known->second);
        continue;
      }
      if (conf_.files_.size() >= nginx_files_max) {
        return mistake(include, fmt::format("includes more than {} files", nginx_files_max), "");
      }
      numbers.push_back(conf_.files_.size());
      if (!add(std::move(file))) return false;
    }
    conf_.included_[&include] = std::move(numbers);
    return true;
  }

  bool walk(const std::vector<NginxDirective>& directives) {
    for (const auto& directive : directives) {
      if (++walked_ > nginx_directives_max) {
        return mistake(directive,
                       fmt::format("comes after {} others, which no Nginx configuration has", nginx_directives_max),
                       "does a file include itself by many ways?");
      }
      if (const auto files = conf_.included_.find(&directive); files != conf_.included_.end()) {
        for (const auto number : files->second) {
          if (!walk(conf_.syntax_[number].directives)) return false;
        }
      } else if (!take(directive)) {
        return false;
      }
    }
    return true;
  }

  bool enter(const NginxDirective& block) {
    blocks_.push_back(&block);
    const bool done = walk(block.children);
    blocks_.pop_back();
    return done;
  }

  bool take(const NginxDirective& directive) {
    const auto& name = directive.name();
    if (blocks_.empty()) {
      if (!directive.is_block || (name != "http" && name != "stream")) return true;
      if (name == "http") conf_.http_ = &directive;
      return enter(directive);
    }
    if (blocks_.front()->name() == "stream") {
      if (directive.is_block) return enter(directive);
      if (name == "proxy_pass" || (name == "server" && directive.words.size() > 1))
        conf_.streams_.push_back(&directive);
      return true;
    }
    return take_in_http(directive);
  }

  bool take_in_http(const NginxDirective& directive) {
    const auto& name = directive.name();
    const bool in_http_itself = blocks_.size() == 1;
    if (directive.is_block) {
      if (name == "upstream" && in_http_itself) return take_upstream(directive);
      if (name == "server" && in_http_itself) take_server(directive);
      if (name == "server" || name == "location" || name == "if" || name == "limit_except") return enter(directive);
      note_the_proxied(directive);
      return true;
    }
    if (name.ends_with("_pass") && directive.words.size() == 2) conf_.passes_.push_back(parse_pass(directive, blocks_));
    if (!name.ends_with("_set_header")) note_the_proxied(directive);
    return true;
  }

  void note_the_proxied(const NginxDirective& directive) {
    if (names_the_proxied(directive)) conf_.naming_the_proxied_.push_back(&directive);
    for (const auto& child : directive.children) note_the_proxied(child);
  }

  bool take_upstream(const NginxDirective& directive) {
    NginxUpstream upstream;
    upstream.name = directive.argument(1);
    upstream.directive = &directive;
    for (const auto* inner : conf_.inside(directive)) {
      auto& list = inner->name() == "server" && inner->words.size() > 1 ? upstream.servers : upstream.others;
      list.push_back(inner);
    }
    if (const auto* first = conf_.upstream(upstream.name)) {
      return mistake(directive,
                     fmt::format("the upstream `{}` is defined a second time; the first is at {}", upstream.name,
                                 conf_.place(*first->directive)),
                     "Nginx does not start with both: remove one, or give it another name");
    }
    conf_.upstreams_.push_back(std::move(upstream));
    return true;
  }

  void take_server(const NginxDirective& directive) {
    NginxServer server;
    server.directive = &directive;
    for (const auto* listen : conf_.inside(directive, "listen")) server.listens.push_back(words_from(*listen, 1));
    for (const auto* names : conf_.inside(directive, "server_name")) {
      for (std::size_t i = 1; i < names->words.size(); ++i) server.names.push_back(names->words[i].text);
    }
    conf_.servers_.push_back(std::move(server));
  }

  const FindNginxFiles& find_;
  config::Diagnostics& diagnostics_;
  NginxConf conf_;
  std::map<std::string, std::size_t> numbers_;
  std::set<std::size_t> being_read_;
  std::vector<const NginxDirective*> blocks_;
  std::size_t walked_ = 0;
};

std::optional<NginxAddress> parse_nginx_address(std::string_view text) {
  if (text.starts_with("unix:")) return std::nullopt;
  NginxAddress address;
  const auto bracket = text.starts_with('[') ? text.find(']') : 0;
  if (bracket == std::string_view::npos) return std::nullopt;
  const auto colon = text.find(':', bracket);
  address.host = text.substr(0, colon);
  if (address.host.empty()) return std::nullopt;
  if (colon != std::string_view::npos && !is_port_text(text.substr(colon + 1), address.port)) return std::nullopt;
  return address;
}

bool same_host(std::string_view left, std::string_view right) { return lower_case(left) == lower_case(right); }

std::optional<NginxConf> NginxConf::read(NginxFile main, const FindNginxFiles& find, config::Diagnostics& diagnostics) {
  return NginxConfReader(find, diagnostics).read(std::move(main));
}

std::vector<const NginxDirective*> NginxConf::inside(const NginxDirective& block) const {
  std::vector<const NginxDirective*> found;
  const auto add = [&](const auto& self, const std::vector<NginxDirective>& directives) -> void {
    for (const auto& directive : directives) {
      found.push_back(&directive);
      const auto files = included_.find(&directive);
      if (files == included_.end()) continue;
      for (const auto number : files->second) self(self, syntax_[number].directives);
    }
  };
  add(add, block.children);
  return found;
}

std::vector<const NginxDirective*> NginxConf::inside(const NginxDirective& block, std::string_view name) const {
  auto found = inside(block);
  std::erase_if(found, [&](const auto* directive) { return directive->name() != name; });
  return found;
}

const NginxDirective* NginxConf::in_http(std::string_view name) const {
  if (http_ == nullptr) return nullptr;
  const auto found = inside(*http_, name);
  return found.empty() ? nullptr : found.front();
}

const NginxUpstream* NginxConf::upstream(std::string_view name) const {
  const auto found =
      std::ranges::find_if(upstreams_, [&](const auto& upstream) { return same_host(upstream.name, name); });
  return found == upstreams_.end() ? nullptr : &*found;
}

bool NginxConf::is_unread(const NginxDirective& include) const {
  const auto files = included_.find(&include);
  const auto& pattern = include.argument(1);
  return files != included_.end() && files->second.empty() && pattern.find_first_of("*?[") == std::string::npos &&
         !pattern.ends_with("mime.types");
}

std::string NginxConf::pattern_of(const NginxDirective& include) const {
  const auto& pattern = include.argument(1);
  if (pattern.starts_with('/')) return pattern;
  const auto& main = files_.front().path;
  return main.substr(0, main.rfind('/') + 1) + pattern;
}

std::string NginxConf::raw_words(const NginxDirective& directive, std::size_t from) const {
  std::string text;
  const auto& source = files_[directive.file].text;
  for (std::size_t i = from; i < directive.words.size(); ++i) {
    const auto& range = directive.words[i].range;
    text += (text.empty() ? "" : " ") + source.substr(range.begin, range.end - range.begin);
  }
  return text;
}

std::vector<std::string> NginxConf::comments_in(std::size_t file, ByteRange range) const {
  std::vector<std::string> found;
  for (const auto& comment : syntax_[file].comments) {
    if (comment.begin < range.begin || comment.end > range.end) continue;
    found.push_back(files_[file].text.substr(comment.begin, comment.end - comment.begin));
  }
  return found;
}

std::string NginxConf::place(const NginxDirective& directive) const {
  const auto& file = files_[directive.file];
  const auto position = position_of(file.text, directive.range.begin);
  return fmt::format("{}:{}:{}", file.path, position.line, position.column);
}

}  // namespace deploy::adopt
