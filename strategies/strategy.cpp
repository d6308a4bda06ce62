#include "strategies/strategy.hpp"

#include <stdexcept>

namespace deploy::strategies {

std::vector<PlannedStep> plan(domain::StrategyKind kind, const Situation& situation) {
  switch (kind) {
    case domain::StrategyKind::rolling:
      return rolling(situation);
    case domain::StrategyKind::blue_green:
      return blue_green(situation);
    case domain::StrategyKind::recreate:
      return recreate(situation);
  }
  throw std::logic_error("a strategy without a list of steps");
}

std::string to_table(const std::vector<PlannedStep>& steps) {
  std::string table;
  for (const auto& step : steps) {
    table += domain::to_string(step.kind);
    for (const auto& slot : step.targets) {
      table += slot.side == Slot::Side::fresh ? " new" : " old";
      table += std::to_string(slot.index + 1);
    }
    table += '\n';
  }
  return table;
}

}  // namespace deploy::strategies
