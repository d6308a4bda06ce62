#include "agent/adopt/nginx_webhook.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "agent/adopt/nginx_lines.hpp"
#include "agent/adopt/nginx_syntax.hpp"

namespace deploy::adopt {

namespace {

/// Every `server` block of a file, in order.
void servers_in(const std::vector<NginxDirective>& directives, std::vector<const NginxDirective*>& found) {
  for (const auto& directive : directives) {
    if (!directive.is_block) continue;
    if (directive.name() == "server") found.push_back(&directive);
    servers_in(directive.children, found);
  }
}

std::vector<const NginxDirective*> servers_of(const NginxSyntax& syntax) {
  std::vector<const NginxDirective*> found;
  servers_in(syntax.directives, found);
  return found;
}

/// The server with most passes to these.
const NginxDirective* busiest(const NginxConf& conf, const std::vector<std::string>& upstreams) {
  const NginxDirective* best = nullptr;
  std::ptrdiff_t most = 0;
  for (const auto& server : conf.servers()) {
    const auto count = std::ranges::count_if(conf.passes(), [&](const NginxPass& pass) {
      const bool inside = std::ranges::find(pass.blocks, server.directive) != pass.blocks.end();
      return inside &&
             std::ranges::any_of(upstreams, [&](const auto& name) { return same_host(name, pass.address.host); });
    });
    if (count > most) {
      most = count;
      best = server.directive;
    }
  }
  return best;
}

}  // namespace

WebhookLocation add_webhook_location(const NginxConf& conf, std::vector<NginxFile>& files,
                                     const std::vector<std::string>& upstreams, const std::string& path,
                                     const std::string& socket) {
  const auto line =
      fmt::format("location = {} {{ proxy_pass http://unix:{}; client_max_body_size 25m; }}", path, socket);
  for (const auto& server : conf.servers()) {
    for (const auto* location : conf.inside(*server.directive, "location")) {
      const auto& words = location->words;
      if (std::ranges::any_of(words, [&](const auto& word) { return word.text == path; })) return {false, true, ""};
    }
  }
  const auto* server = busiest(conf, upstreams);
  const auto no_place = fmt::format(
      "no server of Nginx's passes requests to these services, so there is no place for "
      "the webhook; where GitHub is to reach it, add: {}",
      line);
  if (server == nullptr) return {false, false, no_place};
  const auto& original = conf.files()[server->file];
  if (!original.editable)
    return {false, false, fmt::format("{} cannot be changed from here; add to its server: {}", original.path, line)};
  config::Diagnostics ignored;  // it was read before
  const auto before = read_nginx_syntax(original.path, server->file, original.text, ignored);
  auto file = std::ranges::find(files, original.path, &NginxFile::path);
  if (file == files.end()) file = files.insert(files.end(), original);
  const auto after = read_nginx_syntax(file->path, server->file, file->text, ignored);
  if (!before || !after) return {false, false, no_place};
  // No edit adds or removes a server, so it is the one with the same number.
  const auto old_servers = servers_of(*before);
  const auto new_servers = servers_of(*after);
  const auto at = std::ranges::find_if(old_servers, [&](const auto* other) { return other->range == server->range; });
  const auto number = static_cast<std::size_t>(at - old_servers.begin());
  if (number >= new_servers.size()) return {false, false, no_place};
  const auto change = last_line_in_block(file->text, *new_servers[number], line);
  file->text.replace(change.range.begin, change.range.end - change.range.begin, change.text);
  return {true, false, fmt::format("{}: the server gets `{}`", conf.place(*server), line)};
}

}  // namespace deploy::adopt
