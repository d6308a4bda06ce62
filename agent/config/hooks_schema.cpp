#include "agent/config/hooks_schema.hpp"

#include <charconv>
#include <filesystem>
#include <optional>
#include <string_view>
#include <utility>

#include "agent/config/checks.hpp"

namespace deploy::config {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds longest = std::chrono::hours(24);
constexpr milliseconds after_timeout = std::chrono::seconds(30);

void read_command(Fields& fields, const char* key, std::vector<std::string>& command) {
  auto value = fields.find(key);
  if (!value) return;
  fields.texts(key, command);
  if (value->is_list() && value->items().empty()) value->error("names no command", "e.g. [./migrate, --all]");
}

/// http://host[:port]/path, taken apart.
bool read_url(std::string_view url, domain::Hook& hook) {
  constexpr std::string_view scheme = "http://";
  if (!url.starts_with(scheme)) return false;
  url.remove_prefix(scheme.size());
  const auto slash = url.find('/');
  const auto authority = url.substr(0, slash);
  const auto colon = authority.find(':');
  hook.host = authority.substr(0, colon);
  hook.path = slash == std::string_view::npos ? "/" : url.substr(slash);
  if (colon != std::string_view::npos) {
    const auto digits = authority.substr(colon + 1);
    const auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), hook.port);
    if (failure != std::errc() || end != digits.data() + digits.size() || hook.port == 0) return false;
  }
  return !hook.host.empty() && hook.host.find_first_of(" @[]?#") == std::string::npos;
}

void read_request(Fields& fields, domain::Hook& hook) {
  auto value = fields.find("http");
  if (!value) return;
  auto url = value->filled_text();
  if (!url) return;
  if (!read_url(*url, hook)) {
    value->error("must be an address such as http://localhost/api/health",
                 "deployd asks the proxy on this host; it speaks no TLS");
  } else {
    check_url_path(*value, hook.path);
  }
}

void read_save(Fields& fields, domain::Hook& hook) {
  auto value = fields.find("save");
  if (!value) return;
  auto text = value->filled_text();
  if (!text) return;
  const std::filesystem::path path(*text);
  const auto name = path.filename().string();
  bool leaves = path.is_absolute();
  for (const auto& part : path) leaves = leaves || part == "..";
  if (leaves) {
    value->error("must be a path below the state folder, such as backups/{service}-{revision}.sql");
  } else if (name.find("{revision}") == std::string::npos || text->find("{revision}") != text->rfind("{revision}")) {
    value->error("must have {revision} in the file's name, once",
                 "else each rollout would overwrite the last one's file");
  } else if (path.parent_path().empty()) {
    value->error("must name a folder, too", "the state folder itself holds deployd's own files");
  } else if (text->find_first_of("*?[\\\"'$`\n") == std::string::npos) {
    hook.save = std::move(*text);
  } else {
    value->error("must hold no quotes, wildcards, `$` or line breaks");
  }
}

void read_environment(Fields& fields, domain::Hook& hook) {
  auto value = fields.find("environment");
  if (!value) return;
  hook.environment = value->template_map();
  if (!fields.find("run")) value->error("needs `run`", "a request has no environment");
}

void read_timeout(Fields& fields, domain::Hook& hook) {
  fields.duration("timeout", milliseconds(100), longest, hook.timeout);
}

std::optional<domain::Hook> read_before(const Value& value) {
  domain::Hook hook;
  Fields fields(value);
  if (!fields.require("run", "the command, e.g. run: [./migrate]")) return std::nullopt;
  read_command(fields, "run", hook.run);
  auto in = fields.find("in");
  if (in) {
    auto name = in->filled_text();
    if (name && check_docker_name(*in, *name)) hook.in = std::move(*name);
  }
  read_save(fields, hook);
  fields.integer("keep", 1, 1000, hook.keep);
  read_command(fields, "restore", hook.restore);
  read_environment(fields, hook);
  for (const auto* key : {"save", "keep", "restore"}) {
    auto field = fields.find(key);
    if (field && !in) field->error("needs `in`", "name the container whose command writes what is to be saved");
  }
  for (const auto* key : {"keep", "restore"}) {
    auto field = fields.find(key);
    if (field && in && !fields.find("save")) field->error("needs `save`");
  }
  fields.boolean("irreversible", hook.irreversible);
  read_timeout(fields, hook);
  fields.finish();
  return hook;
}

std::optional<domain::Hook> read_verify(const Value& value) {
  domain::Hook hook;
  Fields fields(value);
  if (!fields.require("run", "a command inside a new target, e.g. run: [curl, -sf, \"http://llm:8000/health\"]")) {
    return std::nullopt;
  }
  read_command(fields, "run", hook.run);
  read_environment(fields, hook);
  read_timeout(fields, hook);
  fields.finish();
  return hook;
}

std::optional<domain::Hook> read_after(const Value& value) {
  domain::Hook hook;
  hook.timeout = after_timeout;
  Fields fields(value);
  const bool asks = fields.find("http").has_value();
  const bool runs = fields.find("run").has_value();
  if (asks == runs) {
    value.error("must have either `http` or `run`", "http: \"http://localhost/api/health\" asks through the proxy");
  }
  read_request(fields, hook);
  read_command(fields, "run", hook.run);
  read_environment(fields, hook);
  read_timeout(fields, hook);
  fields.finish();
  return hook;
}

void read_list(Fields& fields, const char* key, std::optional<domain::Hook> (*read)(const Value&),
               std::vector<domain::Hook>& hooks) {
  auto value = fields.find(key);
  if (!value) return;
  for (const auto& item : value->items()) {
    if (!item.is_map()) {
      item.error("must be a map, such as { run: [./migrate] }");
    } else if (auto hook = read(item)) {
      hooks.push_back(std::move(*hook));
    }
  }
}

}  // namespace

void read_hooks(const Value& value, domain::Hooks& hooks) {
  Fields fields(value);
  read_list(fields, "before", read_before, hooks.before);
  read_list(fields, "verify", read_verify, hooks.verify);
  read_list(fields, "after", read_after, hooks.after);
  fields.finish();
}

}  // namespace deploy::config
