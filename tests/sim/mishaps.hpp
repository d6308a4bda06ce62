// What happens to the world by itself, or by the hand of a person who does not ask deployctl: containers end or fall
// ill, Nginx is made anew, images are pruned.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tests/sim/stage.hpp"
#include "tests/sim/trace.hpp"
#include "tests/sim/watch.hpp"

namespace deploy::sim {

class Mishaps {
 public:
  using Duration = tests::FakeClock::Duration;

  Mishaps(Stage& stage, Trace& trace, Watch& watch, Random random)
      : stage_(stage), trace_(trace), watch_(watch), random_(random) {}

  void plan(Duration horizon);
  /// Does what is due; false where nothing was.
  bool act();
  Duration next() const { return planned_.empty() ? Duration::max() : planned_.begin()->first; }
  /// Everybody who is ill or has ended is well again.
  void end();

 private:
  enum class Kind { falls_ill, ends, is_stopped, recovers, nginx_made_anew, image_pruned };
  struct Mishap {
    Kind kind;
    std::string container_id;  // of one that recovers
  };

  void strike(Kind kind);
  void recover(const std::string& container_id);
  void prune();

  Stage& stage_;
  Trace& trace_;
  Watch& watch_;
  Random random_;
  std::multimap<Duration, Mishap> planned_;
};

}  // namespace deploy::sim
