// Progress of a release on standard error. On a terminal: one line a service that is rewritten; elsewhere one line an
// event.
#pragma once

#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "agent/api/views.hpp"
#include "agent/ctl/environment.hpp"

namespace deploy::ctl {

class Progress {
 public:
  /// Writes to `err`; both must outlive it.
  Progress(std::ostream& err, const Environment& environment) : err_(err), environment_(environment) {}

  /// The rollouts to show, in this order.
  void begin(const api::AcceptedView& accepted);
  void on_event(const api::EventView& event);
  /// A line that stays, e.g. that the agent is away.
  void say(std::string_view line);

 private:
  struct Line {
    std::string service;
    std::string text;
  };

  void erase();
  void draw();

  std::ostream& err_;
  const Environment& environment_;
  std::vector<Line> lines_;
  std::size_t service_columns_ = 0;
  std::size_t drawn_ = 0;
};

}  // namespace deploy::ctl
