// A whole agent between the webhook and the engine, with fakes and virtual time.
#pragma once

#include <boost/asio/io_context.hpp>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "agent/rollout/adoption.hpp"
#include "agent/rollout/config_changes.hpp"
#include "agent/rollout/dispatcher.hpp"
#include "agent/rollout/poller.hpp"
#include "agent/rollout/reconciler.hpp"
#include "agent/store/delivery_inbox.hpp"
#include "tests/fakes/fake_clock.hpp"
#include "tests/fakes/fake_engine.hpp"
#include "tests/fakes/fake_prober.hpp"
#include "tests/fakes/fake_proxy.hpp"
#include "tests/fakes/fake_source.hpp"
#include "tests/fakes/fake_work_tree.hpp"
#include "tests/fakes/temp_dir.hpp"

namespace deploy::tests {

inline domain::Service service_named(const std::string& name, std::vector<std::string> depends_on = {}) {
  domain::Service service;
  service.name = name;
  service.depends_on = std::move(depends_on);
  service.source.git.emplace();
  service.source.git->url = "file:///" + name;
  service.proxy.port = 8000;
  service.proxy.upstream = name;
  service.health.http = "/health";
  service.health.port = 8000;
  return service;
}

inline std::string commit_of(char digit) { return std::string(40, digit); }

/// Settings without variables.
inline rollout::ResolvedSettings as_written(const domain::Service& service) {
  rollout::ResolvedSettings settings;
  settings.container = service.container;
  return settings;
}

/// Services that have all of their settings in their own files.
inline Task<domain::Service> as_configured(domain::Service service) { co_return service; }

/// Nobody changed anything by hand.
inline std::vector<std::string> undrifted(const std::string&) { return {}; }

/// The world outside of the agent, which outlives it.
struct World {
  World() {
    engine.add_image("registry/backend:v1");
    for (const auto* network : {"internal", "deployctl"}) {
      ports::NetworkSpec spec;
      spec.name = network;
      spec.subnet = std::string(network) == "internal" ? "10.1.0.0/22" : "10.2.0.0/22";
      spec.ip_range = std::string(network) == "internal" ? "10.1.2.0/23" : "10.2.2.0/23";
      run_virtual(clock, engine.create_network(spec));
    }
    engine.calls.clear();
    engine.clock = &clock;
    prober.clock = &clock;
    prober.takes = std::chrono::seconds(2);
  }

