#include "agent/domain/config_change.hpp"

#include "agent/domain/names.hpp"

namespace deploy::domain {

namespace {

constexpr NameTable<ConfigPhase, 8> config_phases{{{ConfigPhase::queued, "queued"},
                                                   {ConfigPhase::running, "running"},
                                                   {ConfigPhase::keeping, "keeping"},
                                                   {ConfigPhase::applied, "applied"},
                                                   {ConfigPhase::refused, "refused"},
                                                   {ConfigPhase::rolled_back, "rolled_back"},
                                                   {ConfigPhase::superseded, "superseded"},
                                                   {ConfigPhase::needs_operator, "needs_operator"}}};

}  // namespace

bool is_final(ConfigPhase phase) {
  return phase != ConfigPhase::queued && phase != ConfigPhase::running && phase != ConfigPhase::keeping;
}

std::string to_string(ConfigPhase phase) { return name_in(config_phases, phase); }

std::optional<ConfigPhase> config_phase_from(const std::string& name) { return value_in(config_phases, name); }

}  // namespace deploy::domain
