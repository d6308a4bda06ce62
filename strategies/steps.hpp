// What the strategies' tables are written with.
#pragma once

#include "strategies/strategy.hpp"

namespace deploy::strategies {

inline Slot fresh(int index) { return {Slot::Side::fresh, index}; }
inline Slot old(int index) { return {Slot::Side::old, index}; }

/// `side(from) … side(to - 1)`.
inline std::vector<Slot> range(Slot (*side)(int), int from, int to) {
  std::vector<Slot> slots;
  for (int i = from; i < to; ++i) slots.push_back(side(i));
  return slots;
}

inline std::vector<Slot> operator+(std::vector<Slot> left, const std::vector<Slot>& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

}  // namespace deploy::strategies
