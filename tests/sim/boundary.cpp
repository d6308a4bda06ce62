#include "tests/sim/boundary.hpp"

#include <algorithm>
#include <map>

namespace deploy::sim {

using std::chrono::milliseconds;

namespace {

struct Range {
  milliseconds least;
  milliseconds most;
};

/// How long calls take. Those that only look are answered at once.
const std::map<std::string, Range, std::less<>> durations{
    {"build", {milliseconds(3000), milliseconds(60000)}},   {"pull", {milliseconds(1000), milliseconds(20000)}},
    {"fetch", {milliseconds(200), milliseconds(5000)}},     {"create", {milliseconds(20), milliseconds(400)}},
    {"start", {milliseconds(50), milliseconds(800)}},       {"stop", {milliseconds(50), milliseconds(9000)}},
    {"remove", {milliseconds(10), milliseconds(500)}},      {"connect", {milliseconds(10), milliseconds(200)}},
    {"apply", {milliseconds(50), milliseconds(1500)}},      {"prove", {milliseconds(300), milliseconds(15000)}},
    {"remove_image", {milliseconds(5), milliseconds(300)}},
};

std::string boundary_name(const std::string& kind, When when) {
  return kind + (when == When::before ? " before" : " after");
}

}  // namespace

std::string_view name_of(Port port) {
  switch (port) {
    case Port::engine:
      return "engine";
    case Port::source:
      return "source";
    case Port::proxy:
      return "proxy";
    case Port::prober:
      return "prober";
    case Port::disk:
      return "disk";
  }
  return "";
}

milliseconds Boundary::takes(const std::string& kind) {
  const auto found = durations.find(kind);
  if (found == durations.end()) return milliseconds(random_.chance(300) ? random_.between(1, 50) : 0);
  return random_.between(found->second.least, found->second.most);
}

Task<void> Boundary::enter(Port port, std::string kind, std::string subject) {
  if (dead_) throw Crash{};
  const auto time = takes(kind);
  if (time.count() > 0) co_await clock_.sleep_for(time);
  reach(port, kind, subject, When::before);
}

void Boundary::leave(Port port, const std::string& kind, const std::string& subject) {
  reach(port, kind, subject, When::after);
}

void Boundary::commit(bool committed) { reach(Port::disk, "commit", "", committed ? When::after : When::before); }

void Boundary::reach(Port port, const std::string& kind, const std::string& subject, When when) {
  maybe_crash(kind, when);
  auto fault = fault_at(port, kind, when);
  if (fault) ++counts_[boundary_name(kind, when)].failures;
  if (port != Port::disk || fault) {
    trace_.add(when == When::before ? kind : "  … " + kind + " done", subject, fault ? fault->message() : "");
  }
  if (fault) throw *fault;
}

void Boundary::revive() {
  dead_ = false;
  until_crash_ = 0;
  if (calm_ || troubles_.crashes.empty()) return;
  until_crash_ = troubles_.crashes.back();
  troubles_.crashes.pop_back();
}

void Boundary::maybe_crash(const std::string& kind, When when) {
  if (dead_) throw Crash{};
  if (calm_ || until_crash_ == 0 || --until_crash_ > 0) return;
  dead_ = true;
  ++counts_[boundary_name(kind, when)].kills;
  trace_.add("==== killed");
  throw Crash{};
}

Error Boundary::injected(ErrorKind kind, bool permanent, const std::string& text) {
  ++faults_;
  last_fault_ = clock_.elapsed();
  return Error(kind, "injected " + std::to_string(faults_) + (permanent ? " permanent: " : " transient: ") + text);
}

std::optional<Error> Boundary::outage_at(Port port, const std::string& kind) {
  const auto now = clock_.elapsed();
  const auto within = [&](Port affected) {
    return std::any_of(troubles_.outages.begin(), troubles_.outages.end(), [&](const auto& outage) {
      return outage.port == affected && outage.from <= now && now < outage.until;
    });
  };
  const bool writes = port == Port::disk || kind == "build" || kind == "pull" || kind == "fetch" || kind == "apply";
  if (writes && within(Port::disk)) return injected(ErrorKind::disk_full, false, "the disk is full");
  if (port == Port::disk || port == Port::prober || !within(port)) return std::nullopt;
  return injected(ErrorKind::unreachable, false, std::string(name_of(port)) + " does not answer");
}

std::optional<Error> Boundary::fault_at(Port port, const std::string& kind, When when) {
  if (calm_) return std::nullopt;
  if (when == When::before) {
    if (auto outage = outage_at(port, kind)) return outage;
  }
  // A disk has outages only: a single write that fails among others that do not is no full disk.
  if (port == Port::disk || !random_.chance(troubles_.fault_permille)) return std::nullopt;
  const bool permanent = random_.chance(troubles_.permanent_permille);
  if (port == Port::proxy && kind == "apply") {
    // What the port promises: everything is as before, unless it is in doubt; and a doubt is a real failure.
    if (when == When::after || random_.chance(100)) {
      if (!permanent) return std::nullopt;
      return injected(ErrorKind::in_doubt, true, "no proof, and the files could not be restored");
    }
    if (permanent) return injected(ErrorKind::invalid, true, "nginx -t refuses");
  }
  if (port == Port::prober) {
    if (!permanent || when == When::before) return std::nullopt;
    return injected(ErrorKind::failed, true, "not healthy");
  }
  // The mirror may lie on another disk than the state.
  if (kind == "fetch" && random_.chance(200))
    return injected(ErrorKind::disk_full, permanent, "no space for the mirror");
  if (permanent) return injected(ErrorKind::failed, true, kind + " does not work");
  return injected(ErrorKind::unreachable, false, "the connection was lost");
}

}  // namespace deploy::sim
