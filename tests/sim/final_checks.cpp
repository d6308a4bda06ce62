#include "tests/sim/final_checks.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "agent/domain/labels.hpp"

namespace deploy::sim {

namespace {

using domain::Phase;

struct StoredJob {
  std::int64_t id;
  std::string service;
  std::string commit;
  std::string body;
  std::int64_t release;  // 0: none
  std::string outcome;
  std::string kind;
};

std::vector<StoredJob> jobs_of(store::Database& database) {
  return database.query(
      "SELECT j.id, j.service, j.commit_id, coalesce(d.body_sha256, ''), coalesce(j.release_id, 0), j.outcome, j.kind "
      "FROM jobs j LEFT JOIN deliveries d ON d.id = j.delivery ORDER BY j.id",
      [](SQLite::Statement& row) {
        return StoredJob{row.getColumn(0).getInt64(),  row.getColumn(1).getString(), row.getColumn(2).getString(),
                         row.getColumn(3).getString(), row.getColumn(4).getInt64(),  row.getColumn(5).getString(),
                         row.getColumn(6).getString()};
      });
}

class Settled {
 public:
  Settled(tests::Agent& agent, Stage& stage, Watch& watch, const Users& users, bool state_lost)
      : agent_(agent),
        stage_(stage),
        watch_(watch),
        users_(users),
        state_lost_(state_lost),
        rollouts_(agent.journal.rollouts.history("", 100000)) {}

  void check() {
    for (const auto& complaint : agent_.complaints) watch_.broken("the last agent complained: " + complaint);
    check_deliveries();
    for (const auto& rollout : rollouts_) check_end(rollout);
    check_ends_kept();
    for (const auto& service : stage_.world.services) {
      check_newest(service);
      check_tip(service);
      check_routes(service);
      check_rollback_images(service);
    }
    check_containers();
    check_images();
    if (!stage_.nginx_connected) watch_.broken("Nginx was made anew and has not joined the routing network again");
    if (stage_.foreign_things() != watch_.foreign_at_first()) {
      watch_.broken("foreign things changed from\n" + watch_.foreign_at_first() + "to\n" + stage_.foreign_things());
    }
  }

 private:
  static bool says(const domain::Rollout& rollout, std::string_view what) {
    return rollout.reason.find(what) != std::string::npos;
  }
  static bool went_live(const domain::Rollout& rollout) {
    return rollout.phase == Phase::succeeded || (rollout.phase == Phase::needs_operator && says(rollout, "is live"));
  }
  static std::string named(const domain::Rollout& rollout) {
    return "rollout " + std::to_string(rollout.id.value) + " of " + rollout.service;
  }
  const domain::Rollout* of(std::int64_t release, const std::string& service) const {
    const auto found = std::find_if(rollouts_.begin(), rollouts_.end(), [&](const auto& rollout) {
      return rollout.release.value == release && rollout.service == service;
    });
    return found == rollouts_.end() ? nullptr : &*found;
  }

  /// Every accepted delivery ends in exactly one recorded outcome.
  void check_deliveries() {
    const auto jobs = jobs_of(agent_.database);
    for (const auto& delivery : users_.accepted()) {
      for (const auto& change : delivery.changes) {
        const auto count = std::count_if(jobs.begin(), jobs.end(), [&](const StoredJob& job) {
          return job.body == delivery.body_sha256 && job.service == change.service && job.commit == change.commit;
        });
        if (count != 1) {
          watch_.broken("delivery " + delivery.body_sha256 + " has " + std::to_string(count) + " jobs for " +
                        change.service);
        }
      }
    }
    std::map<std::string, std::int64_t> last_release;
    for (const auto& job : jobs) {
      if (job.body.empty() || job.release == 0) continue;
      auto& last = last_release[job.service];
      if (job.release < last) watch_.broken("job " + std::to_string(job.id) + " of " + job.service + " was overtaken");
      last = std::max(last, job.release);
    }
    for (const auto& job : jobs) {
      const auto name = "job " + std::to_string(job.id) + " of " + job.service;
      if (job.release == 0 && job.outcome.empty()) watch_.broken(name + " has no outcome");
      if (job.release == 0) continue;
      if (!job.outcome.empty()) watch_.broken(name + " has a release and an outcome: " + job.outcome);
      const auto count = std::count_if(rollouts_.begin(), rollouts_.end(), [&](const auto& rollout) {
        return rollout.release.value == job.release && rollout.service == job.service;
      });
      if (count != 1) watch_.broken(name + " has " + std::to_string(count) + " rollouts");
    }
  }

