// Containers that ran before deployd did, and that `deployctl init` wrote down by their ids: each becomes its service's
// first revision, so that its requests go on to it until the first rollout replaces it like any other. Nothing in such
// a container is changed but that it joins the routing network, and finds the services' names there first: so calls
// between services are switched from the very first rollout on, although the container that is replaced then has its
// service's name on the users' network.
#pragma once

#include <filesystem>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "agent/base/async.hpp"
#include "agent/domain/service.hpp"
#include "agent/ports/container_engine.hpp"
#include "agent/rollout/journal.hpp"
#include "agent/rollout/naming.hpp"
#include "agent/rollout/traffic.hpp"

namespace deploy::rollout {

/// The cause of the rollouts by which they are live: what brought them was no rollout.
inline constexpr auto taken_up_cause = "it ran before deployd did, and was taken up as it was";

class TakeUp {
 public:
  using NextAddress = std::function<std::string(const std::set<std::string>& taken)>;
  using Say = std::function<void(const std::string&)>;
  struct Networks {
    std::string shared;
    std::string routing;
    ports::Links links;  // of Site
    std::string nginx;   // its container
  };

  /// `list` is what `deployctl init` wrote, JSON: [{"service": "backend", "container": "<id>"}]; it need not be there.
  TakeUp(ports::ContainerEngine& engine, Journal& journal, const std::vector<domain::Service>& services,
         Traffic& traffic, Complete complete, std::filesystem::path list, Networks networks, NextAddress next_address,
         Say say)
      : engine_(engine),
        journal_(journal),
        traffic_(traffic),
        services_(services),
        complete_(std::move(complete)),
        list_(std::move(list)),
        networks_(std::move(networks)),
        next_address_(std::move(next_address)),
        say_(std::move(say)) {}

  /// At start, before anything else is routed. What has had a rollout already, or does not run any more, is passed
  /// over. Throws Error where the list cannot be read, a container cannot join the routing network (routing without it
  /// would take its requests away), or Nginx cannot be told of it.
  Task<void> run();

 private:
  struct Entry {
    std::string service;
    std::string container;  // its whole id: another one of the same name is not meant
  };
  std::vector<Entry> entries() const;
  Task<void> take(domain::Service service, ports::Container container);
  Task<std::string> first_address(ports::Container container);
  Task<std::string> join(ports::Container container);
  Task<std::vector<domain::Target>> not_joined();
  Task<void> join_all();
  Task<domain::Revision> revision_of(domain::Service service, ports::Container container);

  ports::ContainerEngine& engine_;
  Journal& journal_;
  Traffic& traffic_;
  const std::vector<domain::Service>& services_;
  Complete complete_;
  std::filesystem::path list_;
  Networks networks_;
  NextAddress next_address_;
  Say say_;
};

}  // namespace deploy::rollout
