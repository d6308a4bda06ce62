#include "agent/rollout/journal.hpp"

#include <algorithm>

namespace deploy::rollout {

namespace {

std::string in_words(domain::Phase phase) {
  std::string words = domain::to_string(phase);
  std::replace(words.begin(), words.end(), '_', ' ');
  return words;
}

}  // namespace

void Journal::tell(const domain::Rollout& rollout, const std::string& kind, const std::string& text) {
  events_.append({0, now(), rollout.release, rollout.id, rollout.service, kind, text});
}

void Journal::end(domain::Rollout& rollout, domain::Phase phase, const std::string& reason) {
  transaction([&] {
    rollout.phase = phase;
    rollout.reason = reason;
    rollout.finished = now();
    rollouts.update(rollout);
    tell(rollout, "rollout.ended", reason.empty() ? in_words(phase) : in_words(phase) + ": " + reason);
    const auto together = rollouts.of_release(rollout.release);
    const bool last = std::all_of(together.begin(), together.end(),
                                  [](const domain::Rollout& other) { return domain::is_final(other.phase); });
    if (last) events_.append({0, now(), rollout.release, {}, "", "release.ended", ""});
  });
}

}  // namespace deploy::rollout
