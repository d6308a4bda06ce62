#include "agent/adopt/nginx_service_edit.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <string_view>
#include <utility>

#include "agent/adopt/nginx_lines.hpp"

namespace deploy::adopt {

namespace {

using Level = NginxFinding::Level;

/// What may follow the address in deployctl's own `server` lines: it says how to treat a target, whoever it is.
constexpr std::array<std::string_view, 4> kept_parameters{"weight", "max_conns", "max_fails", "fail_timeout"};

bool leads_to(const NginxDirective& server, const std::vector<NginxAddress>& addresses) {
  auto address = parse_nginx_address(server.argument(1));
  if (!address) return false;
  if (address->port == 0) address->port = 80;
  return std::ranges::any_of(
      addresses, [&](const auto& own) { return same_host(own.host, address->host) && own.port == address->port; });
}

/// `proxy.server_parameters` and `proxy.directives` take no quotes, braces and the like.
bool can_be_kept(const NginxDirective& directive, std::size_t from) {
  return std::all_of(directive.words.begin() + static_cast<std::ptrdiff_t>(from), directive.words.end(),
                     [](const auto& word) {
                       return !word.text.empty() && word.text.find_first_of(" \t\r\n;{}\"'\\#") == std::string::npos;
                     });
}

std::string plain_words(const NginxDirective& directive, std::size_t from) {
  std::vector<std::string> words;
  for (std::size_t i = from; i < directive.words.size(); ++i) words.push_back(directive.words[i].text);
  return fmt::format("{}", fmt::join(words, " "));
}

bool is_plain_name(std::string_view name) {
  return !name.empty() && std::ranges::all_of(name, [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '_' || c == '.' || c == '-';
  });
}

/// What a service file takes as `proxy.upstream`.
bool is_upstream_name(std::string_view name) {
  return is_plain_name(name) && name.size() <= 64 && std::isalnum(static_cast<unsigned char>(name.front())) != 0 &&
         !name.starts_with("deployctl");
}

/// Why deployctl's file cannot say what this block says, and what to do; empty: it can.
std::string why_not_replaced(const NginxUpstream& upstream) {
  if (!is_plain_name(upstream.name)) {
    return "has a name that cannot be written into a comment; use letters, digits, `_`, `.` and `-`";
  }
  if (upstream.servers.size() != 1) {
    std::vector<std::string> servers;
    for (const auto* server : upstream.servers) servers.push_back(server->argument(1));
    return fmt::format(
        "has {} servers ({}), and deployctl puts the targets of one service in the place of one; leave the "
        "service's own line only",
        servers.size(), fmt::join(servers, ", "));
  }
  const auto& server = *upstream.servers.front();
  for (std::size_t i = 2; i < server.words.size(); ++i) {
    const auto& text = server.words[i].text;
    const auto name = std::string_view(text).substr(0, text.find('='));
    if (std::ranges::find(kept_parameters, name) != kept_parameters.end() && can_be_kept(server, 2)) continue;
    return fmt::format(
        "has the server parameter `{}`, which means nothing for targets that come and go; remove it if you "
        "can do without",
        text);
  }
  for (const auto* other : upstream.others) {
    if (!other->is_block && other->name() != "zone" && other->name() != "include" && can_be_kept(*other, 0)) continue;
    return fmt::format("holds `{}`, which deployctl's file cannot; remove it if you can do without", shown(*other));
  }
  return "";
}

class ServiceEdit {
 public:
  ServiceEdit(const NginxConf& conf, const ServiceInNginx& service, const std::string& folder, bool included)
      : conf_(conf), service_(service), file_(folder + "/" + service.upstream + ".conf"), included_(included) {}

  NginxServiceEdit run() {
    edit_.outcome.service = service_.service;
    blocks();
    for (const auto& pass : conf_.passes()) take(pass);
    merge_pass_edits();
    for (const auto& one : edit_.replacements) {
      if (conf_.files()[one.file].editable) continue;
      in_the_way(conf_.files()[one.file].path,
                 "would have to be changed, and cannot be from here; mount it from a file of "
                 "this host");
      break;
    }
    if (!reasons_.empty()) leave();
    return std::move(edit_);
  }

 private:
  void in_the_way(std::string place, std::string text) {
    reasons_.push_back({Level::left, std::move(place), service_.service, std::move(text)});
  }

  void changed(const NginxDirective& directive, std::string text) {
    edit_.findings.push_back({Level::changed, conf_.place(directive), service_.service, std::move(text)});
  }

