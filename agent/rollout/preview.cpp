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

std::vector<std::string> steps_of(const domain::Service& service, int live, domain::RolloutKind kind) {
  domain::Rollout rollout;
  rollout.kind = kind;
  std::vector<std::string> steps;
  for (const auto source : source_steps(rollout, service)) steps.push_back(domain::to_string(source));
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

Task<std::vector<Preview>> Previews::of(std::vector<std::string> names) {
  std::vector<Preview> previews;
  for (const auto& name : domain::dependency_order(services_)) {
    if (!names.empty() && std::find(names.begin(), names.end(), name) == names.end()) continue;
    const auto service = std::find_if(services_.begin(), services_.end(),
                                      [&](const domain::Service& other) { return other.name == name; });
    previews.push_back(co_await preview(*service));
  }
  co_return previews;
}

Task<Preview> Previews::preview(domain::Service service) {
  Preview preview;
  preview.service = service.name;
  const auto live = journal_.targets.live(service.name);
  preview.live = live_revision(journal_, service.name);
  try {
    service = co_await complete_(service);
    preview.steps = steps_of(service, static_cast<int>(live.size()), domain::RolloutKind::deploy);
    resolve_(service);
    if (!live.empty() && live.front().revision) {
      compare_with(preview, journal_.revisions.get(*live.front().revision), service);
    }
    for (auto& change : drift_of_(service.name)) preview.differences.push_back(std::move(change));
  } catch (const Error& error) {
    preview.notes.push_back("it cannot be rolled out: " + error.message());
  }
  preview.strategy = domain::to_string(service.strategy);
  const auto warning = warning_of(journal_, service);
  if (!warning.empty()) preview.notes.push_back(warning);
  note_pauses(preview);
  co_return preview;
}

Task<std::vector<store::Job>> Previews::bringing_settings(std::vector<std::string>* troubles) {
  std::vector<store::Job> jobs;
  for (const auto& name : domain::dependency_order(services_)) {
    auto service = *std::find_if(services_.begin(), services_.end(),
                                 [&](const domain::Service& other) { return other.name == name; });
    const auto live = journal_.targets.live(name);
    if (live.empty() || !live.front().revision) continue;
    const auto running = journal_.revisions.get(*live.front().revision);
    try {
      service = co_await complete_(service);
      if (running.config_hash == config_hash(service, resolve_(service), key_)) continue;
    } catch (const Error& error) {
      troubles->push_back(error.message());
      continue;
    }
    store::Job job;
    job.service = name;
    job.commit = running.commit;
    job.ref = service.branch;
    job.others = running.others;
    if (!running.image_asked.empty()) job.image = running.image;
    jobs.push_back(job);
  }
  co_return jobs;
}

std::vector<Preview> Previews::of_rollbacks(const std::vector<store::Job>& jobs,
                                            const std::optional<domain::Rollout>& watched) {
  auto order = domain::dependency_order(services_);
  std::reverse(order.begin(), order.end());
  std::vector<Preview> previews;
  for (const auto& name : order) {
    const auto job = std::find_if(jobs.begin(), jobs.end(), [&](const auto& other) { return other.service == name; });
    if (job != jobs.end()) previews.push_back(preview_back(*job, watched));
  }
  return previews;
}

Preview Previews::preview_back(const store::Job& job, const std::optional<domain::Rollout>& watched) {
  Preview preview;
  preview.service = job.service;
  preview.revision = job.revision;
  preview.live = live_revision(journal_, job.service);
  const auto live = journal_.targets.live(job.service);
  const auto changed = drift_of_(job.service);
  const bool moves = preview.live != preview.revision || !changed.empty();
  try {
    const auto wanted = journal_.revisions.find(job.service, job.revision);
    if (!wanted) throw Error(ErrorKind::not_found, "the revision " + job.revision + " is not there any more");
    const auto service = domain::service_from_json(json::parse(wanted->config));
    preview.strategy = domain::to_string(service.strategy);
    resolve_(service);
    auto running = live.empty() ? std::nullopt : live.front().revision;
    if (watched) {
      const auto id = std::to_string(watched->id.value);
      preview.steps.push_back("undo of rollout " + id);
      preview.notes.push_back("rollout " + id + " has switched and is being watched; it is turned round for this");
      running = watched->revision;
      if (running) preview.live = journal_.revisions.get(*running).name;
    }
    if (moves) {
      const auto steps = steps_of(service, static_cast<int>(live.size()), domain::RolloutKind::rollback);
      preview.steps.insert(preview.steps.end(), steps.begin(), steps.end());
      const auto warning = warning_of(journal_, service);
      if (!warning.empty()) preview.notes.push_back(warning);
    } else if (!watched) {
      preview.notes.push_back("it is live already: nothing is done while each of its containers runs as it was made");
    }
    if (running && preview.live != preview.revision) {
      compare_with(preview, journal_.revisions.get(*running), service);
    }
    preview.differences.insert(preview.differences.end(), changed.begin(), changed.end());
  } catch (const Error& error) {
    preview.notes.push_back("it cannot be rolled back: " + error.message());
  }
  const auto irreversible = irreversible_since(journal_, job.service, job.revision);
  if (!irreversible.empty()) {
    preview.notes.push_back(irreversible + "; " + job.revision +
                            " may not understand the data any more, so going back has to be confirmed with --yes");
  }
  note_pauses(preview);
  return preview;
}

/// Throws Error where a variable is not set.
void Previews::compare_with(Preview& preview, const domain::Revision& running, const domain::Service& wanted) {
  preview.differences = differences(domain::service_from_json(json::parse(running.config)), wanted);
  const bool same_values = running.config_hash == config_hash(wanted, resolve_(wanted), key_);
  if (preview.differences.empty() && !same_values) {
    preview.differences.push_back("a variable that the file names has another value");
  }
}

void Previews::note_pauses(Preview& preview) {
  for (const auto& pause : journal_.pauses.all()) {
    if (pause.service == preview.service) preview.notes.push_back("it is paused: deployctl resume " + preview.service);
    if (pause.service.empty()) preview.notes.push_back("the whole queue is paused: deployctl resume --all");
  }
}

}  // namespace deploy::rollout
