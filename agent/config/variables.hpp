// Where ${VAR} and webhook secrets get their values: at the moment they are needed, from files and the environment, and
// never stored. Blocking reads of small files; any thread.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "agent/domain/resolved_settings.hpp"

namespace deploy::config {

using domain::ResolvedSettings;

/// Reads the service's env files and replaces the variables in `container` and `source.git.args`. The agent's own
/// environment is not looked at. Throws Error: not_found or failed for an env file that cannot be read; invalid, naming
/// service, key, variable and files, for every variable that is not set and has no default (Compose would take an empty
/// text). No message holds a value.
ResolvedSettings resolve(const domain::Service& service);

/// Where a secret is: exactly one of the two is set.
struct SecretSource {
  std::string env;             // name of an environment variable of the agent
  std::filesystem::path file;  // the trailing line break is not part of the secret
  bool operator==(const SecretSource&) const = default;
};

/// The webhook secret's bytes. Throws Error: not_found, failed (file not readable), invalid (fewer than 32 bytes).
std::string load_secret(const SecretSource& source);

/// The token for GitHub's API. Throws Error: not_found, failed (file not readable), invalid (empty, or not one line).
std::string load_token(const SecretSource& source);

/// A password for the registry `host`. Throws Error: not_found, failed (file not readable), invalid (empty, or more
/// than one line).
std::string load_password(const SecretSource& source, const std::string& host);

}  // namespace deploy::config
