#include "agent/config/source_schema.hpp"

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <utility>

#include "agent/config/checks.hpp"
#include "agent/config/scalars.hpp"

namespace deploy::config {

namespace {

enum class Transport { none, https, ssh, file };

/// The transport of a git URL; none and an error for what is not taken.
Transport transport_of(const Value& value, const std::string& url) {
  if (!check_printable(value, url)) return Transport::none;
  auto scheme_end = url.find("://");
  if (scheme_end == std::string::npos) {
    // scp's form, user@host:path, as GitHub shows it.
    auto at = url.find('@');
    auto colon = url.find(':');
    bool is_scp =
        at != std::string::npos && at > 0 && colon != std::string::npos && colon > at + 1 && colon + 1 < url.size();
    if (is_scp) return Transport::ssh;
    value.error("must be a git URL", "https://, ssh://, git@host:owner/name.git or file:///path");
    return Transport::none;
  }
  auto scheme = url.substr(0, scheme_end);
  auto rest = std::string_view(url).substr(scheme_end + 3);
  auto host = rest.substr(0, std::min(rest.find('/'), rest.size()));
  if (scheme == "file" && rest.starts_with('/')) return Transport::file;
  if (scheme == "ssh" && !host.empty()) return Transport::ssh;
  if (scheme == "https" && !host.empty()) {
    if (host.find('@') == std::string_view::npos) return Transport::https;
    value.error("must not hold a user or a password", "name an environment variable of the agent under `token_env`");
    return Transport::none;
  }
  value.error(
      "must be a git URL that is safe to fetch from",
      scheme == "http" ? "write https:// for http://" : "https://, ssh://, git@host:owner/name.git or file:///path");
  return Transport::none;
}

/// A path inside of the repository.
void read_inner_path(Fields& fields, const std::string& key, std::string& out) {
  auto value = fields.find(key);
  if (!value) return;
  auto text = value->filled_text();
  if (!text || !check_printable(*value, *text)) return;
  auto path = std::filesystem::path(*text).lexically_normal();
  if (path.is_absolute() || *path.begin() == "..") {
    value->error("must stay inside of the repository",
                 "write it relative, e.g. " + std::string(key == "context" ? "./app" : "Dockerfile"));
    return;
  }
  out = std::move(*text);
}

void check_credentials(Fields& fields, Transport transport) {
  struct Rule {
    const char* key;
    Transport needs;
    const char* what;
  };
  const Rule rules[] = {{"ssh_key", Transport::ssh, "needs an SSH url"},
                        {"ssh_known_hosts", Transport::ssh, "needs an SSH url"},
                        {"token_env", Transport::https, "needs an https:// url"}};
  for (const auto& rule : rules) {
    auto value = fields.find(rule.key);
    if (value && transport != Transport::none && transport != rule.needs) value->error(rule.what, "remove it");
  }
  if (transport != Transport::ssh) return;
  fields.require("ssh_key", "the path of the repository's deploy key: ed25519 or ECDSA, readable by the agent only");
  fields.require("ssh_known_hosts",
                 "a file with the host's key, made by ssh-keyscan and compared with what the host publishes");
}

}  // namespace

domain::GitSource read_remote(Fields& fields) {
  domain::GitSource git;
  auto transport = Transport::none;
  if (auto url = fields.require("url", "e.g. url: https://github.com/owner/name.git")) {
    if (auto text = url->filled_text()) {
      transport = transport_of(*url, *text);
      git.url = std::move(*text);
    }
  }
  std::filesystem::path key;
  std::filesystem::path known_hosts;
  read_path(fields, "ssh_key", key);
  read_path(fields, "ssh_known_hosts", known_hosts);
  git.ssh_key = key.string();
  git.ssh_known_hosts = known_hosts.string();
  fields.text("token_env", git.token_env);
  check_credentials(fields, transport);
  return git;
}

namespace {

domain::GitSource read_git(const Value& value) {
  Fields fields(value);
  auto git = read_remote(fields);
  read_inner_path(fields, "context", git.context);
  read_inner_path(fields, "dockerfile", git.dockerfile);
  if (auto target = fields.find("target")) git.target = target->text().value_or("");
  if (auto args = fields.find("args")) git.args = args->template_map();
  fields.finish();
  return git;
}

void read_image(const Value& value, domain::Service& service) {
  auto text = value.filled_text();
  if (!text || !check_printable(value, *text)) return;
  const std::vector<std::string> names{"sha", "tag", "branch"};
  for (auto at = text->find_first_of("{}"); at != std::string::npos; at = text->find_first_of("{}", at)) {
    auto end = text->find_first_of("{}", at + 1);
    if ((*text)[at] == '}' || end == std::string::npos || (*text)[end] == '{') {
      value.error("has a brace without its other half", "write {sha}, {tag} or {branch}");
      return;
    }
    auto name = text->substr(at + 1, end - at - 1);
    if (std::ranges::find(names, name) == names.end()) {
      value.error("has the unknown placeholder {" + name + "}, only {sha}, {tag} and {branch} are known",
                  suggestion(name, names));
      return;
    }
    at = end + 1;
  }
  if (text->find(' ') != std::string::npos) {
    value.error("must be an image reference without blanks", "e.g. owner/name:{sha}");
    return;
  }
  service.source.image = std::move(*text);
}

}  // namespace

void read_source(const Value& value, domain::Service& service) {
  Fields fields(value);
  auto git = fields.find("git");
  auto image = fields.find("image");
  if (git) service.source.git = read_git(*git);
  if (image) read_image(*image, service);
  fields.finish();
  if (!value.is_map()) return;
  if (!git && !image) {
    value.error("has neither `git` nor `image`", "name the repository to build from, or the image to pull, or both");
  }
}

}  // namespace deploy::config
