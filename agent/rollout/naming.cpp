#include "agent/rollout/naming.hpp"

#include <algorithm>
#include <cctype>
#include <iterator>
#include <nlohmann/json.hpp>

#include "agent/base/error.hpp"
#include "agent/base/text.hpp"

namespace deploy::rollout {

namespace {

/// A setting that is as it is by default does not count, so that one which a later version adds changes no hash.
void drop_defaults(nlohmann::json& value, const nlohmann::json& defaults) {
  for (auto member = value.begin(); member != value.end();) {
    const auto usual = defaults.find(member.key());
    if (usual != defaults.end() && member->is_object()) drop_defaults(*member, *usual);
    const bool is_usual = usual != defaults.end() && !member->is_object() && *usual == *member;
    member = is_usual ? value.erase(member) : std::next(member);
  }
}

nlohmann::json defaults() {
  domain::Service service;
  service.source.git.emplace();
  return domain::to_json_value(service);
}

}  // namespace

nlohmann::json what_runs(const domain::Service& service) {
  auto value = domain::to_json_value(service);
  for (const auto* name :
       {"repo", "branch", "trigger", "workflows", "paths", "rebuilt_by", "depends_on", "vars", "strategy", "max_surge",
        "max_unavailable", "bake", "drain", "hooks", "migrates_on_boot", "retain", "supersede", "image"}) {
    value.erase(name);
  }
  if (value.contains("git")) {
    for (const auto* name : {"url", "ssh_key", "ssh_known_hosts", "token_env"}) value["git"].erase(name);
  }
  drop_defaults(value, defaults());
  return value;
}

std::string config_hash(const domain::Service& service, const ResolvedSettings& settings, const std::string& key) {
  domain::Service resolved = service;
  resolved.container = settings.container;
  if (resolved.source.git) resolved.source.git->args = settings.build_args;
  return hmac_sha256_hex(key, what_runs(resolved).dump());
}

std::string revision_name(const std::string& service, const std::string& origin, const std::string& hash,
                          const domain::Commits& others) {
  const auto digits = origin.starts_with("sha256:") ? origin.substr(7) : origin;
  const auto own = service + "-" + digits.substr(0, 7) + "-" + hash.substr(0, 6);
  if (others.empty()) return own;
  const auto rest = others.size() == 1 ? others.begin()->second : sha256_hex(nlohmann::json(others).dump());
  return own + "-" + rest.substr(0, 7);
}

std::string container_name(const domain::Revision& revision, const domain::Target& target) {
  return revision.name + "-" + std::to_string(target.rollout.value) + "-" + std::to_string(target.slot);
}

std::string begun_at(const domain::Rollout& rollout) {
  const auto since = rollout.created.time_since_epoch();
  return "@" + std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(since).count());
}

std::string image_tag(const std::string& service, const std::string& revision) {
  return "deployctl/" + service + ":" + revision;
}

std::string expand_image(const std::string& pattern, const std::string& commit, const std::string& ref) {
  std::string reference = pattern;
  const auto replace = [&](const std::string& placeholder, const std::string& value) {
    const auto position = reference.find(placeholder);
    if (position == std::string::npos) return;
    const bool usable = !value.empty() && std::all_of(value.begin(), value.end(), [](unsigned char c) {
      return std::isalnum(c) != 0 || c == '.' || c == '_' || c == '-';
    });
    if (!usable) {
      throw Error(ErrorKind::invalid, "the image \"" + pattern + "\" needs a value for " + placeholder +
                                          " that can be part of an image's name, and \"" + value +
                                          "\" is none; name the image with --image");
    }
    reference.replace(position, placeholder.size(), value);
  };
  replace("{sha}", commit);
  replace("{branch}", ref);
  replace("{tag}", ref);
  return reference;
}

}  // namespace deploy::rollout
