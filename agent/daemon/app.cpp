#include "agent/daemon/app.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <optional>

#include "agent/api/routes.hpp"
#include "agent/base/error.hpp"
#include "agent/base/text.hpp"
#include "agent/config/files_read.hpp"
#include "agent/config/variables.hpp"
#include "agent/daemon/compose_services.hpp"
#include "agent/daemon/folders.hpp"
#include "agent/daemon/identity.hpp"
#include "agent/daemon/listening.hpp"
#include "agent/daemon/site_setup.hpp"
#include "agent/daemon/storing_sink.hpp"
#include "agent/daemon/system_clock.hpp"
#include "agent/engine/docker_client.hpp"
#include "agent/health/prober.hpp"
#include "agent/http/server.hpp"
#include "agent/proxy/by_name.hpp"
#include "agent/proxy/nginx.hpp"
#include "agent/rollout/adoption.hpp"
#include "agent/rollout/dispatcher.hpp"
#include "agent/rollout/poller.hpp"
#include "agent/rollout/reconciler.hpp"
#include "agent/rollout/take_up.hpp"
#include "agent/rollout/unconfigured.hpp"
#include "agent/source/git_mirror.hpp"
#include "agent/source/git_work_tree.hpp"
#include "agent/source/github_api.hpp"
#include "agent/source/host_process_runner.hpp"
#include "agent/store/delivery_inbox.hpp"
#include "webhook/receiver.hpp"

namespace deploy::daemon {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int blocking_threads = 2;
constexpr seconds retry_first{1};
constexpr seconds retry_most{10};
constexpr seconds webhook_shutdown_grace{5};
constexpr milliseconds api_shutdown_grace{500};  // followers would stay for ever

rollout::Settle settle_of(const config::ReleaseSettings& release) {
  return {release.settle, release.settle_max, release.atomic};
}

std::unique_ptr<ports::GitHub> github_of(const std::optional<config::GithubSettings>& settings) {
  if (!settings) return nullptr;
  return std::make_unique<source::GithubApi>(settings->api, config::load_token(settings->token));
}

/// For those who read deployd's log and do not wait for deployctl's answers.
void log_end(const domain::Event& event) {
  if (event.kind == "config.ended") {
    const auto level = event.text.starts_with("applied") ? spdlog::level::info : spdlog::level::warn;
    spdlog::log(level, "config change {}", event.text);
  }
  if (event.kind != "rollout.ended") return;
  const bool well = event.text.starts_with("succeeded") || event.text.starts_with("unchanged");
  spdlog::log(well ? spdlog::level::info : spdlog::level::warn, "rollout {} of {} {}; see: deployctl show {}",
              event.rollout.value, event.service, event.text, event.rollout.value);
}

}  // namespace

/// What can be made before the engine has answered.
struct App::Parts {
  Parts(asio::io_context& context, config::Configuration loaded, const std::filesystem::path& file,
        const std::string& program)
      : executor(context.get_executor()),
        configuration(std::move(loaded)),
        files(file, configuration.agent.services),
        take_up_list(file.parent_path() / "take-up.json"),
        services(std::make_shared<const std::vector<domain::Service>>(configuration.services)),
        pool(blocking_threads),
        state(made_private(configuration.agent.state)),
        database(state / "state.db"),
        changed(executor),
        events(database,
               [this](const domain::Event& event) {
                 log_end(event);
                 changed.notify_all();
               }),
        log(state / "logs", [this] { changed.notify_all(); }),
        journal(database, events, clock),
        jobs(database),
        inbox(database, jobs),
        releases(journal, database, *services, settle_of(configuration.agent.release)),
        logins(config::registry_users(configuration.agent), configuration.agent.docker_config, processes),
        engine(configuration.agent.engine, pool, "/proc", &logins),
        compose(processes, configuration),
        mirror({state / "git", program, source::GitMirrorOptions{}.fetch_deadline}, processes, pool),
        work_tree(work_tree_of(configuration.agent.config_repo)),
        github(github_of(configuration.agent.github)),
        prober(engine, clock),
        sink(inbox, clock, [this] { wake(); }),
        queries(journal, *services, configuration.agent.config_repo),
        commands(journal, releases, *services, [this] { wake(); }) {}

  void wake() {
    if (!work) return;
    work->dispatcher.wake();
    if (work->configs) work->configs->wake();
  }

