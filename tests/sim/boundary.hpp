// Every call to the world and every commit passes here, before and after its effect: where the agent is killed, where
// calls fail, and how long they take.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/async.hpp"
#include "agent/base/error.hpp"
#include "tests/sim/random.hpp"
#include "tests/sim/trace.hpp"

namespace deploy::sim {

/// The agent is dead. Thrown from every boundary from then on, so that no clean-up can have an effect. Derived from
/// nothing that anybody catches by type.
struct Crash {};

enum class When { before, after };  // the effect
enum class Port { engine, source, proxy, prober, disk };

std::string_view name_of(Port port);

/// What goes wrong in a seed.
struct Troubles {
  using Duration = tests::FakeClock::Duration;
  struct Outage {
    Port port;
    Duration from;
    Duration until;
  };
  std::vector<int> crashes;     // one per life: after so many boundaries
  int fault_permille = 0;       // of all calls
  int permanent_permille = 0;   // of the faults: will fail again if it is tried again
  std::vector<Outage> outages;  // all calls of the port fail; a disk is full
};

class Boundary {
 public:
  Boundary(tests::FakeClock& clock, Trace& trace, Random random, Troubles troubles)
      : clock_(clock), trace_(trace), random_(random), troubles_(std::move(troubles)) {}

  /// Takes its time, and then fails or dies before the effect.
  Task<void> enter(Port port, std::string kind, std::string subject);
  /// Fails or dies after the effect.
  void leave(Port port, const std::string& kind, const std::string& subject);
  void commit(bool committed);

  /// A new agent is alive.
  void revive();
  bool dead() const noexcept { return dead_; }
  void kill() { dead_ = true; }
  /// From now on nothing goes wrong any more.
  void calm() { calm_ = true; }
  bool is_calm() const noexcept { return calm_; }

  /// Did anything fail on purpose since then?
  bool failed_since(tests::FakeClock::Duration when) const { return last_fault_ && *last_fault_ >= when; }
  int faults() const noexcept { return faults_; }
  /// Boundary, e.g. "create before" -> how often the agent was killed there, and how often it failed.
  struct Count {
    int kills = 0;
    int failures = 0;
  };
  const std::map<std::string, Count>& counts() const noexcept { return counts_; }

 private:
  std::chrono::milliseconds takes(const std::string& kind);
  void reach(Port port, const std::string& kind, const std::string& subject, When when);
  void maybe_crash(const std::string& kind, When when);
  std::optional<Error> fault_at(Port port, const std::string& kind, When when);
  std::optional<Error> outage_at(Port port, const std::string& kind);
  Error injected(ErrorKind kind, bool permanent, const std::string& text);

  tests::FakeClock& clock_;
  Trace& trace_;
  Random random_;
  Troubles troubles_;
  bool dead_ = false;
  bool calm_ = false;
  int until_crash_ = 0;  // boundaries; 0: none is planned
  std::map<std::string, Count> counts_;
  int faults_ = 0;
  std::optional<tests::FakeClock::Duration> last_fault_;
};

}  // namespace deploy::sim
