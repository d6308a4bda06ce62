// Everything the rollout code writes down, in one place: the stores, and the events that go with each change.
#pragma once

#include <string>

#include "agent/domain/rollout.hpp"
#include "agent/domain/service.hpp"
#include "agent/ports/clock.hpp"
#include "agent/ports/container_engine.hpp"
#include "agent/store/config_store.hpp"
#include "agent/store/database.hpp"
#include "agent/store/delivery_inbox.hpp"
#include "agent/store/event_log.hpp"
#include "agent/store/pause_store.hpp"
#include "agent/store/rollout_store.hpp"
#include "agent/store/target_store.hpp"

namespace deploy::rollout {

/// Steps between the switch and promote.
inline bool is_watch(domain::StepKind kind) {
  return kind == domain::StepKind::bake || kind == domain::StepKind::after;
}

class Journal {
 public:
  Journal(store::Database& database, store::EventLog& events, ports::Clock& clock)
      : rollouts(database),
        targets(database),
        revisions(database),
        pauses(database),
        configs(database),
        database_(database),
        events_(events),
        clock_(clock) {}

  store::RolloutStore rollouts;
  store::TargetStore targets;
  store::RevisionStore revisions;
  store::PauseStore pauses;
  store::ConfigStore configs;

  domain::Time now() const { return clock_.now(); }
  void transaction(const std::function<void()>& body) { database_.transaction(body); }

  /// The target whose container this is; nullopt: the journal does not know it.
  std::optional<domain::Target> target_of(const ports::Container& container);

  /// The configuration that the target runs with: its own revision's. nullopt: it has no revision yet.
  std::optional<domain::Service> stored_config(const domain::Target& target);

  /// The configuration that the target's container was made with. nullopt: that is not known, because its revision was
  /// found by its labels.
  std::optional<domain::Service> made_with(const domain::Target& target);

  /// The newest webhook; nullopt: none ever came.
  std::optional<store::LastDelivery> last_delivery() { return store::last_delivery(database_); }

  /// Grows with everything that is told.
  std::int64_t last_event() { return events_.last_seq(); }

  /// A rollout of the service was begun and has not ended.
  bool under_way(const std::string& service);

  /// It was begun, and only gets its image until it is let in: the rest of its steps is not planned yet.
  bool prepares(const domain::Rollout& rollout);
  /// A rollout of the service is under way and does more than prepare: it looks after the service's targets.
  bool at_targets(const std::string& service);

  /// Its version is live: all that is left to do is to clear away what it replaced.
  bool promoted(domain::RolloutId rollout) {
    return rollouts.has_step(rollout, domain::StepKind::promote, domain::StepState::succeeded);
  }
  /// It is promoted, and has not come as far as to remove images.
  bool drains(domain::RolloutId rollout) {
    return promoted(rollout) && rollouts.has_step(rollout, domain::StepKind::prune, domain::StepState::pending);
  }

  bool is_paused(const std::string& service);

  /// Only until its first switch has begun, and once.
  bool can_stop(const domain::Rollout& rollout);
  /// It has switched and is being watched, in its bake or by hooks: somebody may still take it back, and once.
  bool bakes(const domain::Rollout& rollout);
  /// Writes down that a rollout under way is to be undone and end so; its runner finds it there.
  void stop(const domain::Rollout& rollout, const domain::StopWish& wish);

  /// Adds an event about this rollout.
  void tell(const domain::Rollout& rollout, const std::string& kind, const std::string& text);

  /// Adds an event about this host's configuration.
  void tell_of_config(const std::string& kind, const std::string& text);

  /// Writes the rollout's end, and that of its release with the last one, with the events that say so.
  void end(domain::Rollout& rollout, domain::Phase phase, const std::string& reason);

 private:
  store::Database& database_;
  store::EventLog& events_;
  ports::Clock& clock_;
};

}  // namespace deploy::rollout
