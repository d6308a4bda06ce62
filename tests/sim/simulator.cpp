#include "tests/sim/simulator.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <memory>

#include "tests/sim/final_checks.hpp"
#include "tests/sim/mishaps.hpp"
#include "tests/sim/sim_ports.hpp"
#include "tests/sim/users.hpp"

namespace deploy::sim {

namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using Duration = tests::FakeClock::Duration;

constexpr minutes horizon{12};                // until then people push and things go wrong
constexpr std::chrono::hours settle_most{6};  // and then everything has ended
constexpr std::chrono::seconds quiet{75};     // two looks of the reconciler
constexpr minutes every_target_seen{6};       // by the reconciler, one after the other, each probed until its deadline
constexpr int handlers_at_once_max = 200000;  // more at one moment is a loop that never ends

/// The migrated, empty database, made once: a life starts from a copy of it.
const std::string& empty_database() {
  static const std::string bytes = [] {
    const tests::TempDir folder;
    { const store::Database database(folder / "state.db"); }
    std::ifstream file(folder / "state.db", std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }();
  return bytes;
}

Troubles troubles_of(Random& random) {
  Troubles troubles;
  if (random.chance(100)) return troubles;
  const int crashes = random.chance(250) ? 0 : random.between(1, 5);
  for (int i = 0; i < crashes; ++i) {
    troubles.crashes.push_back(random.chance(400) ? random.between(1, 60) : random.between(1, 500));
  }
  const std::vector<int> rates{0, 0, 0, 3, 10, 40};
  troubles.fault_permille = random.pick(rates);
  const std::vector<int> permanent{0, 0, 300, 1000};
  troubles.permanent_permille = random.pick(permanent);
  const std::vector<Port> ports{Port::engine, Port::source, Port::proxy, Port::disk};
  const int outages = random.chance(600) ? 0 : random.between(1, 3);
  for (int i = 0; i < outages; ++i) {
    const auto from = random.between(milliseconds(0), horizon);
    troubles.outages.push_back({random.pick(ports), from, from + random.between(milliseconds(100), seconds(40))});
  }
  return troubles;
}

class Simulator {
 public:
  Simulator(std::uint64_t seed, bool keep_trace)
      : random_(seed, 1),
        stage_(Random(seed, 2), Random(seed, 6)),
        trace_(stage_.world.clock, keep_trace),
        boundary_(stage_.world.clock, trace_, Random(seed, 3), troubles_of(random_)),
        watch_(stage_, boundary_, trace_),
        users_(stage_, boundary_, trace_, watch_, Random(seed, 4)),
        mishaps_(stage_, trace_, watch_, Random(seed, 5)),
        engine_(stage_, boundary_, watch_, trace_),
        source_(stage_, boundary_),
        proxy_(stage_, boundary_, watch_),
        prober_(stage_, boundary_, watch_) {
    std::ofstream(stage_.world.folder / "state.db", std::ios::binary) << empty_database();
  }

  Outcome run() {
    users_.plan(horizon);
    mishaps_.plan(horizon);
    while (!watch_.violation() && !survivor_ && clock().elapsed() < horizon) live_a_while();
    if (!watch_.violation()) settle();
    return outcome();
  }

 private:
  enum class End { killed, stopped, time, idle };

  tests::FakeClock& clock() { return stage_.world.clock; }

  std::unique_ptr<tests::Agent> born() {
    tests::Ports ports(stage_.world);
    ports.engine = &engine_;
    ports.source = &source_;
    ports.proxy = &proxy_;
    ports.prober = &prober_;
    boundary_.revive();
    auto agent = std::make_unique<tests::Agent>(stage_.world, ports);
    trace_.add("==== agent starts");
    ++lives_;
    watch_.begins(*agent);
    agent->database.on_commit([this, life = agent.get()](bool committed) {
      boundary_.commit(committed);
      if (committed) watch_.after_commit(*life);
    });
    watch_.after_commit(*agent);  // the one that the last life may have died of
    agent->start();
    idle_since_.reset();
    return agent;
  }

  void live_a_while() {
    auto agent = born();
    if (random_.chance(200)) fill_disk_of_logs(static_cast<int>(agent->journal.rollouts.history("", 1000).size()) + 1);
    const auto until =
        random_.chance(150) ? clock().elapsed() + random_.between(milliseconds(0), horizon) : Duration(horizon);
    const auto end = drive(*agent, std::min<Duration>(until, horizon), false);
    if (watch_.violation()) return bury(*agent);
    if (end == End::time && clock().elapsed() < horizon) stop(*agent);
    if (end == End::time && clock().elapsed() >= horizon) {
      if (random_.chance(400)) {  // one that was never started again comes to rest by itself, too
        survivor_ = std::move(agent);
        return;
      }
      trace_.add("==== killed");
    }
    bury(*agent);
    agent.reset();
    if (random_.chance(100)) stage_.reconfigure();
    if (random_.chance(100)) keep_state();
    if (random_.chance(20)) lose_state();
    clock().pass_until(clock().elapsed() + random_.between(milliseconds(0), seconds(40)));
  }

  /// A copy of the state, as a backup makes it.
  void keep_state() {
    std::ifstream file(stage_.world.folder / "state.db", std::ios::binary);
    kept_.database = std::string(std::istreambuf_iterator<char>(file), {});
    kept_.accepted = users_.accepted();
  }

  /// The state folder is gone, or the one of an earlier day is put back.
  void lose_state() {
    const bool older = !kept_.database.empty() && random_.chance(500);
    trace_.add(older ? "==== an older state is put back" : "==== the state is lost");
    const Kept left = older ? kept_ : Kept{empty_database(), {}};
    std::ofstream(stage_.world.folder / "state.db", std::ios::binary) << left.database;
    users_.forget_all_but(left.accepted);
    watch_.forget();
    state_lost_ = true;
  }

  /// For this life the disk of the logs is full, for those that do not exist yet: /dev/full takes no byte.
  void fill_disk_of_logs(int first_rollout) {
    const auto folder = stage_.world.folder / "logs";
    for (int id = first_rollout; id < first_rollout + 20; ++id) {
      std::error_code there;
      std::filesystem::create_symlink("/dev/full", folder / ("rollout-" + std::to_string(id) + ".log"), there);
    }
  }

  /// Nothing goes wrong any more: what was begun ends, and everything that was promised is there.
  void settle() {
    boundary_.calm();
    mishaps_.end();
    auto agent = survivor_ ? std::move(survivor_) : born();
    agent->complaints.clear();
    idle_since_.reset();
    users_.resume_all(*agent);
    const auto end = drive(*agent, clock().elapsed() + settle_most, true);
    if (!watch_.violation() && end != End::idle)
      watch_.broken("it did not settle within 6 h without a failure: " + left(*agent));
    if (!watch_.violation()) check_settled(*agent, stage_, watch_, users_, state_lost_);
    count_rollouts(*agent);
    if (!watch_.violation()) fall_ill(*agent);
    if (!watch_.violation()) stop(*agent);
    bury(*agent);
    agent.reset();
    if (!watch_.violation()) live_again();
  }

  /// Of several targets one falls ill: it gets no requests until it is well again.
  void fall_ill(tests::Agent& agent) {
    for (const auto& service : stage_.world.services) {
      const auto live = agent.journal.targets.live(service.name);
      if (live.size() < 2 || stage_.world.proxy.targets(service.name).size() != live.size()) continue;
      const auto ill = random_.pick(live);
      trace_.add("---- falls ill:", ill.container_name);
      stage_.sicken(ill.container_id);
      drive(agent, clock().elapsed() + every_target_seen, false);
      if (watch_.gets_requests(ill.container_id)) watch_.broken(ill.container_name + " is ill and still gets requests");
      trace_.add("---- is well again:", ill.container_name);
      stage_.heal(ill.container_id);
      drive(agent, clock().elapsed() + every_target_seen, false);
      if (!watch_.gets_requests(ill.container_id)) watch_.broken(ill.container_name + " is well and gets no requests");
      if (watch_.violation()) return;
    }
  }

  /// Recovery twice is recovery once.
  void live_again() {
    auto& world = stage_.world;
    const auto things = stage_.own_things();
    const auto changes = world.proxy.history.size();
    auto agent = born();
    const auto before = contents_of(agent->database);
    drive(*agent, clock().elapsed() + settle_most, true);
    if (stage_.own_things() != things)
      watch_.broken("a second recovery changed\n" + things + "to\n" + stage_.own_things());
    if (world.proxy.history.size() > changes) watch_.broken("a second recovery changed Nginx's routes");
    if (contents_of(agent->database) != before) watch_.broken("a second recovery changed what is stored");
    bury(*agent);
  }

  std::string left(tests::Agent& agent) {
    std::string text;
    for (const auto& rollout : agent.journal.rollouts.unfinished()) {
      text += "rollout " + std::to_string(rollout.id.value) + " of " + rollout.service + " is " +
              domain::to_string(rollout.phase) + "; ";
    }
    if (!agent.complaints.empty()) text += agent.complaints.back();
    return text;
  }

  /// Runs the agent until `until`, or until it is killed or ends, or where `settling` until it has nothing left to do.
  End drive(tests::Agent& agent, Duration until, bool settling) {
    int handlers = 0;
    for (;;) {
      while (!late_.empty() && late_.begin()->first <= clock().elapsed()) {
        const auto call = late_.begin()->second;
        late_.erase(late_.begin());
        call();
      }
      while (!boundary_.dead() && agent.context.poll_one() > 0) {
        if (++handlers > handlers_at_once_max) watch_.broken("the agent is busy for ever at one moment");
        if (watch_.violation()) return End::killed;
      }
      if (watch_.violation() || boundary_.dead()) return End::killed;
      agent.context.restart();
      if (agent.ended()) return End::stopped;
      if (mishaps_.act() || users_.act(agent)) continue;
      if (settling && settled(agent)) return End::idle;
      const auto before = clock().elapsed();
      const auto late = late_.empty() ? Duration::max() : late_.begin()->first;
      const auto limit = std::min({until, users_.next(), mishaps_.next(), late});
      if (!clock().advance_to_next(limit)) clock().pass_until(limit);
      if (clock().elapsed() > before) handlers = 0;
      if (clock().elapsed() >= until) return End::time;
    }
  }

  /// It has had nothing to do for a while, and has looked at everything in that time.
  bool settled(tests::Agent& agent) {
    bool idle = agent.journal.rollouts.unfinished().empty() && agent.jobs.waiting().empty();
    if (idle && !agent.reconciler.in_order()) {
      const auto rollouts = agent.journal.rollouts.history("", 1000);
      idle = std::any_of(rollouts.begin(), rollouts.end(),
                         [](const auto& rollout) { return rollout.phase == domain::Phase::needs_operator; });
    }
    if (!idle) idle_since_.reset();
    if (idle && !idle_since_) {
      idle_since_ = clock().elapsed();
      passes_before_ = agent.poller.passes();
    }
    // One pass may have begun before.
    const bool looked = stage_.world.poll.count() == 0 || agent.poller.passes() >= passes_before_ + 2;
    return idle && looked && clock().elapsed() >= *idle_since_ + quiet;
  }

  /// As SIGTERM does: it ends by itself, soon.
  void stop(tests::Agent& agent) {
    trace_.add("==== stopped");
    agent.stop();
    const auto end = drive(agent, clock().elapsed() + minutes(3), false);
    if (end == End::time && !watch_.violation()) watch_.broken("a stopped agent did not end within 3 min");
  }

  void count_rollouts(tests::Agent& agent) {
    for (const auto& rollout : agent.journal.rollouts.history("", 1000)) {
      ++rollouts_;
      const auto fate = stage_.fate(rollout.commit);
      const bool rolled_back = rollout.phase == domain::Phase::rolled_back;
      const bool promoted = rollout.phase == domain::Phase::succeeded && fate != Fate::dies_in_traffic;
      if (fate == Fate::good || fate == Fate::does_not_build || !(rolled_back || promoted)) continue;
      ++bad_versions_;
      if (promoted) ++bad_promoted_;
    }
  }

  void bury(tests::Agent& agent) {
    boundary_.kill();
    agent.database.on_commit(nullptr);
    for (auto& call : engine_.take_in_flight()) {
      if (random_.chance(400))
        late_.emplace(clock().elapsed() + random_.between(milliseconds(0), milliseconds(500)), call);
    }
    agent.context.kill();
  }

  Outcome outcome() {
    Outcome result;
    result.violation = watch_.violation();
    result.digest = trace_.digest();
    result.trace = trace_.take_lines();
    result.lives = lives_;
    result.counts = boundary_.counts();
    result.rollouts = rollouts_;
    result.bad_versions = bad_versions_;
    result.bad_promoted = bad_promoted_;
    return result;
  }

  Random random_;
  Stage stage_;
  Trace trace_;
  Boundary boundary_;
  Watch watch_;
  Users users_;
  Mishaps mishaps_;
  SimEngine engine_;
  SimSource source_;
  SimProxy proxy_;
  SimProber prober_;
  struct Kept {
    std::string database;
    std::vector<domain::Delivery> accepted;  // that it holds
  };
  Kept kept_;
  bool state_lost_ = false;
  std::multimap<Duration, std::function<void()>> late_;  // what the engine does for an agent that is dead
  std::unique_ptr<tests::Agent> survivor_;               // of the time in which things went wrong
  int lives_ = 0;
  int rollouts_ = 0;
  int bad_versions_ = 0;
  int bad_promoted_ = 0;
  std::optional<Duration> idle_since_;
  int passes_before_ = 0;  // of the poller, when it became idle
};

}  // namespace

Outcome simulate(std::uint64_t seed, bool keep_trace) { return Simulator(seed, keep_trace).run(); }

}  // namespace deploy::sim
