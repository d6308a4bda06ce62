#include "agent/ctl/progress.hpp"

#include <algorithm>

#include "agent/ctl/text.hpp"

namespace deploy::ctl {

void Progress::begin(const api::AcceptedView& accepted) {
  for (const auto& rollout : accepted.rollouts) {
    lines_.push_back({printable(rollout.service), "queued as rollout " + std::to_string(rollout.id)});
    service_columns_ = std::max(service_columns_, columns_of(lines_.back().service));
  }
  if (environment_.err_is_terminal) {
    draw();
    return;
  }
  for (const auto& line : lines_) err_ << line.service << ": " << line.text << std::endl;
}

void Progress::on_event(const api::EventView& event) {
  const auto text = printable(event.text);
  if (text.empty()) return;
  const auto line = std::ranges::find(lines_, printable(event.service), &Line::service);
  if (line != lines_.end()) line->text = text;
  if (environment_.err_is_terminal && line != lines_.end()) {
    erase();
    draw();
    return;
  }
  const auto who = event.service.empty() ? "" : printable(event.service) + ": ";
  say(local_clock(event.time, environment_) + " " + who + text);
}

void Progress::say(std::string_view line) {
  erase();
  err_ << line << std::endl;
  if (environment_.err_is_terminal) draw();
}

void Progress::erase() {
  // ECMA-48: up one line, erase it.
  for (; drawn_ > 0; --drawn_) err_ << "\x1b[A\x1b[2K";
}

void Progress::draw() {
  for (const auto& line : lines_) {
    const auto pad = std::string(service_columns_ - columns_of(line.service) + 2, ' ');
    // A line that wraps could not be erased as one.
    err_ << fit(line.service + pad + line.text, environment_.err_columns - 1) << "\n";
  }
  drawn_ = lines_.size();
  err_.flush();
}

}  // namespace deploy::ctl
