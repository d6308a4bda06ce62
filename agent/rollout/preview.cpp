#include "agent/rollout/preview.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>
#include <utility>

#include "agent/base/error.hpp"
#include "agent/domain/order.hpp"
#include "agent/rollout/planner.hpp"
#include "agent/rollout/taking_back.hpp"

namespace deploy::rollout {

namespace {

using nlohmann::json;

/// What the stored form calls otherwise than the file.
constexpr std::array<std::pair<std::string_view, std::string_view>, 15> keys_of_file{{
    {"container.memory_bytes", "container.mem_limit"},
    {"container.log_driver", "container.logging.driver"},
    {"container.log_options", "container.logging.options"},
    {"git", "source.git"},
    {"health.expect_body", "health.expect.body"},
    {"health.expect_headers", "health.expect.headers"},
    {"health.expect_json", "health.expect.json"},
    {"health.expect_status", "health.expect.status"},
    {"health.tcp_port", "health.tcp"},
    {"health.warm_up_body", "health.warm_up.body"},
    {"health.warm_up_http", "health.warm_up.http"},
    {"health.warm_up_timeout", "health.warm_up.timeout"},
    {"image", "source.image"},
    {"proxy.dns", "proxy.route"},
    {"proxy.grpc", "proxy.protocol"},
}};

constexpr std::array<std::string_view, 4> names_only{"container.environment", "container.labels",
                                                     "container.logging.options", "source.git.args"};

std::string key_of_file(std::string path) {
  for (const auto& [stored, written] : keys_of_file) {
    const bool is_it = path == stored || path.starts_with(std::string(stored) + ".");
    if (is_it) return std::string(written) + path.substr(stored.size());
  }
  return path;
}

std::string shown(const std::string& key, const json& value) {
  if (key == "proxy.route") return value == json(true) ? "dns" : "nginx";
  if (key == "proxy.protocol") return value == json(true) ? "grpc" : "http";
  return value.is_discarded() ? "not set" : value.dump();
}

/// `discarded` stands for what is not there.
void compare(const std::string& path, const json& running, const json& wanted, std::vector<std::string>& found) {
  if (running == wanted || (running.is_discarded() && wanted.is_discarded())) return;
  if (running.is_object() || wanted.is_object()) {
    std::set<std::string> keys;
    for (const auto* side : {&running, &wanted}) {
      if (!side->is_object()) continue;
      for (const auto& [key, value] : side->items()) keys.insert(key);
    }
    const json absent(json::value_t::discarded);
    const auto at = [&](const json& side, const std::string& key) {
      return side.is_object() && side.contains(key) ? side.at(key) : absent;
    };
    for (const auto& key : keys)
      compare(path.empty() ? key : path + "." + key, at(running, key), at(wanted, key), found);
    return;
  }
  const auto key = key_of_file(path);
  const bool name_only = std::any_of(names_only.begin(), names_only.end(),
                                     [&](auto name) { return key.starts_with(std::string(name) + "."); });
  if (!name_only) return found.push_back(fmt::format("{}: {} -> {}", key, shown(key, running), shown(key, wanted)));
  found.push_back(key + (running.is_discarded() ? ": new" : wanted.is_discarded() ? ": removed" : ": changed"));
}

std::string in_words(const strategies::PlannedStep& step, const std::string& hook) {
  auto text = domain::to_string(step.kind);
  if (!hook.empty()) return text + " \"" + hook + "\"";
  std::vector<std::string> targets;
  for (const auto& slot : step.targets) {
    targets.push_back((slot.side == strategies::Slot::Side::fresh ? "new " : "old ") + std::to_string(slot.index + 1));
  }
  if (targets.empty()) return step.kind == domain::StepKind::switch_traffic ? text + " to nobody" : text;
  return fmt::format("{} {}", text, fmt::join(targets, ", "));
}

std::vector<std::string> steps_of(const domain::Service& service, int live) {
  domain::Rollout rollout;
  std::vector<std::string> steps;
  for (const auto kind : source_steps(rollout, service)) steps.push_back(domain::to_string(kind));
  std::map<domain::StepKind, std::size_t> seen;
  for (const auto& step : planned_steps(service, live, rollout.kind)) {
    const auto* hooks = hooks_of(service.hooks, step.kind);
    steps.push_back(in_words(step, hooks == nullptr ? "" : domain::to_text(hooks->at(seen[step.kind]++))));
  }
  return steps;
}

}  // namespace

std::vector<std::string> differences(const domain::Service& running, const domain::Service& configured) {
  std::vector<std::string> found;
  compare("", what_runs(running), what_runs(configured), found);
  if (running.source.image != configured.source.image) {
    found.push_back(
        fmt::format("source.image: {} -> {}", json(running.source.image).dump(), json(configured.source.image).dump()));
  }
  return found;
}

std::vector<Preview> Previews::of(const std::vector<std::string>& names) {
  std::vector<Preview> previews;
  for (const auto& name : domain::dependency_order(services_)) {
    if (!names.empty() && std::find(names.begin(), names.end(), name) == names.end()) continue;
    const auto service = std::find_if(services_.begin(), services_.end(),
                                      [&](const domain::Service& other) { return other.name == name; });
    previews.push_back(preview(*service));
  }
  return previews;
}

Preview Previews::preview(const domain::Service& service) {
  Preview preview;
  preview.service = service.name;
  preview.strategy = domain::to_string(service.strategy);
  const auto live = journal_.targets.live(service.name);
  preview.live = live_revision(journal_, service.name);
  try {
    preview.steps = steps_of(service, static_cast<int>(live.size()));
    const auto hash = config_hash(service, resolve_(service), key_);
    if (!live.empty() && live.front().revision) {
      const auto revision = journal_.revisions.get(*live.front().revision);
      preview.differences = differences(domain::service_from_json(json::parse(revision.config)), service);
      if (preview.differences.empty() && revision.config_hash != hash) {
        preview.differences.push_back("a variable that the file names has another value");
      }
    }
  } catch (const Error& error) {
    preview.notes.push_back("it cannot be rolled out: " + error.message());
  }
  const auto warning = warning_of(journal_, service);
  if (!warning.empty()) preview.notes.push_back(warning);
  for (const auto& pause : journal_.pauses.all()) {
    if (pause.service == service.name) preview.notes.push_back("it is paused: deployctl resume " + service.name);
    if (pause.service.empty()) preview.notes.push_back("the whole queue is paused: deployctl resume --all");
  }
  return preview;
}

}  // namespace deploy::rollout
