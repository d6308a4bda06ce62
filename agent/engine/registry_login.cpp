#include "agent/engine/registry_login.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>

#include "agent/base/error.hpp"
#include "agent/base/text.hpp"
#include "agent/engine/base64.hpp"

namespace deploy::engine {

namespace {

using nlohmann::json;

constexpr std::chrono::seconds helper_deadline{20};
constexpr std::size_t helper_output_bytes_max = 64 * 1024;
constexpr std::size_t config_bytes_max = std::size_t{1} << 20;
constexpr std::size_t shown_bytes_max = 300;

/// nullopt: there is no such file. Throws Error(failed).
std::optional<std::string> read_config(const std::filesystem::path& path) {
  std::error_code problem;
  if (!std::filesystem::exists(path, problem)) return std::nullopt;
  std::ifstream in(path, std::ios::binary);
  if (!in) throw Error(ErrorKind::failed, std::strerror(errno));
  std::string text(config_bytes_max, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  return text;
}

/// Source: Docker Engine API v1.41, "Authentication".
std::string header_of(const DockerLogin& login) {
  json value{{"serveraddress", login.server}};
  if (!login.identity_token.empty()) {
    value["identitytoken"] = login.identity_token;
  } else {
    value["username"] = login.username;
    value["password"] = login.password;
  }
  return base64_url(value.dump(-1, ' ', false, json::error_handler_t::replace));
}

/// A helper that fails says why on standard output.
std::string why_failed(const ports::ProcessResult& result) {
  const auto said = trim(result.output).empty() ? trim(result.error_output) : trim(result.output);
  return std::string(said.substr(0, std::min({said.size(), said.find('\n'), shown_bytes_max})));
}

}  // namespace

RegistryLogin RegistryLogins::configured(const domain::RegistryUser& login) {
  RegistryLogin found;
  found.from = "`registries` in agent.yaml";
  try {
    DockerLogin whole;
    whole.server = login.host;
    whole.username = login.username;
    whole.password = login.password();
    found.header = header_of(whole);
  } catch (const Error& error) {
    found.trouble = error.message();
  }
  return found;
}

/// Throws Error in words that say which program it is and what to do.
Task<DockerLogin> RegistryLogins::ask_helper(DockerLogin login) {
  const auto program = "docker-credential-" + login.helper;
  const auto named = program + ", which " + docker_config_.string() + " names,";
  ports::ProcessSpec spec;
  spec.argv = {program, "get"};
  spec.standard_input = login.server;
  spec.deadline = helper_deadline;
  spec.output_bytes_max = helper_output_bytes_max;
  ports::ProcessResult result;
  std::optional<Error> failure;
  try {
    result = co_await runner_.run(spec);
  } catch (const Error& error) {
    failure = error;
  }
  if (failure && failure->kind() == ErrorKind::not_found) {
    throw Error(ErrorKind::not_found, named +
                                          " is not in PATH; install it, or name a login in agent.yaml under "
                                          "`registries`");
  }
  const auto by_hand = "; try it by hand: echo " + login.server + " | " + program + " get";
  if (failure && failure->kind() == ErrorKind::timed_out) {
    throw Error(ErrorKind::timed_out, named + " did not answer within " + human_duration(helper_deadline) + by_hand);
  }
  if (failure) throw *failure;
  if (result.exit_code != 0) {
    const auto why = why_failed(result);
    // What helpers say of a registry that they do not know.
    if (why.find("credentials not found") != std::string::npos) co_return login;
    throw Error(ErrorKind::failed,
                named + " ended with " + std::to_string(result.exit_code) + (why.empty() ? "" : ": " + why) + by_hand);
  }
  const auto answer = json::parse(result.output, nullptr, false);
  const auto text_at = [&answer](const char* key) {
    return answer.is_object() && answer.contains(key) && answer[key].is_string() ? answer[key].get<std::string>() : "";
  };
  const auto secret = text_at("Secret");
  if (secret.empty()) throw Error(ErrorKind::failed, named + " answered without a secret" + by_hand);
  const auto username = text_at("Username");
  if (username == "<token>") {
    login.identity_token = secret;
  } else {
    login.username = username;
    login.password = secret;
  }
  co_return login;
}

Task<RegistryLogin> RegistryLogins::find(std::string host) {
  const auto own =
      std::find_if(configured_.begin(), configured_.end(), [&](const auto& login) { return login.host == host; });
  if (own != configured_.end()) co_return configured(*own);
  RegistryLogin found;
  found.from = docker_config_.string();
  std::optional<DockerLogin> login;
  try {
    if (const auto text = read_config(docker_config_)) login = docker_login(*text, host);
  } catch (const Error& error) {
    found.trouble = docker_config_.string() + " cannot be read: " + error.message();
  }
  if (!login) co_return found;
  if (!login->helper.empty()) {
    try {
      auto asked = co_await ask_helper(*login);
      if (asked.found()) login = std::move(asked);
    } catch (const Error& error) {
      found.trouble = error.message();
    }
  }
  if (login->found()) {
    found.trouble.clear();
    found.header = header_of(*login);
  }
  co_return found;
}

}  // namespace deploy::engine
