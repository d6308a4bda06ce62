#include "agent/engine/docker_config.hpp"

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>

#include "agent/base/error.hpp"
#include "agent/engine/base64.hpp"

namespace deploy::engine {

namespace {

using nlohmann::json;

/// What Docker Hub is called in these files.
constexpr auto hub_server = "https://index.docker.io/v1/";

/// "https://ghcr.io/v2/" -> "ghcr.io"
std::string host_of(std::string server) {
  if (const auto scheme = server.find("://"); scheme != std::string::npos) server.erase(0, scheme + 3);
  server.resize(std::min(server.find('/'), server.size()));
  return server == "index.docker.io" || server == "registry-1.docker.io" ? "docker.io" : server;
}

std::string text_of(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

/// The entry of an object whose keys are servers; nullptr: there is none.
const json* entry_for(const json& file, const char* key, const std::string& host) {
  const auto section = file.find(key);
  if (section == file.end() || !section->is_object()) return nullptr;
  for (const auto& [server, value] : section->items()) {
    if (host_of(server) == host) return &value;
  }
  return nullptr;
}

void read_entry(const json& entry, DockerLogin& login) {
  if (!entry.is_object()) return;
  login.username = text_of(entry, "username");
  login.password = text_of(entry, "password");
  login.identity_token = text_of(entry, "identitytoken");
  const auto both = base64_decode(text_of(entry, "auth"));
  if (!both || both->find(':') == std::string::npos) return;
  login.username = both->substr(0, both->find(':'));
  login.password = both->substr(both->find(':') + 1);
  login.password.erase(std::find(login.password.begin(), login.password.end(), '\0'), login.password.end());
}

}  // namespace

DockerLogin docker_login(std::string_view text, const std::string& host) {
  const auto file = json::parse(text, nullptr, false);
  if (!file.is_object()) throw Error(ErrorKind::invalid, "it is no JSON object");
  DockerLogin login;
  login.server = host == "docker.io" ? hub_server : host;
  const auto* own = entry_for(file, "credHelpers", host);
  login.helper = own != nullptr && own->is_string() ? own->get<std::string>() : text_of(file, "credsStore");
  const bool plain = std::all_of(login.helper.begin(), login.helper.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.';
  });
  if (!plain) throw Error(ErrorKind::invalid, "it names a credential helper that is no name of a program");
  if (const auto* entry = entry_for(file, "auths", host)) read_entry(*entry, login);
  return login;
}

}  // namespace deploy::engine