  void leave() {
    reasons_.push_back({Level::left, conf_.place(*conf_.http()), service_.service,
                        "nothing of this service was changed; once the above is done, run this again"});
    edit_.findings = std::move(reasons_);
    edit_.replacements.clear();
    edit_.renames = false;
    edit_.outcome = {service_.service, true, false, false, "", {}};
  }

  void blocks() {
    for (const auto& upstream : conf_.upstreams()) {
      const bool leads = std::ranges::any_of(upstream.servers,
                                             [&](const auto* server) { return leads_to(*server, service_.addresses); });
      const bool named = same_host(upstream.name, service_.upstream);
      if (!leads && !named) continue;
      const auto why = leads ? why_not_replaced(upstream) : "leads elsewhere; choose another `proxy.upstream`";
      if (!why.empty()) {
        in_the_way(conf_.place(*upstream.directive), fmt::format("the upstream {} {}", upstream.name, why));
        continue;
      }
      taken_.push_back(&upstream);
    }
    for (const auto* upstream : taken_) remove(*upstream);
  }

  void remove(const NginxUpstream& upstream) {
    const auto& server = *upstream.servers.front();
    std::vector<std::string> directives;
    for (const auto* other : upstream.others) directives.push_back(plain_words(*other, 0));
    const auto parameters = plain_words(server, 2);
    auto& outcome = edit_.outcome;
    if (!outcome.found_upstream) {
      outcome.found_upstream = true;
      outcome.server_parameters = parameters;
      outcome.directives = directives;
    } else if (outcome.server_parameters != parameters || outcome.directives != directives) {
      in_the_way(
          conf_.place(*upstream.directive),
          fmt::format("the upstream {} leads to this service with other settings than {}, and deployctl writes one "
                      "upstream for it; give both the same",
                      upstream.name, taken_.front()->name));
    }
    const bool named = same_host(upstream.name, service_.upstream);
    std::vector<std::string> comments{
        named ? fmt::format("# upstream {}: deployctl writes it to {}", upstream.name, file_)
              : fmt::format("# upstream {}: its requests go to the upstream {}, which deployctl writes to {}",
                            upstream.name, service_.upstream, file_)};
    const auto& directive = *upstream.directive;
    const auto inner = conf_.comments_in(directive.file, directive.range);
    comments.insert(comments.end(), inner.begin(), inner.end());
    edit_.replacements.push_back(comments_in_place_of(conf_.files()[directive.file].text, directive, comments));
    directives.insert(directives.begin(), plain_words(server, 0));
    changed(directive, fmt::format("the upstream {} ({}) goes: deployctl writes {}it to {}", upstream.name,
                                   fmt::join(directives, "; "),
                                   named ? "" : "the upstream " + service_.upstream + " in place of ", file_));
    if (!named) look_for_names_in_variables(upstream);
  }

  void look_for_names_in_variables(const NginxUpstream& upstream) {
    const auto unknown = std::ranges::find_if(conf_.passes(), &NginxPass::variables);
    if (unknown == conf_.passes().end()) return;
    in_the_way(
        conf_.place(*unknown->directive),
        fmt::format("`{}` may lead to the upstream {}, which would be replaced by {}; write the upstream's name in its "
                    "place",
                    shown(*unknown->directive), upstream.name, service_.upstream));
  }

  /// What is to become of a directive that passes requests on.
  void take(const NginxPass& pass) {
    if (pass.address_text.empty()) return;
    const auto& host = pass.address.host;
    const bool is_name = pass.address.port == 0 && conf_.upstream(host) != nullptr;
    const bool to_block =
        is_name && std::ranges::any_of(taken_, [&](const auto* upstream) { return same_host(upstream->name, host); });
    auto address = pass.address;
    if (address.port == 0) address.port = pass.scheme == "https" || pass.scheme == "grpcs" ? 443 : 80;
    const bool to_service = !is_name && std::ranges::any_of(service_.addresses, [&](const auto& own) {
      return same_host(own.host, host) && own.port == address.port;
    });
    const bool named = pass.address.port == 0 && same_host(host, service_.upstream);
    if (!to_block && !to_service && !same_host(host, service_.upstream)) return;

    const auto& name = pass.directive->name();
    if (name != "proxy_pass" && name != "grpc_pass") {
      in_the_way(conf_.place(*pass.directive),
                 fmt::format("`{}` is not HTTP, and deployctl probes and switches HTTP only; "
                             "take this service out of deployctl, or serve HTTP",
                             shown(*pass.directive)));
    } else if (named) {
      edit_.outcome.routed = true;  // it has the upstream's name already
      if (!to_block && !to_service && !included_) note_other_port(pass, address.port);
    } else if (to_block || to_service) {
      rename(pass);
    } else {
      in_the_way(
          conf_.place(*pass.directive),
          fmt::format("`{}` leads to port {}, which is not the service's, and would have to share its upstream's name; "
                      "choose another `proxy.upstream` than {}",
                      shown(*pass.directive), address.port, service_.upstream));
    }
  }

