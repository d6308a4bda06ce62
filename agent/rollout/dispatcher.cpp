#include "agent/rollout/dispatcher.hpp"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "agent/base/error.hpp"
#include "agent/domain/order.hpp"

namespace deploy::rollout {

namespace {

using domain::Phase;

/// After a failure that could not be written down: long enough not to be a busy loop, short enough to be noticed.
constexpr std::chrono::seconds retry_pause{5};

std::set<std::string> dependents_of(const std::string& service, const std::vector<domain::Service>& services) {
  std::set<std::string> dependents;
  for (const auto& other : services) {
    if (domain::dependencies_of(other.name, services).contains(service)) dependents.insert(other.name);
  }
  return dependents;
}

/// What it has to wait for in its own release failed; nullopt: nothing did.
std::optional<std::string> failure_before(const domain::Rollout& rollout, const std::set<std::string>& first,
                                          const Queue& queue) {
  const bool goes_back = rollout.kind == domain::RolloutKind::rollback;
  const auto& together = queue.of_release.at(rollout.release);
  const auto failed = std::find_if(together.begin(), together.end(), [&](const domain::Rollout& other) {
    return first.contains(other.service) && domain::is_final(other.phase) && !domain::is_success(other.phase) &&
           (goes_back || other.phase != Phase::superseded) && !queue.promoted(other.id);
  });
  if (failed == together.end()) return std::nullopt;
  return failed->service +
         (goes_back ? ", which depends on " + rollout.service + ", was not rolled back"
                    : ", which " + rollout.service + " depends on, was not rolled out") +
         " (rollout " + std::to_string(failed->id.value) + ")";
}

/// What the rollouts under way leave for others.
struct Occupied {
  std::set<std::string> begun;   // no other rollout of theirs starts
  std::set<std::string> busy;    // what depends on them waits, too
  std::set<std::string> drain;   // beside what they do another one of theirs may start
  std::set<std::string> closed;  // not beside this
  int places = 0;
};

bool is_begun(const domain::Rollout& rollout, const Queue& queue) {
  return rollout.phase != Phase::queued || queue.running.contains(rollout.id);
}

Occupied occupied_by_begun(const Queue& queue, int rollouts_max) {
  Occupied occupied;
  occupied.places = rollouts_max;
  for (const auto& rollout : queue.unfinished) {
    if (!is_begun(rollout, queue)) continue;
    if (queue.promoted(rollout.id)) {
      const bool first = queue.drains(rollout.id) && occupied.drain.insert(rollout.service).second;
      if (!first) occupied.closed.insert(rollout.service);
      continue;
    }
    occupied.begun.insert(rollout.service);
    if (!queue.let_in(rollout)) continue;
    --occupied.places;
    occupied.busy.insert(rollout.service);
  }
  return occupied;
}

/// Why a rollout whose image is there is not let in yet; empty: it may be. `needed` is what it depends on, `first` what
/// goes before it in its own release.
std::string reason_to_wait(const domain::Rollout& rollout, const std::set<std::string>& needed,
                           const std::set<std::string>& first, const Occupied& occupied, const Queue& queue) {
  if (queue.is_paused(rollout.service)) {
    return "it is paused: deployctl resume " + (queue.paused.contains("") ? "--all" : rollout.service);
  }
  for (const auto& name : needed) {
    if (occupied.busy.contains(name)) return "waits for " + name + ", which it depends on";
  }
  const bool goes_back = rollout.kind == domain::RolloutKind::rollback;
  for (const auto& other : queue.unfinished) {
    if (other.release != rollout.release || !first.contains(other.service) || queue.promoted(other.id)) continue;
    return "waits for " + other.service + (goes_back ? ", which depends on it" : ", which it depends on");
  }
  const bool drains = occupied.drain.contains(rollout.service) && queue.runs_alone(rollout);
  if (drains || occupied.closed.contains(rollout.service)) {
    return "waits until the version before the live one has drained";
  }
  return occupied.places > 0 ? "" : "waits for a place: see limits.rollouts in agent.yaml";
}

}  // namespace

Queue queue_of(Journal& journal) {
  Queue queue;
  queue.unfinished = journal.rollouts.unfinished();
  for (const auto& rollout : queue.unfinished) {
    const auto [known, is_new] = queue.of_release.try_emplace(rollout.release);
    if (is_new) known->second = journal.rollouts.of_release(rollout.release);
  }
  queue.promoted = [&journal](domain::RolloutId id) { return journal.promoted(id); };
  queue.drains = [&journal](domain::RolloutId id) { return journal.drains(id); };
  for (const auto& pause : journal.pauses.all()) queue.paused.insert(pause.service);
  return queue;
}

Ready choose_ready(const Queue& queue, const std::vector<domain::Service>& services, int rollouts_max) {
  Ready ready;
  auto occupied = occupied_by_begun(queue, rollouts_max);
  for (const auto& rollout : queue.unfinished) {
    const auto& service = rollout.service;
    const bool was_begun = is_begun(rollout, queue);
    // Was under way when the agent stopped.
    if (was_begun && !queue.running.contains(rollout.id)) ready.start.push_back(rollout);
    if (was_begun && (queue.let_in(rollout) || rollout.phase == Phase::undoing || rollout.stop)) continue;
    const auto needed = domain::dependencies_of(service, services);
    const bool goes_back = rollout.kind == domain::RolloutKind::rollback;
    const auto first = goes_back ? dependents_of(service, services) : needed;
    if (const auto failure = failure_before(rollout, first, queue)) {
      ready.give_up.push_back({rollout, *failure});
      continue;
    }
    const bool taken =
        occupied.begun.contains(service) || occupied.busy.contains(service) || occupied.closed.contains(service);
    if (!was_begun && !taken && !queue.is_paused(service)) {
      ready.start.push_back(rollout);
      occupied.begun.insert(service);
    }
    const auto waits = reason_to_wait(rollout, needed, first, occupied, queue);
    // Whoever comes later waits behind this one if it is the same service, or depends on it.
    if (!queue.is_paused(service)) occupied.busy.insert(service);
    if (!queue.at_gate.contains(rollout.id)) continue;
    if (waits.empty()) {
      ready.let_in.push_back(rollout.id);
      --occupied.places;
    } else {
      ready.waits[rollout.id] = waits;
    }
  }
  return ready;
}

Dispatcher::Dispatcher(asio::any_io_executor executor, Journal& journal, ReleasePlanner& releases, Runner& runner,
                       ports::Clock& clock, const std::vector<domain::Service>& services, int rollouts_max,
                       Complain complain)
    : journal_(journal),
      releases_(releases),
      runner_(runner),
      clock_(clock),
      services_(services),
      rollouts_max_(rollouts_max),
      complain_(std::move(complain)),
      executor_(executor),
      changed_(executor),
      tasks_(executor,
             [this](const std::string& name, std::exception_ptr cause) { complain_(name + ": " + message_of(cause)); }),
      turns_(executor) {}

Task<void> Dispatcher::run() {
  std::exception_ptr stopped;
  try {
    for (;;) {
      woken_ = false;
      std::optional<std::chrono::milliseconds> due;
      try {
        due = releases_.plan_due();
        start_ready();
        interrupt_stopped();
      } catch (const Error& error) {
        complain_(error.message());
        due = retry_pause;
      }
      if (woken_) continue;
      if (due) {
        co_await first_of(changed_.wait(), clock_.sleep_for(*due));
      } else {
        co_await changed_.wait();
      }
    }
  } catch (...) {
    stopped = std::current_exception();
  }
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  tasks_.cancel();
  co_await tasks_.wait();
  std::rethrow_exception(stopped);
}

void Dispatcher::wake() {
  woken_ = true;
  changed_.notify_all();
}

void Dispatcher::start_ready() {
  auto now = queue_of(journal_);
  now.let_in = [this](const domain::Rollout& rollout) {
    return let_in_.contains(rollout.id) || !(rollout.phase == Phase::queued || journal_.prepares(rollout));
  };
  now.runs_alone = [this](const domain::Rollout& rollout) { return runs_alone(rollout); };
  for (const auto& [id, signal] : running_) now.running.insert(id);
  now.at_gate = at_gate_;
  auto ready = choose_ready(now, services_, rollouts_max_);
  bool ended = false;
  for (const auto& blocked : ready.give_up) ended = give_up(blocked) || ended;
  let_in_.insert(ready.let_in.begin(), ready.let_in.end());
  waits_ = std::move(ready.waits);
  turns_.notify_all();
  for (const auto& rollout : ready.start) {
    const auto interrupt = std::make_shared<Signal>(executor_);
    running_.emplace(rollout.id, interrupt);
    tasks_.spawn("rollout " + std::to_string(rollout.id.value), run_one(rollout.id, interrupt));
  }
  // Giving up one may let its own dependents be given up, and may have ended their release.
  if (ended) woken_ = true;
}

/// Returns whether it has ended; one that has begun gives up its image first.
bool Dispatcher::give_up(const Ready::Blocked& blocked) {
  auto rollout = blocked.rollout;
  if (rollout.phase == Phase::queued) {
    journal_.end(rollout, Phase::cancelled, blocked.reason);
    return true;
  }
  journal_.stop(rollout, {Phase::cancelled, blocked.reason});
  return false;
}

/// Says what it waits for, as often as that changes.
Task<void> Dispatcher::await_turn(domain::RolloutId id) {
  const auto rollout = journal_.rollouts.get(id);
  std::string told;
  at_gate_.insert(id);
  wake();
  // It may have been paused since it was let in.
  while (!let_in_.contains(id) || journal_.is_paused(rollout.service)) {
    if (let_in_.erase(id) > 0) wake();
    const auto found = waits_.find(id);
    if (found != waits_.end() && found->second != told) {
      told = found->second;
      journal_.tell(rollout, "note", "ready; " + told);
    }
    co_await turns_.wait();
  }
  at_gate_.erase(id);
}

/// By the configuration that it was begun with; before that nobody lets it in.
bool Dispatcher::runs_alone(const domain::Rollout& rollout) {
  if (rollout.config.empty()) return false;
  const auto service = domain::service_from_json(nlohmann::json::parse(rollout.config));
  return service.strategy == domain::StrategyKind::recreate;
}

/// An undo goes on whatever is wished, and what a hook does to data is not cut short: the rollout turns round after it.
void Dispatcher::interrupt_stopped() {
  for (const auto& rollout : journal_.rollouts.unfinished()) {
    const auto found = running_.find(rollout.id);
    if (found == running_.end() || !rollout.stop || rollout.phase != Phase::running) continue;
    if (!journal_.rollouts.has_step(rollout.id, domain::StepKind::before, domain::StepState::running)) {
      found->second->notify_all();
    }
  }
}

Task<void> Dispatcher::run_one(domain::RolloutId id, std::shared_ptr<Signal> interrupt) {
  std::exception_ptr failure;
  const Runner::LetIn let_in = [this, id] { return await_turn(id); };
  try {
    // An interrupted one is run again, and turns round at the step it was in.
    for (bool ended = false; !ended;) {
      const auto done = co_await first_of(runner_.run(id, let_in, [this] { wake(); }), interrupt->wait());
      ended = done.has_value();
    }
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure) {
    const auto state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none) std::rethrow_exception(failure);
    complain_("rollout " + std::to_string(id.value) + ": " + message_of(failure));
    co_await clock_.sleep_for(retry_pause);
  }
  running_.erase(id);
  let_in_.erase(id);
  at_gate_.erase(id);
  wake();
}

}  // namespace deploy::rollout
