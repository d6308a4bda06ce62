// Where a repository is: the forms of address that a mirror can be fetched from. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace deploy::source {

enum class Transport { https, ssh, file };

struct GitUrl {
  Transport transport = Transport::https;
  std::string user;        // ssh only; "git" where the address names none
  std::string host;        // an IPv6 address without its brackets; empty for file
  std::uint16_t port = 0;  // 0: the transport's own
  std::string text;        // as given
};

/// Understands https://host[:port]/path, ssh://[user@]host[:port]/path, [user@]host:path and file:///path.
/// Throws Error(invalid) for everything else, and for an address that holds a password.
GitUrl parse_git_url(std::string_view text);

}  // namespace deploy::source
