// What happened in one seed, line by line in virtual time, and a digest of it by which two runs are compared.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/fakes/fake_clock.hpp"

namespace deploy::sim {

class Trace {
 public:
  /// Lines are kept only where `keep`; most seeds are never looked at.
  Trace(const tests::FakeClock& clock, bool keep) : clock_(clock), keep_(keep) {}

  void add(std::string_view what, std::string_view about = {}, std::string_view more = {}) {
    const auto now = std::chrono::duration_cast<std::chrono::milliseconds>(clock_.elapsed()).count();
    mix(std::string_view(reinterpret_cast<const char*>(&now), sizeof now));
    mix(what);
    mix(about);
    mix(more);
    if (!keep_) return;
    lines_.push_back(fmt::format("{:>10.3f}  {}{}{}{}{}", static_cast<double>(now) / 1000, what,
                                 about.empty() ? "" : " ", about, more.empty() ? "" : " ", more));
  }

  std::uint64_t digest() const noexcept { return digest_; }
  std::vector<std::string> take_lines() { return std::move(lines_); }

 private:
  /// FNV-1a.
  void mix(std::string_view bytes) {
    for (const char byte : bytes) digest_ = (digest_ ^ static_cast<unsigned char>(byte)) * 0x100000001b3;
    digest_ *= 0x100000001b3;
  }

  const tests::FakeClock& clock_;
  bool keep_;
  std::uint64_t digest_ = 0xcbf29ce484222325;
  std::vector<std::string> lines_;
};

}  // namespace deploy::sim
