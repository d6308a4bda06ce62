#include "strategies/strategy.hpp"

#include "agent/base/error.hpp"

namespace deploy::strategies {

std::vector<PlannedStep> plan(domain::StrategyKind kind, const Situation& situation) {
  switch (kind) {
    case domain::StrategyKind::rolling:
      return rolling(situation);
    case domain::StrategyKind::blue_green:
      return blue_green(situation);
    case domain::StrategyKind::recreate:
      break;
  }
  throw Error(ErrorKind::invalid,
              "the strategy \"" + domain::to_string(kind) + "\" is not supported yet; use rolling or blue-green");
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