  /// What needs the routing network, and so the engine.
  struct Work {
    Work(Parts& parts, const SiteAddresses& addresses)
        : nginx(parts.nginx_place()),
          proxy(parts.proxy(nginx.get(), addresses)),
          previews(parts.journal, *parts.services, parts.complete(), with_hosts(addresses.service_hosts),
                   addresses.site.key, [this](const std::string& service) { return reconciler.drift_of(service); }),
          planner(parts.journal, *parts.services, parts.complete(),
                  [&parts, routing = addresses.routing](const std::set<std::string>& taken) {
                    return parts.next_address(routing, taken);
                  }),
          traffic(parts.executor, *proxy, parts.journal, *parts.services),
          effects(parts.executor, parts.engine, parts.mirror, traffic, parts.prober, parts.clock, parts.journal,
                  parts.log, addresses.site, with_hosts(addresses.service_hosts),
                  {parts.configuration.agent.limits.builds, parts.configuration.agent.limits.pulls}),
          runner(planner, effects, parts.journal, parts.clock, parts.configuration.agent.limits.retry),
          dispatcher(parts.executor, parts.journal, parts.releases, runner, parts.clock, *parts.services,
                     parts.configuration.agent.limits.rollouts,
                     [](const std::string& complaint) { spdlog::error("{}", complaint); }),
          adoption(parts.engine, parts.prober, parts.journal, traffic, *parts.services, addresses.site.instance,
                   addresses.site.routing_network),
          take_up(
              parts.engine, parts.journal, *parts.services, traffic, parts.complete(), parts.take_up_list,
              {addresses.site.network, addresses.site.routing_network, addresses.site.links, parts.nginx_container()},
              [&parts, routing = addresses.routing](const std::set<std::string>& taken) {
                return parts.next_address(routing, taken);
              },
              [](const std::string& message) { spdlog::info("{}", message); }),
          sweep(parts.engine, traffic, parts.clock, parts.journal, addresses.site.instance,
                {parts.engine,
                 parts.journal,
                 {addresses.site.waiting_ports, addresses.site.routing_network, addresses.site.links}}),
          reconciler(parts.executor, parts.engine, parts.prober, parts.clock, parts.journal, traffic, sweep,
                     addresses.site.instance, addresses.site.routing_network, parts.nginx_container(),
                     [](const std::string& message) { spdlog::warn("{}", message); }),
          configs(parts.config_changes(traffic, previews, [this] { dispatcher.wake(); })),
          poller(
              {parts.engine, parts.mirror, parts.github.get(), configs.get()}, parts.clock, parts.journal,
              parts.database, *parts.services, parts.configuration.agent.poll, [this] { dispatcher.wake(); },
              [](const std::string& message) { spdlog::info("{}", message); },
              [](const std::string& message) { spdlog::warn("{}", message); }) {}

    std::unique_ptr<proxy::NginxPlace> nginx;  // none where there is no proxy
    std::unique_ptr<ports::UpstreamProxy> proxy;
    rollout::Previews previews;
    rollout::Planner planner;
    rollout::Traffic traffic;
    rollout::StepEffects effects;
    rollout::Runner runner;
    rollout::Dispatcher dispatcher;
    rollout::Adoption adoption;
    rollout::TakeUp take_up;
    rollout::Sweep sweep;
    rollout::Reconciler reconciler;
    std::unique_ptr<rollout::ConfigChanges> configs;  // null: this host's configuration is in no repository
    rollout::Poller poller;
  };

  asio::any_io_executor executor;
  config::Configuration configuration;
  config::FilesRead files;
  std::filesystem::path take_up_list;  // of `deployctl init`
  std::shared_ptr<const std::vector<domain::Service>> services;
  SystemClock clock;
  asio::thread_pool pool;
  std::filesystem::path state;
  store::Database database;
  Signal changed;
  store::EventLog events;
  store::RolloutLog log;
  rollout::Journal journal;
  store::JobQueue jobs;
  store::DeliveryInbox inbox;
  rollout::ReleasePlanner releases;
  source::HostProcessRunner processes;
  engine::RegistryLogins logins;
  engine::DockerClient engine;
  ComposeServices compose;
  source::GitMirror mirror;
  std::unique_ptr<ports::WorkTree> work_tree;  // null: there is no config_repo
  std::unique_ptr<ports::GitHub> github;       // null: there is no token to ask it with
  health::Prober prober;
  StoringSink sink;
  api::Queries queries;
  api::Commands commands;
  std::optional<Work> work;
  std::optional<webhook::Receiver> receiver;  // none without a webhook
  std::string waiting_for;                    // why no rollout can start yet; empty: they can

