#include "agent/ctl/render.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "agent/ctl/text.hpp"

namespace deploy::ctl {

namespace {

Colour colour_of_step(std::string_view state) {
  if (state == "succeeded") return Colour::green;
  if (state == "failed") return Colour::red;
  return state == "undone" || state == "running" ? Colour::yellow : Colour::none;
}

std::string targets_text(const std::vector<api::TargetView>& targets) {
  std::vector<std::string> texts;
  for (const auto& target : targets) {
    std::string text = target.port == 0 ? target.address : fmt::format("{}:{}", target.address, target.port);
    if (text.empty()) text = target.name;
    if (target.state != "live") text += " (" + target.state + ")";
    texts.push_back(std::move(text));
  }
  return fmt::format("{}", fmt::join(texts, ", "));
}

std::string active_text(const api::ActiveView& active) {
  auto text = fmt::format("{} {}", active.id, words_of(active.phase));
  return active.step.empty() ? text : text + ": " + active.step;
}

std::string last_text(const api::LastView& last) {
  auto text = fmt::format("{} {}", last.id, words_of(last.phase));
  return last.reason.empty() ? text : text + ": " + last.reason;
}

void add_field(std::string& result, std::string_view name, std::string_view value) {
  if (!value.empty()) result += fmt::format("{:<9} {}\n", name, value);
}

std::string time_or_nothing(const std::string& iso, const Look& look) {
  return iso.empty() ? "" : local_time(iso, look.environment);
}

}  // namespace

std::string words_of(std::string_view stored_name) {
  std::string words = printable(stored_name);
  std::ranges::replace(words, '_', ' ');
  return words;
}

Colour colour_of_phase(std::string_view phase) {
  if (phase == "succeeded" || phase == "unchanged") return Colour::green;
  if (phase == "rolled_back" || phase == "needs_operator") return Colour::red;
  return Colour::yellow;
}

std::string paused_text(const std::string& service, const api::PauseView& pause, const Look& look) {
  return fmt::format("paused: {} since {}{}{}; resume with: deployctl resume {}", printable(service),
                     local_time(pause.since, look.environment), pause.who.empty() ? "" : " by " + printable(pause.who),
                     pause.reason.empty() ? "" : " (" + printable(pause.reason) + ")",
                     pause.service.empty() ? "--all" : printable(pause.service));
}

/// What the host's own configuration is at; a failure stays until a later change was applied.
std::string config_text(const api::ConfigRepoView& config, const Look& look) {
  auto text =
      fmt::format("config: {} of {} in {}", printable(config.branch), printable(config.repo), printable(config.folder));
  if (config.now) {
    text += fmt::format("; change {} ({}) is {}", config.now->id, printable(config.now->commit.substr(0, 7)),
                        words_of(config.now->phase));
  }
  if (!config.last) return text + (config.now ? "" : "; no change yet") + "\n";
  const auto& last = *config.last;
  const auto colour = last.phase == "applied" ? Colour::green : Colour::red;
  return text + fmt::format("; change {} ({}) {} {}: {}\n", last.id, printable(last.commit.substr(0, 7)),
                            coloured(words_of(last.phase), colour, look.colours),
                            local_time(last.finished, look.environment), printable(last.reason));
}

std::string render_status(const api::StatusView& view, const Look& look) {
  Table table({"SERVICE", "LIVE", "SINCE", "TARGETS", "NOW", "LAST"});
  for (const auto& service : view.services) {
    const auto& live = service.live;
    table.add({{service.service},
               {live ? live->revision : ""},
               {live ? local_time(live->since, look.environment) : ""},
               {targets_text(service.targets)},
               {service.rollout ? active_text(*service.rollout) : "", Colour::yellow},
               {service.last ? last_text(*service.last) : "",
                service.last ? colour_of_phase(service.last->phase) : Colour::none}});
  }
  std::string result = view.services.empty() ? "no services\n" : table.render(look.colours);
  for (const auto& service : view.services) {
    if (service.paused) result += paused_text(service.service, *service.paused, look) + "\n";
  }
  if (view.config_repo || !view.notes.empty() || !view.drift.empty()) result += "\n";
  if (view.config_repo) result += config_text(*view.config_repo, look);
  for (const auto& note : view.notes) result += "note: " + printable(note) + "\n";
  for (const auto& change : view.drift)
    result += "drift: " + coloured(printable(change), Colour::yellow, look.colours) + "\n";
  return result;
}

std::string render_plan(const api::PlanView& view, const Look& look) {
  std::string text;
  for (std::size_t i = 0; i < view.services.size(); ++i) {
    const auto& service = view.services[i];
    const bool goes_back = !service.revision.empty() && service.revision != service.live;
    auto live = service.live.empty() ? "nothing of it is live" : printable(service.live) + " is live";
    if (goes_back) live += ", back to " + printable(service.revision);
    text += fmt::format("{}. {} ({}): {}\n", i + 1, printable(service.service), printable(service.strategy), live);
    for (const auto& note : service.notes) text += fmt::format("   note: {}\n", printable(note));
    if (goes_back && service.differences.empty()) text += "   its configuration is that of what runs\n";
    if (service.revision.empty() && !service.live.empty() && service.differences.empty()) {
      text += "   what runs is as configured; a rollout takes a newer commit or image, if there is one\n";
    }
    for (const auto& difference : service.differences) {
      text += "   " + coloured(printable(difference), Colour::yellow, look.colours) + "\n";
    }
    if (!service.steps.empty())
      text += fmt::format("   steps: {}\n", printable(fmt::format("{}", fmt::join(service.steps, " > "))));
  }
  for (const auto& note : view.notes) text += fmt::format("note: {}\n", printable(note));
  return text;
}

std::string render_history(const api::HistoryView& view, const Look& look) {
  if (view.rollouts.empty()) return "no rollouts\n";
  Table table({"ROLLOUT", "SERVICE", "KIND", "RESULT", "REVISION", "CREATED", "TOOK", "CAUSE"});
  for (const auto& rollout : view.rollouts) {
    table.add({{std::to_string(rollout.id)},
               {rollout.service},
               {rollout.kind},
               {words_of(rollout.phase), colour_of_phase(rollout.phase)},
               {rollout.revision},
               {local_time(rollout.created, look.environment)},
               {took(rollout.started, rollout.finished)},
               {rollout.cause}});
  }
  return table.render(look.colours);
}

std::string render_rollout(const api::RolloutView& view, const Look& look) {
  std::string result;
  add_field(result, "rollout", fmt::format("{} (release {})", view.id, view.release));
  add_field(result, "service", printable(view.service));
  add_field(result, "kind", printable(view.kind));
  add_field(result, "result", coloured(words_of(view.phase), colour_of_phase(view.phase), look.colours));
  add_field(result, "reason", printable(view.reason));
  add_field(result, "cause", printable(view.cause));
  add_field(result, "revision", printable(view.revision));
  add_field(result, "previous", printable(view.previous));
  add_field(result, "commit", printable(view.commit));
  add_field(result, "image", printable(view.image));
  add_field(result, "created", time_or_nothing(view.created, look));
  add_field(result, "started", time_or_nothing(view.started, look));
  if (!view.finished.empty()) {
    add_field(
        result, "finished",
        fmt::format("{} (took {})", local_time(view.finished, look.environment), took(view.started, view.finished)));
  }
  if (!view.steps.empty()) {
    Table table({"STEP", "STATE", "TRIES", "TOOK", "DETAIL"});
    for (const auto& step : view.steps) {
      table.add({{step.label.empty() ? step.kind : step.label},
                 {step.state, colour_of_step(step.state)},
                 {std::to_string(step.attempts)},
                 {took(step.started, step.finished)},
                 {step.detail}});
    }
    result += "\n" + table.render(look.colours);
  }
  if (!view.log.empty()) result += "\nlast lines:\n";
  for (const auto& line : view.log) result += "  " + printable(line) + "\n";
  return result;
}

std::string render_results(const std::vector<api::RolloutView>& rollouts, const Look& look) {
  Table table({"SERVICE", "ROLLOUT", "RESULT", "REVISION", "TOOK", "REASON"});
  for (const auto& rollout : rollouts) {
    table.add({{rollout.service},
               {std::to_string(rollout.id)},
               {words_of(rollout.phase), colour_of_phase(rollout.phase)},
               {rollout.revision},
               {took(rollout.started, rollout.finished)},
               {rollout.reason}});
  }
  return table.render(look.colours);
}

std::string render_accepted(const api::AcceptedView& view) {
  Table table({"SERVICE", "ROLLOUT"});
  for (const auto& rollout : view.rollouts) table.add({{rollout.service}, {std::to_string(rollout.id)}});
  return table.render(false);
}

}  // namespace deploy::ctl
