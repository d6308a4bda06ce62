#include "agent/rollout/step_effects.hpp"

#include <algorithm>
#include <iterator>

#include "agent/base/error.hpp"
#include "agent/base/text.hpp"
#include "agent/domain/labels.hpp"

namespace deploy::rollout {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds room_poll{1000};

/// In the set for as long as it is in scope.
class Listed {
 public:
  Listed(std::set<domain::RolloutId>& all, domain::RolloutId id) : all_(all), id_(id) { all_.insert(id_); }
  ~Listed() { all_.erase(id_); }
  Listed(const Listed&) = delete;
  Listed& operator=(const Listed&) = delete;

 private:
  std::set<domain::RolloutId>& all_;
  domain::RolloutId id_;
};

}  // namespace

StepEffects::StepEffects(asio::any_io_executor executor, ports::ContainerEngine& engine, ports::SourceMirror& source,
                         Traffic& traffic, ports::HealthProber& prober, ports::Clock& clock, Journal& journal,
                         store::RolloutLog& log, Site site, Resolve resolve, SourceLimits limits)
    : engine_(engine),
      source_(source),
      traffic_(traffic),
      prober_(prober),
      clock_(clock),
      journal_(journal),
      log_(log),
      site_(std::move(site)),
      left_running_(engine, journal, {site_.waiting_ports, site_.routing_network, site_.links}),
      resolve_(std::move(resolve)),
      builds_(executor, limits.builds),
      pulls_(executor, limits.pulls) {}

Task<Outcome> StepEffects::perform(Work& work, domain::Step step) {
  using enum domain::StepKind;
  switch (step.kind) {
    case fetch:
      co_return co_await this->fetch(work);
    case build:
      co_return co_await this->build(work);
    case pull:
      co_return co_await this->pull(work);
    case image:
      co_return co_await find_image(work);
    case before:
      co_return co_await hook_before(work, step);
    case create:
      co_return co_await this->create(work, step);
    case start:
      co_return co_await this->start(work, step);
    case probe:
      co_return co_await this->probe(work, step);
    case verify:
      co_return co_await hook_verify(work, step);
    case switch_traffic:
      co_return co_await switch_forward(work, step);
    case after:
      co_return co_await hook_after(work, step);
    case bake:
      co_return co_await this->bake(work, step);
    case promote:
      co_return this->promote(work, step);
    case drain:
      co_return co_await this->drain(work, step.targets);
    case stop:
      co_return co_await this->stop(work, step);
    case remove:
      co_return co_await this->remove(work, step);
    case prune:
      co_return co_await this->prune(work);
  }
  throw std::logic_error("a step kind without an effect");
}

Task<Outcome> StepEffects::undo(Work& work, domain::Step step) {
  using enum domain::StepKind;
  switch (step.kind) {
    case build:
    case pull:
      co_return co_await undo_image(work);
    case before:
      co_return co_await undo_before(work, step);
    case create:
      co_return co_await this->remove(work, step);
    case start:
      co_return co_await undo_start(work, step);
    case switch_traffic:
      // One that failed cleanly left everything as it was; a name may have moved after Nginx was switched.
      if (step.state == domain::StepState::failed && !work.service.proxy.dns &&
          traffic_.routed(work.service.name) != step.targets) {
        co_return Outcome{};
      }
      co_await start_again(work, step.before);
      co_return co_await switch_to(work, step.before);
    case stop:
      co_return co_await undo_stop(work, step);
    case fetch:
    case image:
    case probe:
    case verify:
    case after:
    case bake:
    case drain:
    case promote:
    case remove:
    case prune:
      break;
  }
  throw std::logic_error("a step without an undo");
}

/// Two versions run beside each other for a while, and the engine's host must not run out of memory for it.
Task<void> StepEffects::await_memory(Work& work) {
  const auto& rule = site_.memory;
  if (rule.keep_free_bytes == 0 || !rule.available) co_return;
  const auto give_up = clock_.steady_now() + room_deadline;
  for (bool told = false;; told = true) {
    const auto available = rule.available();
    if (!available || *available >= rule.keep_free_bytes) co_return;
    const auto low = "only " + human_bytes(static_cast<std::uint64_t>(*available)) +
                     " of memory are available, and a new container needs memory.keep_free, " +
                     human_bytes(static_cast<std::uint64_t>(rule.keep_free_bytes)) + ", to stay free";
    const bool may_wait = rule.waits && others_under_way(work) && clock_.steady_now() < give_up;
    if (!may_wait && !drains_beside(work)) {
      throw Error(ErrorKind::failed, low + "; stop what is not needed, or lower memory.keep_free in agent.yaml");
    }
    if (!told) journal_.tell(work.rollout, "note", low + "; waiting for another rollout to end");
    const Listed waits(short_of_memory_, work.rollout.id);
    co_await clock_.sleep_for(room_poll);
  }
}

