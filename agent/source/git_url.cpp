#include "agent/source/git_url.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "agent/base/error.hpp"

namespace deploy::source {

namespace {

[[noreturn]] void refuse(std::string_view text, std::string_view why) {
  throw Error(ErrorKind::invalid, "source.git.url " + std::string(text) + " cannot be used: " + std::string(why));
}

/// "[user@]host[:port]", host perhaps in brackets. nullopt where it is malformed.
std::optional<GitUrl> parse_authority(std::string_view authority) {
  GitUrl url;
  if (const auto at = authority.rfind('@'); at != std::string_view::npos) {
    url.user = authority.substr(0, at);
    authority.remove_prefix(at + 1);
  }
  std::string_view port;
  if (authority.starts_with('[')) {
    const auto end = authority.find(']');
    if (end == std::string_view::npos) return std::nullopt;
    url.host = authority.substr(1, end - 1);
    authority.remove_prefix(end + 1);
    if (!authority.empty() && authority.front() != ':') return std::nullopt;
    port = authority;
  } else {
    const auto colon = authority.find(':');
    url.host = authority.substr(0, colon);
    if (colon != std::string_view::npos) port = authority.substr(colon);
  }
  if (!port.empty()) {
    const char* const end = port.data() + port.size();
    const auto [stopped, failure] = std::from_chars(port.data() + 1, end, url.port);
    if (failure != std::errc{} || stopped != end || url.port == 0) return std::nullopt;
  }
  if (url.host.empty() || url.host.starts_with('-')) return std::nullopt;
  return url;
}

GitUrl parse_with_scheme(std::string_view text, Transport transport, std::string_view rest) {
  const auto slash = rest.find('/');
  if (slash == std::string_view::npos || slash + 1 == rest.size())
    refuse(text, "it names no repository after the host");
  auto url = parse_authority(rest.substr(0, slash));
  if (!url) refuse(text, "its host or port is malformed");
  if (transport == Transport::https && !url->user.empty()) {
    refuse("https://…@" + url->host,
           "it holds a user or a password; put a token into an environment variable and name it in `token_env`");
  }
  if (url->user.find(':') != std::string::npos) {
    refuse("ssh://…@" + url->host, "it holds a password; use a key and name its file in `ssh_key`");
  }
  url->transport = transport;
  return *url;
}

/// "[user@]host:path" as scp writes it.
GitUrl parse_scp_form(std::string_view text, std::size_t colon) {
  auto url = parse_authority(text.substr(0, colon));
  if (!url) refuse(text, "its host is malformed");
  if (colon + 1 == text.size()) refuse(text, "it names no repository after the host");
  url->transport = Transport::ssh;
  return *url;
}

}  // namespace

GitUrl parse_git_url(std::string_view text) {
  const bool printable = std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f; });
  if (!printable || text.empty())
    refuse("\"" + std::string(text) + "\"", "it is empty or holds a blank or a control character");
  GitUrl url;
  const auto scheme_end = text.find("://");
  const auto colon = text.find(':');
  if (scheme_end != std::string_view::npos) {
    const std::string_view scheme = text.substr(0, scheme_end);
    const std::string_view rest = text.substr(scheme_end + 3);
    if (scheme == "https") {
      url = parse_with_scheme(text, Transport::https, rest);
    } else if (scheme == "ssh") {
      url = parse_with_scheme(text, Transport::ssh, rest);
    } else if (scheme == "file") {
      if (!rest.starts_with('/'))
        refuse(text, "a file address has three slashes and a full path: file:///srv/git/app.git");
      url.transport = Transport::file;
    } else {
      refuse(text, "\"" + std::string(scheme) + "\" is not supported; use https://, ssh:// or file://");
    }
  } else if (colon != std::string_view::npos && colon < text.find('/')) {
    url = parse_scp_form(text, colon);
  } else {
    refuse(text, "it is not an address; use https://, ssh://, git@host:path or file://");
  }
  if (url.transport == Transport::ssh && url.user.empty()) url.user = "git";
  url.text = text;
  return url;
}

}  // namespace deploy::source
