// What another state folder left: containers that carry our labels and are not in the journal. A container is written
// down before it is made, so the state was lost, or an older one was put back. Such a container is never removed: it is
// taken up again, or reported.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "agent/base/async.hpp"
#include "agent/domain/service.hpp"
#include "agent/ports/container_engine.hpp"
#include "agent/ports/health_prober.hpp"
#include "agent/rollout/journal.hpp"
#include "agent/rollout/traffic.hpp"

namespace deploy::rollout {

class Adoption {
 public:
  Adoption(ports::ContainerEngine& engine, ports::HealthProber& prober, Journal& journal, Traffic& traffic,
           const std::vector<domain::Service>& services, std::string instance, std::string routing_network)
      : engine_(engine),
        prober_(prober),
        journal_(journal),
        traffic_(traffic),
        services_(services),
        instance_(std::move(instance)),
        routing_network_(std::move(routing_network)) {}

  /// At start, before anything is routed. A state is known to be older, too, where upstream files name targets that its
  /// rollouts have not switched to. Such containers become live again where they get the traffic (or, where no
  /// upstream file tells, are the newest healthy ones), as a rollout that succeeded; the others are written down as
  /// strays, with a rollout that needs a person. Later rollouts get higher numbers than theirs, and rollouts that were
  /// under way in such a state are ended for a person to look at.
  Task<void> run();

 private:
  struct Stranger {
    ports::Container container;
    std::string service;
    std::string revision;
    std::int64_t rollout = 0;
    std::string address;         // on the routing network; empty: not connected
    std::uint16_t port = 0;      // at which it has the traffic; 0: it has none
    std::string image;           // what it can be created from again
    bool image_is_ours = false;  // we built it
    bool healthy = false;        // looked at only where no upstream file tells who had the traffic
  };
  using Strangers = std::vector<Stranger>;

  bool is_older(const Traffic::Endpoints& routed);
  Task<void> distrust();
  Task<std::map<std::string, Strangers>> strangers();
  const domain::Service* configured(const std::string& service) const;
  Task<bool> healthy(Stranger stranger);
  Task<Stranger> describe(ports::Container container);
  void take_up(const std::string& service, Strangers found, const Traffic::Endpoints& routed);
  void make_live(const domain::Service& service, const Strangers& containers, const Traffic::Endpoints& routed);
  void report(const std::string& service, const Strangers& containers);
  domain::Rollout add_rollout(const std::string& service, domain::Phase phase, const std::string& reason);
  domain::TargetId add_target(const domain::Rollout& rollout, int slot, const Stranger& found,
                              domain::TargetState state);
  domain::RevisionId revision_of(const domain::Service& service, const Stranger& found);

  ports::ContainerEngine& engine_;
  ports::HealthProber& prober_;
  Journal& journal_;
  Traffic& traffic_;
  const std::vector<domain::Service>& services_;
  std::string instance_;
  std::string routing_network_;
};

}  // namespace deploy::rollout