  TempDir folder;
  FakeClock clock;
  FakeEngine engine;
  FakeSource source;
  FakeProxy proxy;
  FakeProber prober;
  FakeWorkTree work_tree;
  std::optional<domain::ConfigRepo> config_repo;
  std::vector<std::string> own_files_changed;  // of deployd's configuration
  rollout::Resolve resolve;                    // null: settings without variables
  std::vector<domain::Service> services;
  rollout::Complete complete = as_configured;
  ports::Links links;  // of the services to Nginx
  std::int64_t keep_free_bytes = 0;
  rollout::MemoryRule memory;
  int workers_leaving = 32;
  int builds = 1;
  int pulls = 3;
  bool atomic = false;
  std::chrono::milliseconds poll{0};  // between two looks for what no webhook told of; 0: never
};

/// The one container that requests of the service reach, by name. Throws where it is not one.
inline std::string routed_container(World& world, const std::string& service) {
  const auto targets = world.proxy.targets(service);
  if (targets.size() != 1) {
    throw std::logic_error("requests of " + service + " go to " + std::to_string(targets.size()) + " targets");
  }
  for (const auto& name : world.engine.names()) {
    for (const auto& endpoint : world.engine.at(name).container.networks) {
      if (endpoint.network == "deployctl" && endpoint.address == targets[0].address) return name;
    }
  }
  throw std::logic_error("requests of " + service + " go to " + targets[0].address + ", where no container is");
}

/// When the rollout was let in to its service's targets. Throws where it was not.
inline domain::Time let_in_at(rollout::Journal& journal, domain::RolloutId id) {
  for (const auto& step : journal.rollouts.steps(id)) {
    if (!domain::is_source(step.kind) && step.started) return *step.started;
  }
  throw std::logic_error("rollout " + std::to_string(id.value) + " was never let in");
}

/// What an agent sees of the world: the fakes, or what a test puts before them.
struct Ports {
  explicit Ports(World& world)
      : engine(&world.engine), source(&world.source), proxy(&world.proxy), prober(&world.prober) {}
  ports::ContainerEngine* engine;
  ports::SourceMirror* source;
  ports::UpstreamProxy* proxy;
  ports::HealthProber* prober;
};

/// Can end without another step of its coroutines, as a process that is killed does.
class AgentContext : public asio::io_context {
 public:
  /// Destroys every coroutine where it stands. Their destructors run; nothing else does.
  void kill() { asio::execution_context::shutdown(); }
};

/// One life of the agent: from a start to a stop.
struct Agent {
  explicit Agent(World& of) : Agent(of, Ports(of)) {}
  Agent(World& of, Ports through)
      : world(of),
        database(of.folder / "state.db"),
        events(database, [](const domain::Event&) {}),
        log(of.folder / "logs", [] {}),
        journal(database, events, of.clock),
        jobs(database),
        inbox(database, jobs),
        releases(journal, database, of.services, {std::chrono::seconds(5), std::chrono::seconds(60), of.atomic}),
        planner(journal, of.services, of.complete,
                [](const std::set<std::string>& taken) {
                  int last = 10;
                  while (taken.contains("10.2.0." + std::to_string(last))) ++last;
                  return "10.2.0." + std::to_string(last);
                }),
        traffic(context.get_executor(), *through.proxy, journal, of.services),
        effects(context.get_executor(), *through.engine, *through.source, traffic, *through.prober, of.clock, journal,
                log,
                {"instance-1",
                 "key",
                 "internal",
                 "deployctl",
                 {},
                 of.keep_free_bytes,
                 of.memory,
                 of.workers_leaving,
                 of.folder.path(),
                 of.folder / "waiting-ports.json",
                 of.links},
                resolver(of), {of.builds, of.pulls}),
        runner(planner, effects, journal, of.clock, std::chrono::minutes(2)),
        dispatcher(context.get_executor(), journal, releases, runner, of.clock, of.services, 2,
                   [this](const std::string& complaint) { complaints.push_back(complaint); }),
        adoption(*through.engine, *through.prober, journal, traffic, of.services, "instance-1", "deployctl"),
        sweep(*through.engine, traffic, of.clock, journal, "instance-1",
              {*through.engine, journal, {of.folder / "waiting-ports.json", "deployctl", of.links}}),
        reconciler(context.get_executor(), *through.engine, *through.prober, of.clock, journal, traffic, sweep,
                   "instance-1", "deployctl", "nginx", [this](const std::string& message) { said.push_back(message); }),
        previews(journal, of.services, of.complete, resolver(of), "key", undrifted),
        configs(config_changes(*through.source)),
        poller(
            {*through.engine, *through.source, nullptr, configs.get()}, of.clock, journal, database, of.services,
            of.poll, [this] { dispatcher.wake(); }, [](const std::string&) {}, [](const std::string&) {}) {}

  /// A push of each of these services, all stored at the same moment.
  void push(const std::vector<std::string>& names, char commit) {
    domain::Delivery delivery;
    delivery.event = "push";
    delivery.repo = "o/r";
    delivery.body_sha256 = std::to_string(++deliveries) + commit;
    for (const auto& name : names) delivery.changes.push_back({name, commit_of(commit), "main", ""});
    inbox.store(delivery, world.clock.now());
  }

  /// A push to the config repo.
  void push_configuration(char commit) {
    domain::Delivery delivery;
    delivery.event = "push";
    delivery.repo = "you/infra";
    delivery.body_sha256 = "config " + std::to_string(++deliveries);
    delivery.config_commit = commit_of(commit);
    world.source.refs["file:///infra main"] = commit_of(commit);
    inbox.store(delivery, world.clock.now());
    if (configs) configs->wake();
  }

  void roll_back(const std::string& service, const std::string& revision) {
    store::Job job;
    job.kind = domain::RolloutKind::rollback;
    job.service = service;
    job.revision = revision;
    job.cause = "a test";
    releases.plan_now({job});
  }

