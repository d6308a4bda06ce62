// Logins as the Docker CLI keeps them in its config.json. Pure. Source: the Docker CLI's "docker login" reference,
// "Configuration file" and "Credential stores".
#pragma once

#include <string>
#include <string_view>

namespace deploy::engine {

/// What the file says about one registry. Holds a secret: never stored, never logged.
struct DockerLogin {
  std::string helper;  // the program docker-credential-<helper> knows it; empty: none does
  std::string server;  // what that program is asked for
  std::string username;
  std::string password;
  std::string identity_token;  // in place of both
  bool found() const { return !username.empty() || !identity_token.empty(); }
};

/// `host` is as domain::registry_of names it. A helper of this host comes before the one of all hosts; what stands in
/// the file itself is there beside it. Throws Error(invalid), without the text, where it is no such file.
DockerLogin docker_login(std::string_view text, const std::string& host);

}  // namespace deploy::engine