/// Its own service's version before the live one still runs, and will be gone once it has drained.
bool StepEffects::drains_beside(const Work& work) {
  const auto unfinished = journal_.rollouts.unfinished();
  return std::any_of(unfinished.begin(), unfinished.end(), [&](const domain::Rollout& other) {
    return other.id != work.rollout.id && other.service == work.service.name && journal_.promoted(other.id);
  });
}

/// Those that wait for memory themselves are not waited for.
bool StepEffects::others_under_way(const Work& work) {
  const auto unfinished = journal_.rollouts.unfinished();
  return std::any_of(unfinished.begin(), unfinished.end(), [&](const domain::Rollout& other) {
    return other.id != work.rollout.id && other.phase != domain::Phase::queued && !journal_.prepares(other) &&
           !short_of_memory_.contains(other.id);
  });
}

Task<Outcome> StepEffects::create(Work& work, domain::Step step) {
  const bool side_by_side = work.service.strategy != domain::StrategyKind::recreate;
  co_await check_route(work);
  if (side_by_side) co_await await_memory(work);
  ports::ContainerSpec spec;
  spec.image = work.revision->image;
  spec.settings = resolve_(work.service).container;
  spec.network.network = site_.network;
  spec.network.aliases = {work.revision->name};
  std::vector<domain::Target> created;
  for (auto& target : load(step.targets)) {
    target.revision = work.revision->id;
    target.container_name = container_name(*work.revision, target);
    spec.name = target.container_name;
    auto own = labels_of(work);
    own[domain::labels::target] = std::to_string(target.id.value);
    target.container_id = co_await make_container(spec, own, target.address);
    created.push_back(target);
  }
  Outcome outcome;
  outcome.detail = created.size() == 1 ? created.front().container_name : counted(created.size(), "container");
  outcome.record = [this, created] {
    for (const auto& target : created) journal_.targets.update(target);
  };
  co_return outcome;
}

/// The container of that name, if it carries these labels. Throws Error(conflict) where it is another one's.
Task<std::optional<ports::Container>> StepEffects::find_own(std::string name, ports::Labels own) {
  auto found = co_await engine_.inspect(name);
  if (found && !std::includes(found->labels.begin(), found->labels.end(), own.begin(), own.end())) {
    throw Error(ErrorKind::conflict, "a container named " + name +
                                         " exists that deployd did not make for this rollout; remove or rename it and "
                                         "roll out again");
  }
  co_return found;
}

ports::Labels StepEffects::labels_of(const Work& work) {
  return {{domain::labels::instance, site_.instance},
          {domain::labels::service, work.service.name},
          {domain::labels::revision, work.revision->name},
          {domain::labels::rollout, std::to_string(work.rollout.id.value)}};
}

/// The container of that name and these labels, made where it is not there, and connected to its networks: to one the
/// engine connects it when it makes it, to the others we do. Another container may have a service's name on the users'
/// networks; calls to the service go through Nginx all the same. `address`: on the routing network; empty: any.
Task<std::string> StepEffects::make_container(ports::ContainerSpec spec, ports::Labels own, std::string address) {
  spec.labels = spec.settings.labels;
  spec.labels.insert(own.begin(), own.end());
  std::string id;
  std::exception_ptr name_taken;
  try {
    id = co_await engine_.create(spec);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::conflict) throw;
    name_taken = std::current_exception();
  }
  // An agent that was killed may have made it, or the engine gone on with its request.
  std::optional<ports::Container> existing;
  if (name_taken) existing = co_await find_own(spec.name, own);
  if (name_taken && !existing) std::rethrow_exception(name_taken);
  if (existing) id = existing->id;
  std::vector<ports::NetworkEndpoint> wanted{{site_.routing_network, address, {}, site_.links}};
  for (const auto& network : spec.settings.networks) {
    if (network != spec.network.network && network != site_.routing_network) wanted.push_back({network, "", {}});
  }
  for (const auto& endpoint : wanted) {
    const bool joined = existing && std::any_of(existing->networks.begin(), existing->networks.end(),
                                                [&](const auto& other) { return other.network == endpoint.network; });
    if (!joined) co_await engine_.connect(id, endpoint);
  }
  co_return id;
}

Task<Outcome> StepEffects::start(Work& work, domain::Step step) {
  for (const auto& target : load(step.targets)) co_await engine_.start(target.container_id);
  (void)work;
  co_return Outcome{};
}

domain::Service StepEffects::service_of(const Work& work, const domain::Target& target) {
  return journal_.stored_config(target).value_or(work.service);
}