  std::unique_ptr<proxy::NginxPlace> nginx_place();
  std::unique_ptr<ports::UpstreamProxy> proxy(proxy::NginxPlace* place, const SiteAddresses& addresses);
  std::unique_ptr<ports::WorkTree> work_tree_of(const std::optional<domain::ConfigRepo>& config);
  std::unique_ptr<rollout::ConfigChanges> config_changes(rollout::Traffic& traffic, rollout::Previews& previews,
                                                         std::function<void()> on_jobs);
  std::vector<std::string> changed_files() const;
  std::string nginx_container() const;
  rollout::Complete complete();
  std::vector<std::string> notes();
  std::vector<std::string> drift() const;
  rollout::Previews& previews();
  std::string next_address(const proxy::RoutingPlan& routing, const std::set<std::string>& taken);
  Task<void> work_forever();
  Task<void> prepare();
};

App::App(asio::io_context& context, config::Configuration configuration, const std::filesystem::path& file,
         std::string program)
    : parts_(std::make_unique<Parts>(context, std::move(configuration), file, program)) {}

App::~App() { parts_->pool.join(); }

Task<void> App::run() {
  auto& parts = *parts_;
  const auto& agent = parts.configuration.agent;

  if (agent.webhook) {
    std::vector<std::string> secrets;
    for (const auto& source : agent.webhook->secrets) secrets.push_back(config::load_secret(source));
    parts.receiver.emplace(
        secrets, [&parts] { return parts.services; }, parts.sink, agent.config_repo);
  }
  http::Server webhook_server(parts.executor, webhook_limits(), [&](http::Request request) -> Task<http::Response> {
    if (request.path() != agent.webhook->path) throw Error(ErrorKind::not_found, "there is nothing here");
    co_return co_await parts.receiver->receive(std::move(request));
  });
  api::Parts served{parts.executor,
                    parts.journal,
                    parts.events,
                    parts.log,
                    parts.engine,
                    parts.queries,
                    parts.commands,
                    parts.changed,
                    [&parts] { return parts.notes(); },
                    [&parts] { return parts.drift(); },
                    [&parts]() -> rollout::Previews& { return parts.previews(); }};
  const auto router = api::routes(served);
  http::Server api_server(parts.executor, http::Limits{},
                          [&router](http::Request request) { return router.handle(std::move(request)); });

  // Whatever happens from here on, both servers are stopped before this coroutine ends.
  std::exception_ptr stopped;
  try {
    listen_for_commands(api_server, agent.socket);
    if (agent.webhook) listen_for_webhooks(webhook_server, *agent.webhook);
    co_await parts.work_forever();
  } catch (...) {
    stopped = std::current_exception();
  }
  const auto state = co_await asio::this_coro::cancellation_state;
  const bool asked_to_stop = state.cancelled() != asio::cancellation_type::none;
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  co_await webhook_server.stop(webhook_shutdown_grace);
  co_await api_server.stop(api_shutdown_grace);
  if (!asked_to_stop && stopped) std::rethrow_exception(stopped);
}

std::unique_ptr<proxy::NginxPlace> App::Parts::nginx_place() {
  const auto& settings = configuration.agent.nginx;
  if (!settings) return nullptr;
  return proxy::nginx_place(engine, processes, settings->container, settings->pid_file);
}

std::unique_ptr<ports::UpstreamProxy> App::Parts::proxy(proxy::NginxPlace* place, const SiteAddresses& addresses) {
  const auto& site = addresses.site;
  if (place == nullptr) return std::make_unique<proxy::ByName>(engine, site.instance, site.routing_network);
  const auto& settings = *addresses.nginx;
  return std::make_unique<proxy::Nginx>(*place, clock, settings,
                                        proxy::marker_over_http(settings.marker_address(), settings.marker_port));
}

std::unique_ptr<ports::WorkTree> App::Parts::work_tree_of(const std::optional<domain::ConfigRepo>& config) {
  if (!config) return nullptr;
  return std::make_unique<source::GitWorkTree>(*config, mirror.mirror_of(config->git.url), pool);
}

