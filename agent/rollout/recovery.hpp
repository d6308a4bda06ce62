// What is on the engine beside what the journal knows: removes what belongs to nothing any more, and takes up again, or
// reports, what another state folder left. Unfinished rollouts are not its business: the runner carries them on.
//
// Every container and image that we make carries our labels, and is written down before it is made. So one that the
// journal knows and that nothing needs is an orphan (a clean-up that failed, a crash between two steps), and one that
// the journal does not know was made with another state folder: the state was lost, or an older one was put back. Such
// a one is never removed.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/base/async.hpp"
#include "agent/domain/service.hpp"
#include "agent/ports/container_engine.hpp"
#include "agent/ports/health_prober.hpp"
#include "agent/ports/upstream_proxy.hpp"
#include "agent/rollout/journal.hpp"

namespace deploy::rollout {

class Recovery {
 public:
  struct Identity {
    std::string instance;
    std::string routing_network;
  };

  Recovery(ports::ContainerEngine& engine, ports::UpstreamProxy& proxy, ports::HealthProber& prober, Journal& journal,
           const std::vector<domain::Service>& services, Identity identity)
      : engine_(engine),
        proxy_(proxy),
        prober_(prober),
        journal_(journal),
        services_(services),
        identity_(std::move(identity)) {}

  /// At start, before anything is routed: containers that carry our label and are not in the journal become live again
  /// where they get the traffic (or, where no upstream file tells, are the newest healthy ones), as a rollout that
  /// succeeded; the others are written down as strays, with a rollout that needs a person.
  Task<void> adopt();

  /// Removes our containers and images that belong to no live revision and no unfinished rollout; never what an
  /// upstream file names, what the journal does not know, or what is not ours. Returns what it removed, in words.
  Task<std::vector<std::string>> sweep();

 private:
  /// A container of ours that the journal does not know.
  struct Stranger {
    ports::Container container;
    std::string service;
    std::string revision;
    std::int64_t rollout = 0;
    std::string address;         // on the routing network; empty: not connected
    std::string image;           // what it can be created from again
    bool image_is_ours = false;  // we built it
    bool healthy = false;        // looked at only where no upstream file tells who had the traffic
  };
  using Strangers = std::vector<Stranger>;

  std::optional<domain::Target> known(const ports::Container& container);
  Task<std::map<std::string, Strangers>> strangers();
  const domain::Service* configured(const std::string& service) const;
  Task<bool> healthy(Stranger stranger);
  Task<Stranger> describe(ports::Container container);
  Task<std::set<std::string>> routed_addresses();
  Task<void> sweep_containers(std::set<std::string> routed, std::vector<std::string>* removed);
  Task<void> sweep_images(std::vector<std::string>* removed);
  Task<void> sweep_pulls(std::vector<std::string>* removed);
  void take_up(const std::string& service, const Strangers& found, const std::set<std::string>& routed);
  void make_live(const domain::Service& service, const Strangers& containers, const std::set<std::string>& routed);
  void report(const std::string& service, const Strangers& containers);
  domain::Rollout add_rollout(const std::string& service, domain::Phase phase, const std::string& reason);
  domain::TargetId add_target(const domain::Rollout& rollout, int slot, const Stranger& found,
                              domain::TargetState state);
  domain::RevisionId revision_of(const domain::Service& service, const Stranger& found);

  ports::ContainerEngine& engine_;
  ports::UpstreamProxy& proxy_;
  ports::HealthProber& prober_;
  Journal& journal_;
  const std::vector<domain::Service>& services_;
  Identity identity_;
};

}  // namespace deploy::rollout
