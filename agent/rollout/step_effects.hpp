// What each kind of step does, and how it is undone. Every effect first observes and then acts, so that it can be
// repeated after a crash at any point:
//
// clang-format off
//   kind     effect                                      observed by                     undone by
//   fetch    mirrors brought up to date, commits         the mirrors                     nothing to undo
//            resolved
//   build    image built; revision stored before         the engine's build cache        image removed if it never was live
//   pull     image pulled and pinned by its digest       the engine's image              image removed if it never was live
//   image    the image of a stored revision is there,    the engine's image              nothing to undo
//            pulled or built again where it was removed
//   before   a hook runs: in a container of its own,     name, labels, exit code         container removed; what it
//            or in one of the users'                     nothing: it runs again          did to data stays
//   create   containers on both networks                 name and labels                 containers removed
//   start    containers run                              the engine (started: fine)      drained and stopped
//   probe    proved healthy; Nginx tested meanwhile      asked again                     nothing to undo
//   verify   a hook runs in a new target                 nothing: it runs again          nothing to undo
//   switch   Nginx routes to these targets, proved;      files, and the proof again;     switched back, proved
//            with `route: dns` the first has the name    the engine's names
//   after    a hook asks through the proxy, or runs      nothing: it runs again          nothing to undo
//            in a new target
//   bake     the new targets stay healthy in traffic,    watched anew                    nothing to undo
//            the old ones run on without it
//   promote  the revision is live from here on           the database alone              never: the point of no return
//   drain    what is under way finishes                  connections counted             nothing to undo
//   stop     old containers stopped, but for those that  the engine (stopped: fine)      started and proved healthy
//            are left running
//   remove   old containers removed; those that are      the engine (gone: fine)         never: after promote
//            left running give their address back
//   prune    images beyond `retain` removed              the engine (gone: fine)         never: after promote
// clang-format on
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/base/async.hpp"
#include "agent/ports/clock.hpp"
#include "agent/ports/container_engine.hpp"
#include "agent/ports/health_prober.hpp"
#include "agent/ports/source_mirror.hpp"
#include "agent/rollout/journal.hpp"
#include "agent/rollout/left_running.hpp"
#include "agent/rollout/naming.hpp"
#include "agent/rollout/traffic.hpp"
#include "agent/rollout/work.hpp"
#include "agent/store/rollout_log.hpp"

namespace deploy::rollout {

/// Room for another container on the host.
struct MemoryRule {
  std::function<std::optional<std::int64_t>()> available;  // bytes; nullopt: not known
  std::int64_t keep_free_bytes = 0;
  bool waits = true;  // for other rollouts to end
};

/// Where containers are made.
struct Site {
  std::string instance;         // of this installation: the label's value
  std::string key;              // of config_hash
  std::string network;          // the users' shared network
  std::string routing_network;  // ours
  std::filesystem::path state;  // folder of the git mirrors; empty: its space is not looked at
  std::int64_t keep_free_bytes = 0;
  MemoryRule memory;
  int workers_leaving = 32;             // beyond so many workers of Nginx that are shutting down, a switch waits
  std::filesystem::path saved;          // folder below which hooks save what they write
  std::filesystem::path waiting_ports;  // the list of LeftRunning
  ports::Links links = {};  // services that are called through Nginx, to Nginx; empty where it runs in no container
};

/// How many at a time.
struct SourceLimits {
  int builds = 1;
  int pulls = 3;  // and fetches
};

/// What came of an effect that worked. `record` runs in the transaction that writes the step's success.
struct Outcome {
  std::string detail;
  std::function<void()> record = [] {};
  bool live_already = false;  // the wanted revision is live: nothing is left to do
};

/// How long a step waits for room: for memory, or for workers of Nginx to leave.
constexpr std::chrono::minutes room_deadline{10};
/// How many of the last lines of a container or a build show why a rollout failed.
constexpr int shown_log_lines = 20;

class StepEffects {
 public:
  StepEffects(asio::any_io_executor executor, ports::ContainerEngine& engine, ports::SourceMirror& source,
              Traffic& traffic, ports::HealthProber& prober, ports::Clock& clock, Journal& journal,
              store::RolloutLog& log, Site site, Resolve resolve, SourceLimits limits);

  /// Throws Error when it did not work; the lines that show why are then in work.rollout.log.
  Task<Outcome> perform(Work& work, domain::Step step);
  Task<Outcome> undo(Work& work, domain::Step step);