std::unique_ptr<rollout::ConfigChanges> App::Parts::config_changes(rollout::Traffic& traffic,
                                                                   rollout::Previews& previews,
                                                                   std::function<void()> on_jobs) {
  if (!work_tree) return nullptr;
  const auto& agent = configuration.agent;
  const rollout::ConfigPorts ports{mirror, *work_tree, traffic, clock};
  return std::make_unique<rollout::ConfigChanges>(
      executor, *agent.config_repo, ports, journal, database, previews, agent.limits.retry,
      [this] { return changed_files(); }, std::move(on_jobs),
      [](const std::string& complaint) { spdlog::error("config change: {}", complaint); });
}

std::vector<std::string> App::Parts::changed_files() const {
  std::vector<std::string> names;
  for (const auto& file : files.changed()) names.push_back(file.string());
  return names;
}

std::string App::Parts::nginx_container() const {
  return configuration.agent.nginx ? configuration.agent.nginx->container : "";
}

rollout::Complete App::Parts::complete() {
  return [this](domain::Service service) { return compose.complete(std::move(service)); };
}

std::vector<std::string> App::Parts::notes() {
  std::vector<std::string> all;
  if (!waiting_for.empty()) all.push_back(waiting_for);
  if (work && waiting_for.empty()) {
    const auto& problems = work->reconciler.problems();
    all.insert(all.end(), problems.begin(), problems.end());
    const auto missed = work->poller.notes();
    all.insert(all.end(), missed.begin(), missed.end());
  }
  if (receiver && !receiver->note().empty()) all.push_back(receiver->note());
  const auto forgotten = rollout::unconfigured(journal, *services, configuration.agent.services.string());
  all.insert(all.end(), forgotten.begin(), forgotten.end());
  const auto unread = compose.problems();
  all.insert(all.end(), unread.begin(), unread.end());
  std::string changed;
  for (const auto& file : changed_files()) changed += (changed.empty() ? "" : ", ") + file;
  if (!changed.empty()) {
    all.push_back("changed since deployd read it: " + changed +
                  "; check it with `deployctl validate`, then restart deployd: systemctl restart deployd");
  }
  return all;
}

std::vector<std::string> App::Parts::drift() const {
  std::vector<std::string> all;
  if (!work) return all;
  for (const auto& [service, changes] : work->reconciler.drift()) all.insert(all.end(), changes.begin(), changes.end());
  return all;
}

rollout::Previews& App::Parts::previews() {
  if (work) return work->previews;
  throw Error(ErrorKind::unreachable, "no rollout can start yet" + (waiting_for.empty() ? "" : ": " + waiting_for));
}

std::string App::Parts::next_address(const proxy::RoutingPlan& routing, const std::set<std::string>& taken) {
  auto next = routing.next_address(database.meta("last_address").value_or(""), taken);
  database.set_meta("last_address", next);
  return next;
}

Task<void> App::Parts::work_forever() {
  co_await prepare();
  TaskGroup beside(executor, [](const std::string& name, std::exception_ptr cause) {
    spdlog::error("{}: {}", name, message_of(cause));
  });
  beside.spawn("keeping what is live in order", work->reconciler.run());
  beside.spawn("reading Compose's files", compose.look());
  if (work->configs) beside.spawn("config changes", work->configs->run());
  if (configuration.agent.poll > milliseconds::zero()) beside.spawn("polling", work->poller.run());
  std::exception_ptr stopped;
  try {
    co_await work->dispatcher.run();
  } catch (...) {
    stopped = std::current_exception();
  }
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  beside.cancel();
  co_await beside.wait();
  std::rethrow_exception(stopped);
}

/// Webhooks and questions are answered meanwhile; rollouts wait.
Task<void> App::Parts::prepare() {
  for (milliseconds pause = retry_first;; pause = std::min<milliseconds>(pause * 2, retry_most)) {
    std::string problem;
    try {
      if (!work) {
        auto addresses = co_await prepare_site(engine, database, configuration, state);
        addresses.site.waiting_ports = take_up_list.parent_path() / "waiting-ports.json";
        work.emplace(*this, addresses);
      }
      // Before anybody asks Nginx to test what was written half.
      if (work->configs) co_await work->configs->recover();
      co_await work->adoption.run();
      co_await work->take_up.run();
    } catch (const Error& error) {
      problem = error.message();
    }
    if (problem != waiting_for && !problem.empty()) spdlog::error("no rollout can start yet: {}", problem);
    waiting_for = problem;
    if (problem.empty()) break;
    co_await clock.sleep_for(pause);
  }
  spdlog::info("ready: {} services", services->size());
}

}  // namespace deploy::daemon
