// Containers that ran before deployd did, and that `deployctl init` wrote down by their ids: each becomes its service's
// first revision, so that its requests go on to it until the first rollout replaces it like any other. Nothing in such a
// container is changed but that it joins the routing network.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/async.hpp"
#include "agent/domain/service.hpp"
#include "agent/ports/container_engine.hpp"
#include "agent/rollout/journal.hpp"

namespace deploy::rollout {

struct ContainerBefore {
  std::string service;
  std::string container;  // its whole id: another one of the same name is not meant
  bool operator==(const ContainerBefore&) const = default;
};

/// Reads `deployctl init`'s list, JSON: [{"service": "backend", "container": "<id>"}]. Throws Error(invalid) that names
/// `file`.
std::vector<ContainerBefore> parse_containers_before(const std::string& file, std::string_view text);

/// The cause of the rollouts by which they are live: what brought them was no rollout.
inline constexpr auto taken_up_cause = "it ran before deployd did, and was taken up as it was";

class TakeUp {
 public:
  using NextAddress = std::function<std::string(const std::set<std::string>& taken)>;
  using Say = std::function<void(const std::string&)>;

  TakeUp(ports::ContainerEngine& engine, Journal& journal, const std::vector<domain::Service>& services,
         std::string routing_network, NextAddress next_address, Say say)
      : engine_(engine),
        journal_(journal),
        services_(services),
        routing_network_(std::move(routing_network)),
        next_address_(std::move(next_address)),
        say_(std::move(say)) {}

  /// At start, before anything is routed. What has had a rollout already, or does not run any more, is passed over.
  /// Throws Error where a container cannot join the routing network: routing without it would take its requests away.
  Task<void> run(std::vector<ContainerBefore> wanted);

 private:
  Task<void> take(domain::Service service, ports::Container container);
  Task<std::string> join(ports::Container container);
  Task<domain::Revision> revision_of(domain::Service service, ports::Container container);

  ports::ContainerEngine& engine_;
  Journal& journal_;
  const std::vector<domain::Service>& services_;
  std::string routing_network_;
  NextAddress next_address_;
  Say say_;
};

}  // namespace deploy::rollout