  /// Begins to work, as deployd does when the engine has answered.
  void start() {
    ended_ = false;
    passes_before_ = reconciler.passes();
    asio::co_spawn(context, serve(),
                   asio::bind_cancellation_slot(stop_signal.slot(), [this](std::exception_ptr) { ended_ = true; }));
  }
  bool ended() const noexcept { return ended_; }
  /// Nothing is left to do.
  bool idle() {
    return reconciler.passes() > passes_before_ && reconciler.in_order() && journal.rollouts.unfinished().empty() &&
           jobs.waiting().empty() && journal.configs.unfinished().empty();
  }

  /// Runs until nothing is left to do, or for `most` of virtual time, or until stop() was called; then stops the agent.
  void work(std::chrono::seconds most = std::chrono::hours(1)) {
    start();
    const auto end = world.clock.elapsed() + most;
    while (!ended_ && world.clock.elapsed() < end) {
      context.restart();
      if (context.poll() > 0) continue;
      if (idle() || !world.clock.advance_to_next(end)) break;
    }
    stop();
    context.restart();
    context.run();
  }

  void stop() { stop_signal.emit(asio::cancellation_type::terminal); }

  /// "llm succeeded, backend rolled_back", in order of their ends.
  std::string outcomes() {
    auto rollouts = journal.rollouts.history("", 100);
    std::sort(rollouts.begin(), rollouts.end(), [](const auto& left, const auto& right) {
      return std::pair(left.finished, left.id) < std::pair(right.finished, right.id);
    });
    std::string text;
    for (const auto& rollout : rollouts) {
      text += (text.empty() ? "" : ", ") + rollout.service + " " + domain::to_string(rollout.phase);
    }
    return text;
  }

  domain::Rollout last() { return journal.rollouts.history("", 1).front(); }

  World& world;
  AgentContext context;
  store::Database database;
  store::EventLog events;
  store::RolloutLog log;
  rollout::Journal journal;
  store::JobQueue jobs;
  store::DeliveryInbox inbox;
  rollout::ReleasePlanner releases;
  rollout::Planner planner;
  rollout::Traffic traffic;
  rollout::StepEffects effects;
  rollout::Runner runner;
  rollout::Dispatcher dispatcher;
  rollout::Adoption adoption;
  rollout::Sweep sweep;
  rollout::Reconciler reconciler;
  rollout::Previews previews;
  std::unique_ptr<rollout::ConfigChanges> configs;  // null: there is no config_repo
  rollout::Poller poller;
  asio::cancellation_signal stop_signal;
  std::vector<std::string> complaints;
  std::vector<std::string> said;  // by the reconciler
  int deliveries = 0;

 private:
  /// As daemon/app.cpp: what is live is looked after beside the rollouts.
  Task<void> serve() {
    TaskGroup beside(context.get_executor(), [this](const std::string& name, std::exception_ptr cause) {
      complaints.push_back(name + ": " + message_of(cause));
    });
    std::exception_ptr stopped;
    try {
      co_await adopt();
      if (configs) beside.spawn("config changes", configs->run());
      beside.spawn("reconciling", reconciler.run());
      if (world.poll.count() > 0) beside.spawn("polling", poller.run());
      co_await dispatcher.run();
    } catch (...) {
      stopped = std::current_exception();
    }
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    beside.cancel();
    co_await beside.wait();
    std::rethrow_exception(stopped);
  }

  Task<void> adopt() {
    for (std::chrono::milliseconds pause{1000};;
         pause = std::min<std::chrono::milliseconds>(pause * 2, std::chrono::seconds(10))) {
      bool failed = false;
      try {
        if (configs) co_await configs->recover();
        co_await adoption.run();
      } catch (const Error&) {
        failed = true;
      }
      if (!failed) co_return;
      co_await world.clock.sleep_for(pause);
    }
  }

  static rollout::Resolve resolver(const World& of) { return of.resolve ? of.resolve : as_written; }

  std::unique_ptr<rollout::ConfigChanges> config_changes(ports::SourceMirror& source) {
    if (!world.config_repo) return nullptr;
    const rollout::ConfigPorts ports{source, world.work_tree, traffic, world.clock};
    return std::make_unique<rollout::ConfigChanges>(
        context.get_executor(), *world.config_repo, ports, journal, database, previews, std::chrono::minutes(2),
        [this] { return world.own_files_changed; }, [this] { dispatcher.wake(); },
        [this](const std::string& complaint) { complaints.push_back(complaint); });
  }

  bool ended_ = false;
  int passes_before_ = 0;  // of the reconciler, when this agent began to work
};

}  // namespace deploy::tests
