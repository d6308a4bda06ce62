// The API's views as people read them. Pure functions; the JSON output needs none of this.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/api/views.hpp"
#include "agent/ctl/environment.hpp"
#include "agent/ctl/table.hpp"

namespace deploy::ctl {

/// How to show something: the user's time zone, and colours or none.
struct Look {
  const Environment& environment;
  bool colours = false;
};

/// A stored name for people: "rolled_back" is "rolled back".
std::string words_of(std::string_view stored_name);
Colour colour_of_phase(std::string_view phase);

std::string render_status(const api::StatusView& view, const Look& look);
/// Why rollouts of a service may not begin, with the command that lets them.
std::string paused_text(const std::string& service, const api::PauseView& pause, const Look& look);
std::string render_plan(const api::PlanView& view, const Look& look);
std::string render_history(const api::HistoryView& view, const Look& look);
/// Everything about one rollout, its steps and the lines that show why it failed.
std::string render_rollout(const api::RolloutView& view, const Look& look);
/// One line for each rollout that was waited for.
std::string render_results(const std::vector<api::RolloutView>& rollouts, const Look& look);
std::string render_accepted(const api::AcceptedView& view);

}  // namespace deploy::ctl