  /// One of the service's targets fell ill, which can be the cause.
  bool was_ill(const domain::Rollout& rollout) const {
    return watch_.was_disturbed(rollout.service) && says(rollout, "is not healthy");
  }

  /// Each ends in a phase that what happened explains.
  void check_end(const domain::Rollout& rollout) {
    if (!domain::is_final(rollout.phase)) return watch_.broken(named(rollout) + " did not end");
    const auto phase = named(rollout) + " ended as " + domain::to_string(rollout.phase) + ": " + rollout.reason;
    switch (rollout.phase) {
      case Phase::needs_operator:
        if (!says(rollout, "permanent") && !(state_lost_ && says(rollout, "of this installation")) &&
            !(was_ill(rollout) && says(rollout, "undoing \"stop\" failed")))
          watch_.broken(phase + " (without a permanent failure)");
        break;
      case Phase::rolled_back: {
        const bool pruned = !stage_.images_removed_by_hand.empty() &&
                            (says(rollout, "No such image") || says(rollout, "was removed by hand"));
        // In a time that a state that was put back knows nothing of.
        const bool lost = state_lost_ && (says(rollout, "No such image") || says(rollout, "nothing answers there") ||
                                          says(rollout, "that deployd did not make for this rollout"));
        const bool bad = stage_.fate(rollout.commit) != Fate::good;
        const bool no_room = says(rollout, "memory.keep_free");
        if (!bad && !was_ill(rollout) && !pruned && !lost && !no_room && !says(rollout, "injected"))
          watch_.broken(phase + " (without a cause)");
        break;
      }
      case Phase::superseded: {
        const bool newer = std::any_of(rollouts_.begin(), rollouts_.end(), [&](const auto& other) {
          return other.service == rollout.service && other.id > rollout.id;
        });
        if (!newer) watch_.broken(phase + " (by nothing)");
        break;
      }
      case Phase::cancelled:
        if (!dependency_failed(rollout) && !says(rollout, "cancelled by") &&
            !says(rollout, "taken back with deployctl rollback to"))
          watch_.broken(phase + " (without a cause)");
        break;
      case Phase::succeeded:
        if (stage_.fate(rollout.commit) == Fate::dies_in_traffic && baked(rollout))
          watch_.broken(phase + " (and its targets died while it baked)");
        break;
      default:
        break;
    }
  }

  bool baked(const domain::Rollout& rollout) const {
    const auto steps = agent_.journal.rollouts.steps(rollout.id);
    return std::any_of(steps.begin(), steps.end(),
                       [](const domain::Step& step) { return step.kind == domain::StepKind::bake; });
  }

  bool dependency_failed(const domain::Rollout& rollout) const {
    return std::any_of(rollouts_.begin(), rollouts_.end(), [&](const auto& other) {
      return other.release == rollout.release && other.service != rollout.service && !domain::is_success(other.phase);
    });
  }

  void check_ends_kept() {
    for (const auto& [id, phase] : watch_.ended()) {
      const auto now = agent_.journal.rollouts.get({id}).phase;
      if (now != phase) {
        watch_.broken("rollout " + std::to_string(id) + " had ended as " + domain::to_string(phase) + " and is now " +
                      domain::to_string(now));
      }
    }
  }

  bool asked_a_person(const std::string& service) const {
    return std::any_of(rollouts_.begin(), rollouts_.end(), [&](const auto& rollout) {
      return rollout.service == service && rollout.phase == Phase::needs_operator &&
             says(rollout, "of this installation");
    });
  }

  /// When its version became live; an earlier one may clear away for longer.
  domain::Time promoted(const domain::Rollout& rollout) const {
    for (const auto& step : agent_.journal.rollouts.steps(rollout.id)) {
      if (step.kind == domain::StepKind::promote && step.finished) return *step.finished;
    }
    return *rollout.finished;
  }