  void note_other_port(const NginxPass& pass, std::uint16_t port) {
    edit_.findings.push_back({Level::note, conf_.place(*pass.directive), service_.service,
                              fmt::format("`{}` asks port {} now, and goes to the upstream {} from now on",
                                          shown(*pass.directive), port, service_.upstream)});
  }

  void rename(const NginxPass& pass) {
    const auto& directive = *pass.directive;
    if (pass.scheme == "https" || pass.scheme == "grpcs") {
      return in_the_way(
          conf_.place(directive),
          fmt::format("`{}` speaks TLS to the service, which names and checks the host by the address that would "
                      "change; pass plain {} to it, or leave it out of deployctl",
                      shown(directive), pass.scheme.substr(0, 4)));
    }
    const auto& text = conf_.files()[directive.file].text;
    const auto word = directive.words[1].range;
    const auto raw = text.substr(word.begin, word.end - word.begin);
    const auto mark = raw.find("://");
    const auto at = raw.find(pass.address_text, mark == std::string::npos ? 0 : mark + 3);
    if (at == std::string::npos || raw.find('\\') != std::string::npos) {
      return in_the_way(conf_.place(directive),
                        fmt::format("`{}` is written with escapes; write the address without", shown(directive)));
    }
    auto kept = keep_headers(conf_, pass, service_.upstream);
    if (!kept.obstacle.empty()) {
      return in_the_way(conf_.place(directive), fmt::format("`{}`: {}", shown(directive), kept.obstacle));
    }
    auto replacements = std::move(kept.replacements);
    const auto begin = word.begin + at;
    replacements.push_back({directive.file, {begin, begin + pass.address_text.size()}, service_.upstream});
    if (!kept.lines.empty()) replacements.push_back(lines_after(text, directive, kept.lines));
    add(pass, std::move(replacements), kept.lines);
  }

  /// An included file may pass requests on from several places: what it needs must be the same everywhere.
  void add(const NginxPass& pass, std::vector<NginxReplacement> replacements, const std::vector<std::string>& lines) {
    edit_.renames = edit_.outcome.routed = true;
    const auto& directive = *pass.directive;
    const auto [known, is_new] = pass_edits_.try_emplace(&directive, std::move(replacements));
    if (!is_new) {
      if (known->second == replacements) return;
      return in_the_way(conf_.place(directive),
                        fmt::format("`{}` is included in places with different headers; write it into "
                                    "each of them",
                                    shown(directive)));
    }
    auto said = fmt::format("`{}` goes to the upstream {}", shown(directive), service_.upstream);
    if (!lines.empty()) said += fmt::format("; `{}` keeps the headers as they were", fmt::join(lines, " "));
    changed(directive, std::move(said));
    if (caches_by_address(conf_, pass)) {
      edit_.findings.push_back(
          {Level::note, conf_.place(directive), service_.service,
           "what Nginx has cached here is fetched once more, because the keys of its cache begin with "
           "the address"});
    }
  }

  void merge_pass_edits() {
    for (auto& [directive, replacements] : pass_edits_) {
      edit_.replacements.insert(edit_.replacements.end(), replacements.begin(), replacements.end());
    }
  }

  const NginxConf& conf_;
  const ServiceInNginx& service_;
  std::string file_;
  bool included_;
  NginxServiceEdit edit_;
  std::vector<NginxFinding> reasons_;
  std::vector<const NginxUpstream*> taken_;
  std::map<const NginxDirective*, std::vector<NginxReplacement>> pass_edits_;
};

}  // namespace

NginxServiceEdit edit_service(const NginxConf& conf, const ServiceInNginx& service, const std::string& folder,
                              bool included) {
  return ServiceEdit(conf, service, folder, included).run();
}

std::optional<std::string> upstream_leading_to(const NginxConf& conf, const std::vector<NginxAddress>& addresses) {
  for (const auto& upstream : conf.upstreams()) {
    const bool fits = upstream.servers.size() == 1 && leads_to(*upstream.servers.front(), addresses);
    if (fits && is_upstream_name(upstream.name)) return upstream.name;
  }
  return std::nullopt;
}

}  // namespace deploy::adopt
