// The world of one seed: services, commits and what becomes of them, foreign things, connections, and what is healthy.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/agent_world/world.hpp"
#include "tests/sim/random.hpp"

namespace deploy::sim {

/// What becomes of a commit, decided when it is made.
enum class Fate { good, does_not_build, never_healthy, exits, dies_in_traffic };

class Stage {
 public:
  using Duration = tests::FakeClock::Duration;
  using Record = tests::FakeEngine::Record;

  /// `polling` decides whether this agent polls, so that the seeds of those that do not live as they did.
  Stage(Random random, Random polling);

  tests::World world;

  /// The branch of the service moves on. Returns the commit's id.
  std::string new_commit(const std::string& service);
  /// Changes the configuration as a person does before a restart.
  void reconfigure();
  Fate fate(const std::string& commit) const;
  Fate fate(const Record& container) const;

  // What happens to containers by itself.
  void sicken(const std::string& container_id) { sick_.insert(container_id); }
  void heal(const std::string& container_id) { sick_.erase(container_id); }
  /// It never answers again, whoever starts it.
  void die(const std::string& container_id) { dead_.insert(container_id); }
  /// It ended and was started again by the engine, or by a person. Throws Error where it cannot be.
  void start_again(const std::string& container_id);
  /// Nginx's container was made anew: it has its files, and not our network.
  bool nginx_connected = true;
  /// By hand, whatever they were for.
  std::set<std::string> images_removed_by_hand;

  /// Will it answer no more once it has been healthy for a moment?
  bool dies_in_traffic(const std::string& container_id) const;
  const std::string& service_of(const std::string& container_id) const;
  /// Does it answer a probe now?
  bool healthy(const Record& container) const;
  /// The container with this address of the routing network; null where there is none.
  const Record* at_address(const std::string& address) const;
  const domain::Service& service(const std::string& name) const;
  /// All that the service depends on.
  std::set<std::string> needed_by(const std::string& name) const;
  /// The fewest replicas that the service was ever configured with.
  int least_replicas(const std::string& service) const { return least_replicas_.at(service); }

  /// Nobody sends the container new requests from now on; what is under way takes its time.
  void unroute(const std::string& container_id);
  void route(const std::string& container_id) { unrouted_.erase(container_id); }
  /// When it lost its traffic; nullopt: it has it, or never had any.
  std::optional<Duration> unrouted_since(const std::string& container_id) const;
  bool busy(const std::string& container_id) const;
  /// Is there a worker of Nginx left from when it had its traffic?
  bool known_to_workers(const std::string& container_id) const;
  /// When no worker of an earlier configuration is left.
  Duration workers_retired_at() const noexcept { return workers_retired_at_; }

  /// Images that the agent built or pulled.
  std::set<std::string> own_images;
  static bool ours(const Record& container);
  /// What of the world is not the agent's, as text, to be compared.
  std::string foreign_things() const;
  /// What is the agent's, in the same form.
  std::string own_things() const;

 private:
  struct Unrouted {
    Duration since;
    Duration busy_until;
    Duration workers_until;
  };

  std::string things(bool of_agent) const;
  void add_services();
  void add_foreign_things();
  void add_foreign_container(const std::string& name, const std::string& image, ports::Labels labels, bool started);

  Random random_;
  std::map<std::string, Fate> fates_;  // by the first seven digits
  int commits_ = 0;
  int reconfigurations_ = 0;
  std::map<std::string, int> least_replicas_;
  std::map<std::string, Unrouted> unrouted_;
  std::set<std::string> sick_;
  std::set<std::string> dead_;
  Duration workers_retired_at_{0};
};

}  // namespace deploy::sim