  /// The last rollout that was promoted is what runs.
  void check_newest(const domain::Service& service) {
    const domain::Rollout* newest = nullptr;
    for (const auto& rollout : rollouts_) {
      if (rollout.service != service.name || !went_live(rollout)) continue;
      if (newest == nullptr || std::pair(promoted(rollout), rollout.id) > std::pair(promoted(*newest), newest->id))
        newest = &rollout;
    }
    const auto live = agent_.journal.targets.live(service.name);
    if (newest == nullptr) {
      if (!live.empty()) watch_.broken(service.name + " is live, and no rollout of it succeeded");
      return;
    }
    if (live.empty()) {
      // An older state that is put back in the gap of a recreate: what ran had no traffic, and a person is asked.
      if (!state_lost_ || !asked_a_person(service.name))
        watch_.broken(named(*newest) + " succeeded, and nothing is live");
      return;
    }
    const auto is_newest = [&](const auto& target) { return target.revision == newest->revision; };
    // What an agent without its state finds in traffic stays there, even where an update was half done.
    const bool as_promised = state_lost_ ? std::any_of(live.begin(), live.end(), is_newest)
                                         : std::all_of(live.begin(), live.end(), is_newest);
    if (!as_promised) watch_.broken("what is live of " + service.name + " is not what was rolled out last");
  }

  /// An agent that polls has tried the tip of every branch, whoever told it of that.
  void check_tip(const domain::Service& service) {
    const auto& refs = stage_.world.source.refs;
    const auto tip = service.source.git ? refs.find(service.source.git->url + " main") : refs.end();
    const bool is_polled =
        stage_.world.poll.count() > 0 && tip != refs.end() && !agent_.journal.rollouts.history(service.name, 1).empty();
    if (!is_polled) return;
    const auto& image = service.source.image;
    const bool is_there =
        image.empty() || stage_.world.engine.registry.contains("registry/" + service.name + ":" + tip->second);
    const auto live = agent_.journal.targets.live(service.name);
    const bool is_live = !live.empty() && live.front().revision &&
                         agent_.journal.revisions.get(*live.front().revision).commit == tip->second;
    if (is_there && !is_live && !agent_.journal.rollouts.was_tried(service.name, tip->second))
      watch_.broken("the tip of " + service.name + " was never tried: " + tip->second.substr(0, 7));
  }

  static std::set<std::string> addresses(const std::vector<domain::Target>& targets) {
    std::set<std::string> found;
    for (const auto& target : targets) {
      if (target.port != 0) found.insert(target.address);
    }
    return found;
  }

  void check_routes(const domain::Service& service) {
    std::set<std::string> routed;
    for (const auto& endpoint : stage_.world.proxy.targets(service.name)) routed.insert(endpoint.address);
    if (addresses(agent_.journal.targets.routed(service.name)) != routed) {
      watch_.broken("requests of " + service.name + " do not go where the database says");
    }
    const bool for_a_person = std::any_of(rollouts_.begin(), rollouts_.end(), [&](const auto& rollout) {
      return rollout.service == service.name && rollout.phase == Phase::needs_operator;
    });
    if (for_a_person) return;
    const auto live = agent_.journal.targets.live(service.name);
    if (addresses(live) != routed) watch_.broken("requests of " + service.name + " do not go to what is live");
    if (service.proxy.dns && !live.empty() && !state_lost_) {
      const auto names = stage_.world.engine.names();
      if (std::find(names.begin(), names.end(), service.name) == names.end() ||
          stage_.world.engine.at(service.name).container.id != live.front().container_id) {
        watch_.broken("the name " + service.name + " does not lead to what is live");
      }
    }
    for (const auto& target : live) {
      const auto* container = stage_.at_address(target.address);
      if (container == nullptr || container->container.id != target.container_id) {
        watch_.broken("live target " + target.container_name + " has no container");
      } else if (!stage_.healthy(*container)) {
        watch_.broken("live target " + target.container_name + " is not healthy");
      }
    }
  }

  /// The service's revisions, those that went live last first, by its rollouts: not by what prune wrote down.
  std::vector<domain::RevisionId> last_live(const domain::Service& service) const {
    std::vector<const domain::Rollout*> rollouts;
    for (const auto& rollout : rollouts_) {
      if (rollout.service == service.name && went_live(rollout) && rollout.revision) rollouts.push_back(&rollout);
    }
    std::sort(rollouts.begin(), rollouts.end(), [this](const auto* left, const auto* right) {
      return std::pair(promoted(*left), left->id) > std::pair(promoted(*right), right->id);
    });
    std::vector<domain::RevisionId> revisions;
    for (const auto* rollout : rollouts) {
      if (std::find(revisions.begin(), revisions.end(), *rollout->revision) == revisions.end())
        revisions.push_back(*rollout->revision);
    }
    return revisions;
  }

