#include "agent/domain/rollout.hpp"

#include <fmt/chrono.h>

#include "agent/domain/names.hpp"

namespace deploy::domain {

namespace {

constexpr NameTable<Phase, 9> phases{{{Phase::queued, "queued"},
                                      {Phase::running, "running"},
                                      {Phase::undoing, "undoing"},
                                      {Phase::succeeded, "succeeded"},
                                      {Phase::unchanged, "unchanged"},
                                      {Phase::rolled_back, "rolled_back"},
                                      {Phase::cancelled, "cancelled"},
                                      {Phase::superseded, "superseded"},
                                      {Phase::needs_operator, "needs_operator"}}};
constexpr NameTable<RolloutKind, 2> kinds{{{RolloutKind::deploy, "deploy"}, {RolloutKind::rollback, "rollback"}}};
constexpr NameTable<StepKind, 17> step_kinds{{{StepKind::fetch, "fetch"},
                                              {StepKind::build, "build"},
                                              {StepKind::pull, "pull"},
                                              {StepKind::image, "image"},
                                              {StepKind::before, "before"},
                                              {StepKind::create, "create"},
                                              {StepKind::start, "start"},
                                              {StepKind::probe, "probe"},
                                              {StepKind::verify, "verify"},
                                              {StepKind::switch_traffic, "switch"},
                                              {StepKind::after, "after"},
                                              {StepKind::bake, "bake"},
                                              {StepKind::promote, "promote"},
                                              {StepKind::drain, "drain"},
                                              {StepKind::stop, "stop"},
                                              {StepKind::remove, "remove"},
                                              {StepKind::prune, "prune"}}};
constexpr NameTable<StepState, 6> step_states{{{StepState::pending, "pending"},
                                               {StepState::running, "running"},
                                               {StepState::succeeded, "succeeded"},
                                               {StepState::failed, "failed"},
                                               {StepState::undone, "undone"},
                                               {StepState::skipped, "skipped"}}};
constexpr NameTable<TargetState, 5> target_states{{{TargetState::planned, "planned"},
                                                   {TargetState::live, "live"},
                                                   {TargetState::retired, "retired"},
                                                   {TargetState::gone, "gone"},
                                                   {TargetState::stray, "stray"}}};

}  // namespace

bool is_source(StepKind kind) {
  return kind == StepKind::fetch || kind == StepKind::build || kind == StepKind::pull || kind == StepKind::image;
}

bool is_final(Phase phase) { return phase != Phase::queued && phase != Phase::running && phase != Phase::undoing; }
bool is_success(Phase phase) { return phase == Phase::succeeded || phase == Phase::unchanged; }

std::string to_string(Phase phase) { return name_in(phases, phase); }
std::string to_string(RolloutKind kind) { return name_in(kinds, kind); }
std::string to_string(StepKind kind) { return name_in(step_kinds, kind); }
std::string to_string(StepState state) { return name_in(step_states, state); }
std::string to_string(TargetState state) { return name_in(target_states, state); }
std::optional<Phase> phase_from(const std::string& name) { return value_in(phases, name); }
std::optional<RolloutKind> rollout_kind_from(const std::string& name) { return value_in(kinds, name); }
std::optional<StepKind> step_kind_from(const std::string& name) { return value_in(step_kinds, name); }
std::optional<StepState> step_state_from(const std::string& name) { return value_in(step_states, name); }
std::optional<TargetState> target_state_from(const std::string& name) { return value_in(target_states, name); }

std::string iso_time(Time time) {
  const auto millis = std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch());
  const auto seconds = std::chrono::floor<std::chrono::seconds>(millis);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(std::chrono::system_clock::to_time_t(time)),
                     (millis - seconds).count());
}

std::vector<TargetId> ids_of(const std::vector<Target>& targets) {
  std::vector<TargetId> ids;
  ids.reserve(targets.size());
  for (const auto& target : targets) ids.push_back(target.id);
  return ids;
}

}  // namespace deploy::domain