Outcome StepEffects::promote(Work& work, const domain::Step& step) {
  Outcome outcome;
  outcome.detail = work.revision->name + " is live";
  outcome.record = [this, &work, fresh = step.targets] {
    for (auto target : journal_.targets.live(work.service.name)) {
      target.state = domain::TargetState::retired;
      journal_.targets.update(target);
    }
    for (const auto id : fresh) {
      auto target = journal_.targets.get(id);
      target.state = domain::TargetState::live;
      journal_.targets.update(target);
    }
    journal_.revisions.set_promoted(work.revision->id, journal_.now());
  };
  return outcome;
}

Task<Outcome> StepEffects::stop(Work& work, domain::Step step) {
  Outcome outcome;
  for (const auto& target : load(step.targets)) {
    if (!ports_left_to(work, target).empty()) {
      outcome.detail = target.container_name + " goes on running";
      continue;
    }
    const auto service = service_of(work, target);
    if (!service.container.pre_stop.empty()) co_await run_pre_stop(work, target, service);
    try {
      co_await engine_.stop(target.container_id, service.container.stop_grace_period);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::not_found) throw;  // somebody removed it
    }
  }
  co_return outcome;
}

/// In a container that runs. Whatever comes of it, the container is stopped after it.
Task<void> StepEffects::run_pre_stop(Work& work, domain::Target target, domain::Service service) {
  const auto said = target.container_name + ": pre_stop ";
  const auto container = co_await engine_.inspect(target.container_id);
  if (!container || container->state != "running") co_return;
  try {
    const ports::ExecRequest request{resolve_(service).container.pre_stop, service.container.stop_grace_period};
    const auto result = co_await engine_.exec(target.container_id, request);
    log_.append(work.rollout.id, said + "exited with " + std::to_string(result.exit_code));
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::cancelled || error.transient()) throw;
    log_.append(work.rollout.id, said + "failed: " + error.message());
  }
}

/// The ports for which it goes on running; none beside a version that must run alone, or where the list of them cannot
/// be read.
std::vector<std::uint16_t> StepEffects::ports_left_to(const Work& work, const domain::Target& target) {
  if (work.service.strategy == domain::StrategyKind::recreate) return {};
  try {
    return left_running_.ports_of(target);
  } catch (const Error& error) {
    log_.append(work.rollout.id, target.container_name + " is not left running: " + error.message());
  }
  return {};
}

Task<Outcome> StepEffects::remove(Work& work, domain::Step step) {
  auto targets = load(step.targets);
  std::vector<std::string> notes;
  for (auto& target : targets) {
    target.state = domain::TargetState::gone;
    const auto ports = ports_left_to(work, target);
    if (!ports.empty() && co_await left_running_.give_address_back(target)) {
      notes.push_back(note_of_left_running(target.container_name, ports));
      continue;
    }
    // A create in doubt has made its container under this name, but its id was never written.
    auto id = target.container_id;
    if (id.empty() && work.revision) {
      const auto made = co_await engine_.inspect(container_name(*work.revision, target));
      const bool ours = made && made->labels.contains(domain::labels::target) &&
                        made->labels.at(domain::labels::target) == std::to_string(target.id.value) &&
                        made->labels.at(domain::labels::instance) == site_.instance;
      if (ours) id = made->id;
    }
    if (!id.empty()) co_await engine_.remove(id);
  }
  Outcome outcome;
  outcome.record = [this, &work, targets, notes] {
    for (const auto& target : targets) journal_.targets.update(target);
    for (const auto& note : notes) journal_.tell(work.rollout, "note", note);
  };
  co_return outcome;
}

Task<Outcome> StepEffects::undo_start(Work& work, domain::Step step) {
  const auto steps = journal_.rollouts.steps(work.rollout.id);
  const bool had_traffic = std::any_of(steps.begin(), steps.end(), [](const domain::Step& other) {
    return other.kind == domain::StepKind::switch_traffic && other.attempts > 0;
  });
  if (had_traffic) co_await drain(work, step.targets);
  co_return co_await stop(work, step);
}

std::vector<domain::Target> StepEffects::load(const std::vector<domain::TargetId>& ids) {
  std::vector<domain::Target> targets;
  std::transform(ids.begin(), ids.end(), std::back_inserter(targets),
                 [this](auto id) { return journal_.targets.get(id); });
  return targets;
}

ports::OnLog StepEffects::logger(Work& work) {
  work.rollout.log.clear();
  return [this, &work](std::string_view line) {
    log_.append(work.rollout.id, line);
    auto& shown = work.rollout.log;
    shown.emplace_back(line.substr(0, 500));
    if (shown.size() > shown_log_lines) shown.erase(shown.begin());
  };
}

}  // namespace deploy::rollout
