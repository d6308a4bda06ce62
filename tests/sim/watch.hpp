// The promises, checked while they can be broken: at each effect and each commit. The first one broken is kept.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/sim/boundary.hpp"
#include "tests/sim/stage.hpp"

namespace deploy::sim {

class Watch {
 public:
  Watch(Stage& stage, Boundary& boundary, Trace& trace)
      : stage_(stage), boundary_(boundary), trace_(trace), foreign_(stage.foreign_things()) {}

  /// The engine is about to do this to a container or an image, by id or name.
  void before_effect(const std::string& kind, const std::string& subject);
  void after_effect(const std::string& kind, const std::string& subject);
  /// What happens to it next was asked for by an agent whose state was not lost yet.
  void known_to_its_agent(const std::string& subject) {
    if (const auto* container = find(subject)) strangers_.erase(container->container.id);
  }
  void proved(const std::string& container_id) {
    proved_.insert(container_id);
    doubted_.erase(container_id);
  }
  /// A probe was made to say so, wrongly: the agent may take it out of traffic.
  void found_unhealthy(const std::string& container_id) { doubted_.insert(container_id); }
  void after_apply(const std::vector<ports::Route>& old_routes);
  void after_commit(tests::Agent& agent);

  /// Something from outside happened to a target of the service: what is under way cannot keep it healthy.
  void disturbed(const std::string& service);
  bool was_disturbed(const std::string& service) const { return disturbed_.contains(service); }
  /// The state folder was lost, or an older one was put back.
  void forget();
  /// An agent was made and has not begun to work.
  void begins(tests::Agent& agent);
  bool gets_requests(const std::string& container_id) const;

  void broken(const std::string& promise);
  const std::optional<std::string>& violation() const noexcept { return violation_; }

  const std::string& foreign_at_first() const noexcept { return foreign_; }
  /// The phases in which rollouts were seen to end.
  const std::map<std::int64_t, domain::Phase>& ended() const noexcept { return ended_; }

 private:
  struct UnderWay {
    std::string service;
    int healthy_before;
    int may_miss;                         // of those, while it is under way
    std::set<std::string> routed_before;  // ids of containers: undo gives them their traffic back, however they are
    bool disturbed = false;
  };

  const Stage::Record* find(const std::string& id_or_name) const;
  std::optional<std::string> routed_for(const Stage::Record& container) const;
  int healthy_routed(const std::string& service) const;
  std::set<std::string> routed_containers(const std::string& service) const;
  bool had_traffic(const std::string& service, const std::string& container_id) const;
  bool doubted(const std::string& service) const;
  void check_leaving(const std::string& kind, const Stage::Record& container);
  void check_enough_healthy(const std::string& after);
  void check_image(const std::string& reference);
  void check_start(tests::Agent& agent, const domain::Rollout& rollout);
  void check_undone(tests::Agent& agent, const domain::Rollout& rollout);

  Stage& stage_;
  Boundary& boundary_;
  Trace& trace_;
  std::string foreign_;
  bool forgot_ = false;          // the state was lost once
  bool state_replaced_ = false;  // and no agent has seen it yet
  // Of this installation, and not known to the state that was put in the place of a lost one.
  std::set<std::string> strangers_;
  std::optional<std::string> violation_;
  std::set<std::string> proved_;
  std::set<std::string> doubted_;
  std::map<std::int64_t, UnderWay> under_way_;
  std::set<std::int64_t> preparing_;
  std::map<std::int64_t, domain::Phase> ended_;
  std::set<std::string> disturbed_;
};

}  // namespace deploy::sim
