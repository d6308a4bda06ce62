// Chance that is the same with every compiler and library: one generator, and distributions of our own.
#pragma once

#include <chrono>
#include <cstdint>
#include <random>
#include <vector>

namespace deploy::sim {

class Random {
 public:
  /// Different streams of one seed do not depend on how much the others were asked.
  Random(std::uint64_t seed, std::uint64_t stream) : engine_(mixed(mixed(seed) + stream)) {}

  /// 0 … limit - 1; limit is not 0.
  std::uint64_t below(std::uint64_t limit) { return engine_() % limit; }
  int between(int least, int most) {
    return least + static_cast<int>(below(static_cast<std::uint64_t>(most - least) + 1));
  }
  std::chrono::milliseconds between(std::chrono::milliseconds least, std::chrono::milliseconds most) {
    return least + std::chrono::milliseconds(below(static_cast<std::uint64_t>((most - least).count()) + 1));
  }
  bool chance(int permille) { return below(1000) < static_cast<std::uint64_t>(permille); }
  template <class T>
  const T& pick(const std::vector<T>& from) {
    return from[below(from.size())];
  }

 private:
  /// SplitMix64: seeds that lie side by side give generators that do not.
  static std::uint64_t mixed(std::uint64_t value) {
    value += 0x9e3779b97f4a7c15;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
    value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
    return value ^ (value >> 31);
  }
  std::mt19937_64 engine_;
};

}  // namespace deploy::sim
