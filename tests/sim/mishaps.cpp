#include "tests/sim/mishaps.hpp"

#include <algorithm>

namespace deploy::sim {

using std::chrono::milliseconds;

void Mishaps::plan(Duration horizon) {
  if (random_.chance(600)) return;
  const auto most = std::chrono::duration_cast<milliseconds>(horizon);
  const std::vector<Kind> kinds{Kind::falls_ill, Kind::ends, Kind::is_stopped, Kind::nginx_made_anew,
                                Kind::image_pruned};
  const int count = random_.between(1, 4);
  for (int i = 0; i < count; ++i)
    planned_.emplace(random_.between(milliseconds(0), most), Mishap{random_.pick(kinds), ""});
}

bool Mishaps::act() {
  if (planned_.empty() || planned_.begin()->first > stage_.world.clock.elapsed()) return false;
  const auto mishap = planned_.begin()->second;
  planned_.erase(planned_.begin());
  switch (mishap.kind) {
    case Kind::recovers:
      recover(mishap.container_id);
      break;
    case Kind::nginx_made_anew:
      trace_.add("---- Nginx is made anew");
      stage_.nginx_connected = false;
      break;
    case Kind::image_pruned:
      prune();
      break;
    default:
      strike(mishap.kind);
  }
  return true;
}

void Mishaps::strike(Kind kind) {
  std::vector<std::string> ours;
  for (const auto& [id, record] : stage_.world.engine.all()) {
    if (Stage::ours(record) && record.container.state == "running") ours.push_back(id);
  }
  if (ours.empty()) return;
  const auto id = random_.pick(ours);
  const auto& record = stage_.world.engine.at(id);
  trace_.add(kind == Kind::falls_ill ? "---- falls ill:" : "---- ends:", record.container.name);
  watch_.disturbed(record.container.labels.at("deployctl.service"));
  if (kind == Kind::falls_ill) stage_.sicken(id);
  if (kind == Kind::ends) stage_.world.engine.exit(id, 137);
  if (kind == Kind::is_stopped)
    tests::run_virtual(stage_.world.clock, stage_.world.engine.stop(id, std::chrono::seconds(1)));
  const auto later = stage_.world.clock.elapsed() + random_.between(milliseconds(200), milliseconds(90000));
  planned_.emplace(later, Mishap{Kind::recovers, id});
}

void Mishaps::recover(const std::string& container_id) {
  const auto& all = stage_.world.engine.all();
  const auto found = all.find(container_id);
  stage_.heal(container_id);
  if (found == all.end()) return;
  trace_.add("---- is well again:", found->second.container.name);
  try {
    stage_.start_again(container_id);
  } catch (const Error& error) {
    watch_.broken("a container that ended cannot be started again: " + error.message());
  }
}

/// `docker image prune --all`, or an image by name: only what no container uses goes.
void Mishaps::prune() {
  std::vector<std::string> ids;
  for (const auto& image : stage_.world.engine.all_images()) {
    if (stage_.own_images.contains(image.id)) ids.push_back(image.id);
  }
  if (ids.empty()) return;
  const auto& id = random_.pick(ids);
  const bool gone = tests::run_virtual(stage_.world.clock, stage_.world.engine.remove_image(id));
  if (!gone) return;
  trace_.add("---- image pruned by hand:", id);
  stage_.images_removed_by_hand.insert(id);
}

void Mishaps::end() {
  while (!planned_.empty()) {
    const auto mishap = planned_.begin()->second;
    planned_.erase(planned_.begin());
    if (mishap.kind == Kind::recovers) recover(mishap.container_id);
  }
}

}  // namespace deploy::sim
