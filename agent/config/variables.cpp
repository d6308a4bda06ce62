#include "agent/config/variables.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <system_error>
#include <utility>
#include <vector>

#include "agent/base/error.hpp"
#include "agent/config/env_file.hpp"
#include "agent/config/interpolation.hpp"

namespace deploy::config {

namespace {

/// Half of a SHA-256 block, what GitHub's signature deserves.
constexpr std::size_t secret_bytes_min = 32;
constexpr std::size_t secret_bytes_max = 4096;

EnvFiles read_files(const domain::Service& service) {
  try {
    return EnvFiles::read(service.vars);
  } catch (const Error& error) {
    throw error.with_context("service " + service.name);
  }
}

/// Replaces variables in many texts and remembers what was missing.
class Resolver {
 public:
  explicit Resolver(const domain::Service& service) : service_(service), files_(read_files(service)) {}

  void text(const std::string& key, std::string& value) {
    if (auto problem = template_problem(value)) return fail(key + " " + *problem);
    try {
      auto result = interpolate(value, [this](const std::string& name) { return files_.find(name); });
      if (auto* missing = std::get_if<MissingVariable>(&result)) return fail(describe(key, *missing));
      value = std::move(std::get<std::string>(result));
    } catch (const Error& error) {
      fail(key + ": " + error.message());
    }
  }

  void list(const std::string& key, std::vector<std::string>& values) {
    for (std::size_t index = 0; index < values.size(); ++index)
      text(key + "[" + std::to_string(index) + "]", values[index]);
  }

  void map(const std::string& key, std::map<std::string, std::string>& values) {
    for (auto& [name, value] : values) text(key + "." + name, value);
  }

  void fail(const std::string& problem) { problems_ += (problems_.empty() ? "" : "; ") + problem; }

  void finish() const {
    if (!problems_.empty()) throw Error(ErrorKind::invalid, "service " + service_.name + ": " + problems_);
  }

 private:
  std::string describe(const std::string& key, const MissingVariable& missing) const {
    std::string where;
    for (const auto& file : service_.vars) where += (where.empty() ? " in " : " or ") + file;
    auto text = key + " needs the variable " + missing.name + ", which is " +
                (missing.may_not_be_empty ? "empty or not set" : "not set") + where;
    if (!missing.message.empty()) return text + ": " + missing.message;
    if (where.empty())
      return text + ": list an env file under `vars`, or give a default with ${" + missing.name + ":-…}";
    return text + ": set it there, or give a default with ${" + missing.name + ":-…}";
  }

  const domain::Service& service_;
  EnvFiles files_;
  std::string problems_;
};

/// `key` of agent.yaml names the file, `what` says what is in it.
std::string read_secret_file(const std::filesystem::path& file, const std::string& what, const std::string& key) {
  std::ifstream in(file, std::ios::binary);
  if (!in) {
    auto kind = errno == ENOENT ? ErrorKind::not_found : ErrorKind::failed;
    throw Error(kind, "the " + what + " file " + file.string() +
                          " cannot be read: " + std::generic_category().message(errno) + ": check the path under `" +
                          key + "` and the file's permissions");
  }
  std::string text(secret_bytes_max + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  if (text.ends_with('\n')) text.pop_back();
  if (text.ends_with('\r')) text.pop_back();
  return text;
}

/// The bytes, and what they are called in messages.
struct Loaded {
  std::string bytes;
  std::string name;
};

Loaded load(const SecretSource& source, const std::string& what, const std::string& file_word, const std::string& key) {
  Loaded loaded;
  if (source.env.empty()) {
    loaded.name = "the " + what + " in " + source.file.string();
    loaded.bytes = read_secret_file(source.file, file_word, key);
  } else {
    loaded.name = "the " + what + " in the environment variable " + source.env;
    const char* value = std::getenv(source.env.c_str());
    if (!value) {
      throw Error(ErrorKind::not_found,
                  loaded.name + " is not there: set it for the agent, e.g. with EnvironmentFile= in its systemd unit");
    }
    loaded.bytes = value;
  }
  if (loaded.bytes.size() > secret_bytes_max) {
    throw Error(ErrorKind::invalid,
                loaded.name + " has more than " + std::to_string(secret_bytes_max) + " bytes: is it another file?");
  }
  return loaded;
}

}  // namespace

ResolvedSettings resolve(const domain::Service& service) {
  ResolvedSettings result{service.container, {}};
  Resolver resolver(service);
  auto& container = result.container;
  resolver.map("container.environment", container.environment);
  for (const auto& [key, hooks] : {std::pair("before", &service.hooks.before),
                                   {"verify", &service.hooks.verify},
                                   {"after", &service.hooks.after}}) {
    for (const auto& hook : *hooks) {
      auto checked = hook.environment;  // resolved when it runs; what is missing is told of before
      resolver.map("hooks." + std::string(key) + ".environment", checked);
    }
  }
  resolver.list("container.command", container.command);
  resolver.list("container.entrypoint", container.entrypoint);
  resolver.text("container.user", container.user);
  resolver.text("container.working_dir", container.working_dir);
  resolver.list("container.volumes", container.volumes);
  resolver.list("container.extra_hosts", container.extra_hosts);
  resolver.list("container.tmpfs", container.tmpfs);
  resolver.list("container.pre_stop", container.pre_stop);
  resolver.map("container.logging.options", container.log_options);
  resolver.map("container.labels", container.labels);
  resolver.list("container.healthcheck.test", container.healthcheck.test);
  resolver.map("container.sysctls", container.sysctls);
  resolver.text("container.hostname", container.hostname);
  if (service.source.git) {
    result.build_args = service.source.git->args;
    resolver.map("source.git.args", result.build_args);
  }
  resolver.finish();
  return result;
}

std::string load_secret(const SecretSource& source) {
  auto [secret, name] = load(source, "webhook secret", "secret", "webhook.secrets");
  if (secret.size() < secret_bytes_min) {
    throw Error(ErrorKind::invalid,
                name + " has " + std::to_string(secret.size()) + " bytes, and at least " +
                    std::to_string(secret_bytes_min) +
                    " are needed: make one with `openssl rand -hex 32` and enter it at GitHub, too");
  }
  return secret;
}

std::string load_token(const SecretSource& source) {
  auto [token, name] = load(source, "token for GitHub", "token", "github.token");
  const bool plain = std::all_of(token.begin(), token.end(), [](char c) { return c > ' ' && c < 0x7f; });
  if (token.empty() || !plain) {
    throw Error(ErrorKind::invalid, name + (token.empty() ? " is empty" : " holds a blank or a line break") +
                                        ": write the token alone, as GitHub showed it");
  }
  return token;
}

std::string load_password(const SecretSource& source, const std::string& host) {
  auto [password, name] = load(source, "password for " + host, "password", "registries.password");
  if (password.empty() || password.find_first_of("\r\n") != std::string::npos) {
    throw Error(ErrorKind::invalid,
                name + (password.empty() ? " is empty" : " has several lines") + ": write the password or token alone");
  }
  return password;
}

}  // namespace deploy::config