  void check_rollback_images(const domain::Service& service) {
    const auto revisions = last_live(service);
    for (std::size_t i = 0; i < revisions.size() && i < static_cast<std::size_t>(service.retain); ++i) {
      const auto revision = agent_.journal.revisions.get(revisions[i]);
      const auto& images = stage_.world.engine.all_images();
      const bool there = std::any_of(images.begin(), images.end(), [&](const auto& image) {
        return image.id == revision.image ||
               std::find(image.tags.begin(), image.tags.end(), revision.image) != image.tags.end() ||
               std::find(image.digests.begin(), image.digests.end(), revision.image) != image.digests.end();
      });
      // A state that was put back may hold what was pruned since.
      if (!there && stage_.images_removed_by_hand.empty() && !state_lost_)
        watch_.broken("the image of " + revision.name + ", which is kept for rollback, is gone");
    }
  }

  /// Does somebody have to look at this rollout's leftovers?
  bool needs_operator(const std::string& rollout_id) const {
    return std::any_of(rollouts_.begin(), rollouts_.end(), [&](const auto& rollout) {
      return std::to_string(rollout.id.value) == rollout_id && rollout.phase == Phase::needs_operator;
    });
  }

  void check_containers() {
    std::set<std::string> live;
    for (const auto& target : agent_.journal.targets.present()) {
      const bool stray = state_lost_ && target.state == domain::TargetState::stray;
      if (target.state == domain::TargetState::live || stray) live.insert(target.container_id);
    }
    const bool any_needs = std::any_of(rollouts_.begin(), rollouts_.end(),
                                       [](const auto& rollout) { return rollout.phase == Phase::needs_operator; });
    std::map<std::string, std::string> addresses;
    for (const auto& [id, record] : stage_.world.engine.all()) {
      if (state_lost_ && record.container.labels.contains(domain::labels::hook)) continue;  // it is reported
      for (const auto& endpoint : record.container.networks) {
        if (endpoint.network != "deployctl") continue;
        const auto [other, alone] = addresses.emplace(endpoint.address, record.container.name);
        if (!alone)
          watch_.broken(record.container.name + " and " + other->second + " share the address " + endpoint.address);
      }
      // Whatever a person has to look at, only what has traffic stays.
      if (!Stage::ours(record) || live.contains(id) || (any_needs && watch_.gets_requests(id))) continue;
      watch_.broken("container " + record.container.name + " (" + record.container.state + ") is left over");
    }
    for (const auto& target : agent_.journal.targets.present()) {
      const bool excused = any_needs && watch_.gets_requests(target.container_id);
      if (target.state != domain::TargetState::live && !live.contains(target.container_id) && !excused) {
        watch_.broken("target " + std::to_string(target.id.value) + " is left over, " +
                      domain::to_string(target.state));
      }
    }
  }

  bool is_used(const std::string& image) const {
    const auto& containers = stage_.world.engine.all();
    return std::any_of(containers.begin(), containers.end(),
                       [&](const auto& item) { return item.second.container.image_id == image; });
  }

  void check_images() {
    if (state_lost_) return;  // what the journal does not know is never removed
    std::set<std::string> known;
    for (const auto& revision : agent_.journal.revisions.with_image("")) known.insert(revision.image);
    for (const auto& image : stage_.world.engine.all_images()) {
      const auto label = image.labels.find(domain::labels::instance);
      if (label == image.labels.end() || label->second != "instance-1") continue;
      const bool explained =
          std::any_of(image.tags.begin(), image.tags.end(), [&](const auto& tag) { return known.contains(tag); });
      if (!explained && !is_used(image.id))
        watch_.broken("image " + (image.tags.empty() ? image.id : image.tags.front()) + " is left over");
    }
  }

  tests::Agent& agent_;
  Stage& stage_;
  Watch& watch_;
  const Users& users_;
  bool state_lost_;
  std::vector<domain::Rollout> rollouts_;
};

}  // namespace

void check_settled(tests::Agent& agent, Stage& stage, Watch& watch, const Users& users, bool state_lost) {
  Settled(agent, stage, watch, users, state_lost).check();
}

std::string contents_of(store::Database& database) {
  std::string text;
  for (const auto* table : {"jobs", "releases", "revisions", "rollouts", "targets", "routes", "steps", "events"}) {
    text += std::string(table) + "\n";
    const auto rows =
        database.query(std::string("SELECT * FROM ") + table + " ORDER BY 1, 2", [](SQLite::Statement& row) {
          std::string line;
          for (int i = 0; i < row.getColumnCount(); ++i) line += row.getColumn(i).getString() + "|";
          return line;
        });
    for (const auto& line : rows) text += line + "\n";
  }
  return text;
}

}  // namespace deploy::sim
