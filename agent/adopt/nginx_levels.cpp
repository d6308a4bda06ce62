#include "agent/adopt/nginx_levels.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <optional>
#include <string_view>

namespace deploy::adopt {

namespace {

/// The level whose directives of one name hold for a pass: the innermost that has any.
struct NginxLevel {
  std::size_t depth = 0;  // among the blocks of the pass
  std::vector<const NginxDirective*> directives;
};

std::optional<NginxLevel> level_of(const NginxConf& conf, const NginxPass& pass, std::string_view name) {
  for (auto depth = pass.blocks.size(); depth-- > 0;) {
    auto directives = conf.inside(*pass.blocks[depth], name);
    if (!directives.empty()) return NginxLevel{depth, std::move(directives)};
  }
  return std::nullopt;
}

bool is_variable_character(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

/// `$name` and `${name}` replaced; a longer name is another variable.
std::string with_value(std::string text, std::string_view name, const std::string& value) {
  const std::string braced = fmt::format("${{{}}}", name);
  const std::string plain = fmt::format("${}", name);
  for (std::size_t at = 0; (at = text.find('$', at)) != std::string::npos;) {
    const std::string_view rest = std::string_view(text).substr(at);
    std::size_t length = 0;
    if (rest.starts_with(braced)) {
      length = braced.size();
    } else if (rest.starts_with(plain) && (rest.size() == plain.size() || !is_variable_character(rest[plain.size()]))) {
      length = plain.size();
    }
    if (length > 0) text.replace(at, length, value);
    at += length > 0 ? value.size() : 1;
  }
  return text;
}

/// The text of a location's argument that requests begin with; nullopt: a regular expression, or a named one.
std::optional<std::string> prefix_of(const NginxDirective& location) {
  auto modifier = location.words.size() > 2 ? location.argument(1) : "";
  auto name = location.argument(location.words.size() > 2 ? 2 : 1);
  if (modifier.empty()) {
    for (const std::string_view mark : {"=", "^~", "~", "@"}) {
      if (!name.starts_with(mark)) continue;
      modifier = mark;
      name.erase(0, mark.size());
      break;
    }
  }
  if (modifier.starts_with('~') || modifier == "@") return std::nullopt;
  return name;
}

class HeaderKeeper {
 public:
  HeaderKeeper(const NginxConf& conf, const NginxPass& pass, const std::string& name)
      : conf_(conf), pass_(pass), name_(name), block_(*pass.blocks.back()) {
    const bool secure = pass.scheme == "https" || pass.scheme == "grpcs";
    const std::uint16_t usual_port = secure ? 443 : 80;
    const auto port = pass.address.port == 0 ? usual_port : pass.address.port;
    host_ = port == usual_port ? pass.address.host : pass.address_text;
    port_ = std::to_string(port);
  }

  KeptHeaders run() {
    for (const auto* block : pass_.blocks) {
      for (const auto* include : conf_.inside(*block, "include")) {
        if (!conf_.is_unread(*include)) continue;
        return {
            {}, {}, fmt::format("{} could not be read, and may set headers; make it readable", include->argument(1))};
      }
    }
    const bool grpc = pass_.directive->name() == "grpc_pass";
    keep_host(grpc ? "grpc_set_header" : "proxy_set_header");
    if (!grpc) keep_redirects();
    const bool needs_lines = !kept_.lines.empty();
    if (kept_.obstacle.empty() && needs_lines && block_.name() != "location") {
      kept_.obstacle = fmt::format(
          "`{}` may not hold `{}`, which is needed to keep the headers; write it into the location, and run "
          "this again",
          block_.name(), kept_.lines.front());
    }
    return std::move(kept_);
  }

 private:
  std::string with_old_values(const std::string& text) const {
    return with_value(with_value(text, "proxy_host", host_), "proxy_port", port_);
  }

  void keep_host(std::string_view directive) {
    const auto level = level_of(conf_, pass_, directive);
    const bool own = level && level->depth + 1 == pass_.blocks.size();
    bool has_host = false;
    bool names_address = false;
    for (const auto* header : level ? level->directives : std::vector<const NginxDirective*>{}) {
      has_host = has_host || same_host(header->argument(1), "host");
      const auto raw = conf_.raw_words(*header);
      if (with_old_values(raw) == raw) continue;
      names_address = true;
      if (own) replace(*header, with_old_values(raw));
    }
    const bool host_changes = host_ != name_;
    const bool restate = level && !own && (names_address || (!has_host && host_changes));
    if (restate) {
      for (const auto* header : level->directives) add_line(with_old_values(conf_.raw_words(*header)));
    }
    if (!has_host && host_changes) add_line(fmt::format("{} Host {}", directive, host_));
    if (restate || (!has_host && host_changes) || (own && names_address)) look_below(directive);
  }

  /// Nginx's own default, written out: what the address was, to what it is rewritten to.
  void keep_redirects() {
    const auto level = level_of(conf_, pass_, "proxy_redirect");
    const auto text = pass_.directive->argument(1);
    const auto prefix = block_.name() == "location" ? prefix_of(block_) : std::nullopt;
    const auto from = pass_.uri.empty() ? text + "/" : text;
    const auto to = pass_.uri.empty() ? std::optional<std::string>("/") : prefix;
    if (!to || to->find('$') != std::string::npos) {
      kept_.obstacle = "how redirects are rewritten here cannot be written down; add a proxy_redirect of your own";
      return;
    }
    const auto arguments = fmt::format("{} {}", as_nginx_word(from), as_nginx_word(*to));
    if (!level) {
      add_line("proxy_redirect " + arguments);
      look_below("proxy_redirect");
      return;
    }
    for (const auto* redirect : level->directives) {
      if (redirect->argument(1) == "default") replace(*redirect, "proxy_redirect " + arguments);
    }
  }

  void add_line(const std::string& directive) { kept_.lines.push_back(directive + ";"); }

  /// The words of a directive that stands in the block itself.
  void replace(const NginxDirective& directive, std::string words) {
    const bool in_block = std::ranges::any_of(block_.children, [&](const auto& child) { return &child == &directive; });
    if (!in_block) {
      kept_.obstacle = fmt::format(
          "`{}` at {} depends on the address's name, and other locations may include it; write it "
          "into the location",
          shown(directive), conf_.place(directive));
      return;
    }
    kept_.replacements.push_back(
        {directive.file, {directive.range.begin, directive.words.back().range.end}, std::move(words)});
  }

  /// What is added here is inherited by what is nested and has none of its own.
  void look_below(std::string_view directive) {
    for (const auto& other : conf_.passes()) {
      const auto depth = pass_.blocks.size() - 1;
      if (other.blocks.size() <= pass_.blocks.size() || other.blocks[depth] != &block_) continue;
      const auto level = level_of(conf_, other, directive);
      if (level && level->depth > depth) continue;
      kept_.obstacle = fmt::format(
          "`{}` at {} is nested in the same location and would inherit the `{}` that is needed; "
          "move it out, or give it its own",
          shown(*other.directive), conf_.place(*other.directive), directive);
    }
  }

  const NginxConf& conf_;
  const NginxPass& pass_;
  const std::string& name_;
  const NginxDirective& block_;
  std::string host_;  // $proxy_host and $proxy_port as they were
  std::string port_;
  KeptHeaders kept_;
};

}  // namespace

KeptHeaders keep_headers(const NginxConf& conf, const NginxPass& pass, const std::string& name) {
  return HeaderKeeper(conf, pass, name).run();
}

bool caches_by_address(const NginxConf& conf, const NginxPass& pass) {
  const auto cache = level_of(conf, pass, "proxy_cache");
  return cache && cache->directives.front()->argument(1) != "off" && !level_of(conf, pass, "proxy_cache_key");
}

}  // namespace deploy::adopt
