#include "agent/config/compose_schema.hpp"

#include <filesystem>
#include <utility>

#include "agent/config/checks.hpp"

namespace deploy::config {

namespace {

/// Source: Compose specification, "Name".
bool is_project_name(const std::string& name) {
  constexpr std::string_view alphanumeric = "abcdefghijklmnopqrstuvwxyz0123456789";
  return !name.empty() && alphanumeric.find(name[0]) != std::string_view::npos &&
         name.find_first_not_of(std::string(alphanumeric) + "-_") == std::string::npos;
}

}  // namespace

ComposeSource read_compose(const Value& value, const std::string& service) {
  ComposeSource source;
  source.service = service;
  source.place = value.place();
  Fields fields(value);
  if (auto files = fields.require("files", "e.g. files: [/srv/app/docker-compose.yml]")) {
    for (const auto& item : files->items()) {
      auto path = item.filled_text();
      if (!path) continue;
      source.files.push_back(std::filesystem::absolute(beside(item.place().file, *path)).lexically_normal().string());
    }
    if (files->is_list() && files->items().empty()) {
      files->error("names no file", "e.g. files: [/srv/app/docker-compose.yml]");
    }
  }
  if (auto name = fields.find("service")) {
    if (auto text = name->filled_text()) source.service = std::move(*text);
  }
  fields.texts("profiles", source.profiles);
  if (auto project = fields.find("project")) {
    auto name = project->filled_text();
    if (name && !is_project_name(*name)) {
      project->error("must be lower-case letters, digits, hyphens and underscores, as Compose wants it");
    } else if (name) {
      source.project = std::move(*name);
    }
  }
  fields.texts("ignore", source.ignore);
  fields.finish();
  return source;
}

void check_beside_compose(const Value& container) {
  if (!container.is_map()) return;
  for (const auto& entry : container.entries()) {
    if (entry.key == "pre_stop") continue;
    entry.at_key.error("cannot stand beside `compose`, whose files say what the container is like",
                       "write it there; only `container.pre_stop` can stand here");
  }
}

}  // namespace deploy::config