 private:
  Task<Outcome> fetch(Work& work);
  Task<Outcome> build(Work& work);
  Task<Outcome> pull(Work& work);
  Task<Outcome> find_image(Work& work);
  Task<void> update_mirror(Work& work, domain::GitSource git);
  domain::Commits known_others(const Work& work);
  Task<domain::Commits> tips_of_others(Work& work);
  Task<ports::Image> pull_image(Work& work, std::string reference);
  Task<Outcome> create(Work& work, domain::Step step);
  Task<Outcome> start(Work& work, domain::Step step);
  Task<Outcome> probe(Work& work, domain::Step step);
  Task<Outcome> bake(Work& work, domain::Step step);
  Task<Outcome> switch_forward(Work& work, domain::Step step);
  Task<Outcome> switch_to(Work& work, std::vector<domain::TargetId> targets);
  Task<void> check_route(Work& work);
  Task<std::optional<domain::Target>> name_holder(std::string service);
  Task<std::string> move_name(std::string service, domain::TargetId to);
  std::string own_name(const domain::Target& target);
  void record_names(const std::string& service, domain::TargetId holder);
  Outcome promote(Work& work, const domain::Step& step);
  Task<Outcome> drain(Work& work, std::vector<domain::TargetId> targets);
  Task<Outcome> stop(Work& work, domain::Step step);
  Task<Outcome> remove(Work& work, domain::Step step);
  std::vector<std::uint16_t> ports_left_to(const Work& work, const domain::Target& target);
  Task<Outcome> prune(Work& work);

  std::size_t nth_of_kind(const domain::Step& step);
  std::string one_off_name(const Work& work, const domain::Step& step);
  ports::Labels one_off_labels(const Work& work, const domain::Step& step);
  Task<Outcome> hook_before(Work& work, domain::Step step);
  Task<Outcome> hook_verify(Work& work, domain::Step step);
  Task<Outcome> hook_after(Work& work, domain::Step step);
  Task<Outcome> undo_before(Work& work, domain::Step step);
  Task<std::string> run_one_off(Work& work, domain::Step step, domain::Hook hook);
  Task<int> exit_code_of(std::string container_id, ports::OnLog log);
  Task<std::string> read_log(std::string container_id, bool follow, ports::OnLog on_line);
  Task<int> await_end(std::string container_id);
  Task<ports::ExecResult> run_once(const Work& work, std::string container_id, domain::Hook hook, std::string container,
                                   ports::OnData on_output);
  Task<std::string> run_inside(Work& work, domain::Hook hook);
  Task<std::string> run_in_target(Work& work, domain::Hook hook, domain::TargetId target);
  Task<void> remove_one_off(Work& work, domain::Step step);
  Task<void> remove_one_offs(Work& work);

  Task<Outcome> undo_image(Work& work);
  Task<Outcome> undo_start(Work& work, domain::Step step);
  Task<Outcome> undo_stop(Work& work, domain::Step step);

  Task<std::optional<ports::Container>> find_own(std::string name, ports::Labels own);
  ports::Labels labels_of(const Work& work);
  Task<std::string> make_container(ports::ContainerSpec spec, ports::Labels own, std::string address);
  Task<void> prove_healthy(Work& work, domain::Target target, domain::HealthCheck check);
  Task<void> run_pre_stop(Work& work, domain::Target target, domain::Service service);
  Task<void> prove_old(Work& work, domain::Target target);
  Task<void> start_again(Work& work, std::vector<domain::TargetId> ids);
  Task<void> prove_all(Work& work, const domain::Step& step, const domain::HealthCheck& check);
  Task<void> remove_images(std::vector<domain::Revision> dropped);
  domain::Service service_of(const Work& work, const domain::Target& target);
  Task<bool> is_live(Work& work, std::string revision);
  Task<bool> same_below(domain::GitSource git, std::vector<std::string> paths, std::string before, std::string after);
  Task<std::string> live_with_same_files(Work& work, std::string hash, std::string commit, domain::Commits others);
  std::string live_with_same_image(const Work& work, const domain::Revision& wanted);
  Task<int> drain_one(domain::Target target, std::chrono::steady_clock::time_point deadline);
  Task<void> check_disk(std::string doing);
  Task<void> await_memory(Work& work);
  Task<bool> await_workers(Work& work);
  bool others_under_way(const Work& work);
  bool drains_beside(const Work& work);
  Task<std::shared_ptr<ports::SourceTree>> context_of(Work& work, std::string commit);
  Task<void> make_image(Work& work, domain::Revision revision, std::shared_ptr<ports::SourceTree> context);
  void intend(Work& work, domain::Revision revision);
  std::vector<domain::Target> load(const std::vector<domain::TargetId>& ids);
  ports::OnLog logger(Work& work);

  ports::ContainerEngine& engine_;
  ports::SourceMirror& source_;
  Traffic& traffic_;
  ports::HealthProber& prober_;
  ports::Clock& clock_;
  Journal& journal_;
  store::RolloutLog& log_;
  Site site_;
  LeftRunning left_running_;
  Resolve resolve_;
  AsyncSemaphore builds_;
  AsyncSemaphore pulls_;
  std::set<domain::RolloutId> short_of_memory_;  // those that wait for others to end
};

}  // namespace deploy::rollout
