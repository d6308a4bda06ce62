#include "agent/engine/image_errors.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "agent/engine/engine_connection.hpp"

namespace deploy::engine {

namespace {

constexpr std::array<std::string_view, 9> unreachable_phrases{
    "connection refused",     "i/o timeout",      "no such host",
    "network is unreachable", "no route to host", "TLS handshake",
    "connection reset",       "Client.Timeout",   "Temporary failure in name resolution"};

constexpr std::array<std::string_view, 5> login_phrases{
    "pull access denied", "unauthorized", "no basic auth credentials", "authorization failed", "denied: "};

constexpr std::array<std::string_view, 3> unknown_phrases{"manifest unknown", "not found", "does not exist"};

constexpr std::string_view disk_advice =
    "free some space on Docker's disk (docker system df shows what takes it) and try again";

bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

template <class Phrases>
bool contains_any(std::string_view message, const Phrases& phrases) {
  return std::any_of(phrases.begin(), phrases.end(), [message](auto phrase) { return contains(message, phrase); });
}

/// What is wrong between this host and a registry whatever is asked for; nullopt where it is something else.
struct Trouble {
  ErrorKind kind;
  std::string advice;
};
std::optional<Trouble> registry_trouble(std::string_view message) {
  if (contains(message, "no space left on device")) return Trouble{ErrorKind::disk_full, std::string(disk_advice)};
  if (contains(message, "toomanyrequests")) {
    return Trouble{ErrorKind::failed,
                   "wait until the registry's limit is over, or keep the image in a registry of your own"};
  }
  if (contains(message, "server gave HTTP response to HTTPS client")) {
    return Trouble{ErrorKind::invalid,
                   "give the registry a certificate, or add it to insecure-registries in /etc/docker/daemon.json and "
                   "restart Docker"};
  }
  if (contains(message, "x509: ")) {
    return Trouble{ErrorKind::invalid,
                   "renew the registry's certificate, or put its authority's into /etc/docker/certs.d/REGISTRY/ca.crt"};
  }
  if (contains(message, "no matching manifest")) {
    return Trouble{ErrorKind::invalid,
                   "build the image for this host's kind of processor, too (docker build --platform)"};
  }
  return std::nullopt;
}

/// Takes what comes before `part` and the part itself away; false where there is none.
bool skip_past(std::string_view& text, std::string_view part) {
  const auto at = text.find(part);
  if (at == std::string_view::npos) return false;
  text.remove_prefix(at + part.size());
  return true;
}

bool skip_prefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

/// What BuildKit says about itself before it says what is wrong.
std::string_view without_noise(std::string_view message) {
  constexpr std::array<std::string_view, 6> noise{"failed to solve with frontend dockerfile.v0: ",
                                                  "failed to solve with frontend gateway.v0: ",
                                                  "failed to solve: ",
                                                  "rpc error: code = Unknown desc = ",
                                                  "failed to create LLB definition: ",
                                                  "failed to compute cache key: "};
  while (std::any_of(noise.begin(), noise.end(), [&](auto prefix) { return skip_prefix(message, prefix); })) {
  }
  return message;
}

/// The path of a COPY or ADD that the build context does not have; empty where the message is about something else.
/// Engines say `"/dist" not found: not found` or `failed to calculate checksum of ref …: "/dist": not found`.
std::string_view missing_in_context(std::string_view message) {
  if (!contains(message, "failed to compute cache key") || !contains(message, "not found")) return {};
  if (!skip_past(message, "\"")) return {};
  return message.substr(0, message.find('"'));
}

/// "REF: not found" of "REF: failed to resolve source metadata for REF: REF: not found".
std::string_view about_base_image(std::string_view message) {
  if (skip_past(message, "failed to resolve source metadata for ")) skip_past(message, ": ");
  return message;
}

bool is_failed_command(std::string_view message) {
  return message.starts_with("executor failed running") ||
         (message.starts_with("process \"") && contains(message, "did not complete successfully"));
}

/// "2: unknown instruction: RUNN" of a Dockerfile that cannot be read; nullopt where it is something else.
std::optional<std::string> parse_failure(std::string_view message) {
  if (!skip_prefix(message, "dockerfile parse error ") && !skip_prefix(message, "Dockerfile parse error "))
    return std::nullopt;
  skip_prefix(message, "on ");
  if (!skip_prefix(message, "line ")) return std::nullopt;
  return std::string(message);
}

/// What to do where a registry refuses an image.
std::string login_advice(const std::string& host, const RegistryLogin& login) {
  if (!login.header.empty()) {
    return fmt::format(
        "the login for {} in {} was sent: check its user name and password, and that it may read the image", host,
        login.from);
  }
  if (!login.trouble.empty()) return fmt::format("{} was asked without a login, because {}", host, login.trouble);
  return fmt::format(
      "{0} was asked without a login: name one in agent.yaml under `registries`, or run `docker login {0}` on this "
      "host "
      "as deployd's user",
      host);
}

}  // namespace

Error pull_error(const domain::Reference& image, int status, const std::string& message, const RegistryLogin& login) {
  const auto reference = to_string(image);
  const std::string what = "pull " + reference + ": ";
  if (const auto trouble = registry_trouble(message)) {
    return Error(trouble->kind, fmt::format("{}{}; {}", what, message, trouble->advice));
  }
  if (contains_any(message, unreachable_phrases)) {
    return Error(
        ErrorKind::unreachable,
        fmt::format("{}the registry does not answer: {}; check its address, that it runs, and that Docker on this host "
                    "reaches it: docker pull {}",
                    what, message, reference));
  }
  if (contains_any(message, login_phrases)) {
    const bool unknown = contains(message, "pull access denied");  // Docker Hub says so of names that it does not have
    return Error(unknown ? ErrorKind::not_found : ErrorKind::failed,
                 fmt::format("{}{}; check the image's name; {}", what, message,
                             login_advice(domain::registry_of(image), login)));
  }
  // The layers that came whole are kept.
  if (contains(message, "unexpected EOF")) {
    return Error(ErrorKind::unreachable,
                 fmt::format("{}the connection to the registry ended half-way: {}", what, message));
  }
  if (contains_any(message, unknown_phrases)) {
    return Error(ErrorKind::not_found,
                 fmt::format("{}{}; check the image's name and tag, and that it was pushed", what, message));
  }
  return Error(kind_of_answer(status, message),
               fmt::format("{}{}; try it by hand: docker pull {}", what, message, reference));
}

Error build_error(const std::string& what, const std::string& dockerfile, std::string_view message,
                  const std::string& output) {
  const auto error = [&](ErrorKind kind, std::string_view reason, const std::string& advice) {
    return Error(kind, fmt::format("{}: {}{}{}{}", what, reason, advice.empty() ? "" : "; ", advice, output));
  };
  const auto reason = without_noise(message);
  if (is_failed_command(reason)) return error(kind_of_answer(500, reason), reason, "");
  if (const auto place = parse_failure(reason)) {
    return error(ErrorKind::invalid, dockerfile + ":" + *place, "correct that line and push again");
  }
  if (contains(reason, "target stage")) {
    return error(ErrorKind::invalid, reason, "set source.git.target to a stage that " + dockerfile + " has");
  }
  if (const auto path = missing_in_context(message); !path.empty()) {
    return error(ErrorKind::invalid, fmt::format("the build context has no \"{}\"", path),
                 "what " + dockerfile +
                     " copies must be committed, inside source.git.context, and not left out by .dockerignore");
  }
  if (const auto trouble = registry_trouble(reason)) return error(trouble->kind, reason, trouble->advice);
  const auto image = about_base_image(reason);
  if (contains_any(image, unreachable_phrases)) {
    return error(ErrorKind::unreachable, image,
                 "check that Docker on this host reaches the registry of the image after FROM");
  }
  if (contains_any(image, login_phrases)) {
    return error(ErrorKind::invalid, image,
                 "check the name after FROM in " + dockerfile +
                     "; a private image needs a login for its registry: name one in agent.yaml under `registries`");
  }
  if (contains_any(image, unknown_phrases)) {
    return error(ErrorKind::invalid, image,
                 "check the name after FROM in " + dockerfile + ", and that the image was pushed");
  }
  return error(kind_of_answer(500, reason), reason,
               "correct " + dockerfile + " and push again, or try it by hand: docker build");
}

}  // namespace deploy::engine
