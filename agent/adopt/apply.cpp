#include "agent/adopt/apply.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "agent/adopt/compose_edit.hpp"
#include "agent/adopt/compose_runner.hpp"
#include "agent/base/error.hpp"
#include "agent/base/text.hpp"
#include "agent/domain/labels.hpp"
#include "agent/proxy/nginx_place.hpp"
#include "agent/proxy/routing.hpp"

namespace deploy::adopt {

namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds poll_interval{100};
constexpr milliseconds nginx_deadline{60000};
constexpr milliseconds recreate_deadline{180000};
constexpr auto trial_name = "deployctl-init-nginx-test";

std::string recreation_note(const NginxRecreation& recreation) {
  auto holders = nlohmann::json::array();
  for (const auto& holder : recreation.holders) {
    holders.push_back({{"id", holder.id}, {"name", holder.name}, {"grace_s", holder.grace.count()}});
  }
  return nlohmann::json{{"files", recreation.files},
                        {"project", recreation.project},
                        {"service", recreation.service},
                        {"container", recreation.container},
                        {"holders", holders}}
      .dump();
}

std::optional<NginxRecreation> recreation_from(const std::string& note) {
  const auto said = nlohmann::json::parse(note, nullptr, false);
  if (!said.is_object()) return std::nullopt;
  NginxRecreation recreation;
  recreation.files = said.value("files", std::vector<std::string>{});
  recreation.project = said.value("project", "");
  recreation.service = said.value("service", "");
  recreation.container = said.value("container", "");
  for (const auto& holder : said.value("holders", nlohmann::json::array())) {
    const std::chrono::seconds grace(holder.value("grace_s", 0));
    recreation.holders.push_back({holder.value("id", ""), holder.value("name", ""), {}, grace});
  }
  return recreation;
}

std::string names_of(const std::vector<PortHolder>& holders) {
  std::vector<std::string> names;
  std::ranges::transform(holders, std::back_inserter(names), &PortHolder::name);
  return fmt::format("{}", fmt::join(names, ", "));
}

std::string runners_of(const NginxRecreation& recreation) {
  const auto& nginx = recreation.container;
  return recreation.holders.empty() ? nginx + " runs" : fmt::format("{}, {} run", nginx, names_of(recreation.holders));
}

/// All at once, because nobody answers on their ports until the last one has ended.
Task<void> stop_holders(ports::ContainerEngine& engine, std::vector<PortHolder> holders) {
  std::vector<Task<void>> stops;
  for (const auto& holder : holders) stops.push_back(engine.stop(holder.id, holder.grace));
  co_await all_of(std::move(stops));
}

/// One that still runs may be about to end, because the engine goes on with a stop whoever asked for it is gone: such a
/// container is started again once it has ended. What somebody removed meanwhile is nobody's to start.
Task<void> start_again(ports::ContainerEngine& engine, PortHolder holder) {
  const auto container = co_await engine.inspect(holder.id);
  if (!container) co_return;
  if (container->state == "running") co_await engine.stop(holder.id, holder.grace);
  co_await engine.start(holder.id);
}

Task<void> start_holders(ports::ContainerEngine& engine, std::vector<PortHolder> holders) {
  std::vector<std::string> failures;
  for (const auto& holder : holders) {
    try {
      co_await start_again(engine, holder);
    } catch (const Error& error) {
      failures.push_back(error.message());
    }
  }
  if (!failures.empty()) throw Error(ErrorKind::failed, fmt::format("{}", fmt::join(failures, "; ")));
}

/// Returns what came of it, in words.
Task<std::string> remove_holders(ports::ContainerEngine& engine, std::vector<PortHolder> holders) {
  std::vector<PortHolder> removed;
  std::string problems;
  for (const auto& holder : holders) {
    try {
      co_await engine.remove(holder.id);
      removed.push_back(holder);
    } catch (const Error& error) {
      problems += fmt::format("; {} is stopped, but could not be removed: {}; remove it with: docker rm {}",
                              holder.name, error.message(), holder.name);
    }
  }
  if (removed.empty()) co_return problems.substr(2);
  co_return fmt::format("removed {}, on whose ports Nginx answers now{}", names_of(removed), problems);
}

/// `docker compose up -d --no-deps nginx`, and waits until Nginx runs in it. Returns how long that took.
Task<milliseconds> make_nginx_anew(ApplyTools tools, NginxRecreation recreation) {
  const auto start = steady_clock::now();
  ports::ProcessSpec spec;
  spec.argv = {"docker", "compose"};
  for (const auto& file : recreation.files) spec.argv.insert(spec.argv.end(), {"--file", file});
  spec.argv.insert(spec.argv.end(),
                   {"--project-name", recreation.project, "up", "--detach", "--no-deps", recreation.service});
  spec.deadline = recreate_deadline;
  const auto result = co_await tools.runner.run(spec);
  if (result.exit_code != 0) {
    throw Error(ErrorKind::failed, fmt::format("`docker compose up -d --no-deps {}` failed: {}", recreation.service,
                                               trim(result.error_output)));
  }
  const auto place = proxy::nginx_place(tools.engine, tools.runner, recreation.container, "");
  for (;;) {
    std::string problem;
    try {
      const auto nginx = co_await place->find();
      const auto workers = co_await place->workers(nginx);
      if (!workers.accepting.empty()) break;
      problem = "Nginx has no workers";
    } catch (const Error& error) {
      problem = error.message();
    }
    if (steady_clock::now() - start > nginx_deadline) throw Error(ErrorKind::timed_out, problem);
    co_await sleep_real(poll_interval);
  }
  co_return std::chrono::duration_cast<milliseconds>(steady_clock::now() - start);
}

/// Nginx first, because it may have the ports. Returns how long that took.
Task<milliseconds> bring_back(ApplyTools tools, NginxRecreation recreation) {
  milliseconds took{0};
  std::string failure;
  try {
    took = co_await make_nginx_anew(tools, recreation);
  } catch (const Error& error) {
    failure = error.message();
  }
  try {
    co_await start_holders(tools.engine, recreation.holders);
  } catch (const Error& error) {
    failure += (failure.empty() ? "" : "; ") + error.message();
  }
  if (!failure.empty()) throw Error(ErrorKind::failed, failure);
  co_return took;
}

class Apply {
 public:
  Apply(ApplyTools tools, Survey survey, Proposal proposal, std::string folder)
      : tools_(std::move(tools)),
        survey_(std::move(survey)),
        proposal_(std::move(proposal)),
        journal_(std::move(folder)) {}

  Task<Applied> run() {
    co_await routing_network();
    journal_.begin(proposal_.files, proposal_.folders);
    std::string failure;
    auto kind = ErrorKind::failed;
    try {
      co_await make();
    } catch (const Error& error) {
      failure = error.message();
      kind = error.kind();
    }
    if (failure.empty()) {
      co_await end_holders();
      applied_.copies = journal_.finish();
      co_return applied_;
    }
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    auto outcome = co_await put_back();
    throw Error(kind, fmt::format("{}; {}", failure, outcome));
  }

 private:
  Task<void> make() {
    journal_.write();
    co_await ask_compose();
    if (!survey_.nginx || !survey_.nginx->conf) co_return;
    if (proposal_.recreate) {
      co_await try_nginx();
      tools_.say(fmt::format("making {} anew", proposal_.recreate->container));
      journal_.mark(recreation_note(*proposal_.recreate));
      recreated_ = true;
      const auto start = steady_clock::now();
      const auto& holders = proposal_.recreate->holders;
      co_await stop_holders(tools_.engine, holders);
      applied_.nginx_away = co_await make_nginx_anew(tools_, *proposal_.recreate);
      if (!holders.empty()) applied_.ports_away = std::chrono::duration_cast<milliseconds>(steady_clock::now() - start);
    }
    co_await ask_nginx();
  }

  /// Nginx answers on their ports, and nothing is put back from here on.
  Task<void> end_holders() {
    if (!recreated_ || proposal_.recreate->holders.empty()) co_return;
    const auto& holders = proposal_.recreate->holders;
    journal_.keep(recreation_note(*proposal_.recreate));
    const auto outcome = co_await remove_holders(tools_.engine, holders);
    tools_.say(outcome);
  }

  /// Compose files name it from now on, so it has to be there.
  Task<void> routing_network() {
    if (!proposal_.needs_routing_network) co_return;
    const auto known = co_await tools_.engine.inspect_network(survey_.routing_network);
    if (known) co_return;
    std::error_code failure;
    if (std::filesystem::exists(survey_.state_folder + "/state.db", failure)) {
      throw Error(ErrorKind::not_found,
                  fmt::format("nothing was changed: the network {} is not there, and {} says that "
                              "deployd made it; start deployd, which makes it again",
                              survey_.routing_network, survey_.state_folder));
    }
    const ports::Labels labels{{domain::labels::instance, tools_.instance}};
    co_await proxy::ensure_network(tools_.engine, survey_.routing_network, survey_.routing_subnet, labels);
    tools_.say(fmt::format("made the network {} with the subnet {}", survey_.routing_network, survey_.routing_subnet));
  }

  /// Each project as a habitual call sees it, and with what deployctl deploys.
  Task<void> ask_compose() {
    for (const auto& project : survey_.projects) {
      const bool changed = std::ranges::any_of(proposal_.files, [&](const auto& file) {
        return std::ranges::find(project.files, file.path) != project.files.end();
      });
      if (!changed) continue;
      for (const auto& profiles : {std::vector<std::string>{}, std::vector<std::string>{deployed_profile}}) {
        const ComposeFiles files{project.files, project.name, profiles};
        co_await read_compose(tools_.runner, files);
      }
    }
  }

  /// The Nginx that runs does not see the new folder, so another container of its image tests the files.
  Task<void> try_nginx() {
    const auto& nginx = survey_.nginx->container;
    co_await tools_.engine.remove(trial_name);
    ports::ContainerSpec spec;
    spec.name = trial_name;
    spec.image = nginx.image_id;
    for (const auto& bind : nginx.binds) spec.settings.volumes.push_back(bind.host + ":" + bind.inside + ":ro");
    if (!survey_.nginx->sees_upstreams) {
      spec.settings.volumes.push_back(survey_.nginx->upstreams + ":" + survey_.nginx->upstreams_inside + ":ro");
    }
    spec.settings.command = {"nginx", "-t", "-q"};
    spec.settings.restart = "no";
    spec.settings.extra_hosts = nginx.settings.extra_hosts;
    std::vector<std::string> networks;
    for (const auto& [network, names] : nginx.networks) networks.push_back(network);
    if (!networks.empty()) spec.network.network = networks.front();
    const auto id = co_await tools_.engine.create(spec);
    std::exception_ptr failure;
    std::string refusal;
    try {
      for (std::size_t i = 1; i < networks.size(); ++i) {
        const ports::NetworkEndpoint endpoint{networks[i], "", {}};
        co_await tools_.engine.connect(id, endpoint);
      }
      refusal = co_await trial_outcome(id);
    } catch (...) {
      failure = std::current_exception();
    }
    co_await tools_.engine.remove(id);
    if (failure) std::rethrow_exception(failure);
    if (!refusal.empty()) throw Error(ErrorKind::invalid, "nginx -t refuses the changed files: " + refusal);
  }

  /// What it refuses; empty: nothing.
  Task<std::string> trial_outcome(std::string id) {
    co_await tools_.engine.start(id);
    const auto start = steady_clock::now();
    for (;;) {
      const auto container = co_await tools_.engine.inspect(id);
      if (!container) throw Error(ErrorKind::failed, "the container that tested Nginx's files was removed meanwhile");
      if (container->state == "exited") {
        if (container->exit_code == 0) co_return "";
        const auto lines = co_await tools_.engine.log_tail(id, 10);
        co_return fmt::format("{}", fmt::join(lines, "; "));
      }
      if (steady_clock::now() - start > nginx_deadline) throw Error(ErrorKind::timed_out, "nginx -t did not end");
      co_await sleep_real(poll_interval);
    }
  }

  Task<void> ask_nginx() {
    const auto place = proxy::nginx_place(tools_.engine, tools_.runner, survey_.nginx->container.name, "");
    const auto nginx = co_await place->find();
    const auto workers = co_await place->workers(nginx);
    const auto test = co_await place->test(nginx.id, workers.master->title);
    if (test.passed) co_return;
    throw Error(ErrorKind::invalid,
                fmt::format("nginx -t {} refuses the changed files: {}", place->text(), trim(test.output)));
  }

  Task<std::string> put_back() {
    std::string outcome;
    try {
      journal_.undo();
      outcome = "every file is as it was before";
      if (recreated_) {
        const auto& holders = proposal_.recreate->holders;
        co_await bring_back(tools_, *proposal_.recreate);
        journal_.forget();
        outcome += holders.empty() ? ", and so is Nginx" : fmt::format(", and so are Nginx, {}", names_of(holders));
      }
    } catch (const Error& error) {
      outcome = "putting it back failed, too: " + error.message() +
                "; `deployctl init` tries that once more, or look at these files and at Nginx";
    }
    co_return outcome;
  }

  ApplyTools tools_;
  Survey survey_;
  Proposal proposal_;
  ChangeJournal journal_;
  bool recreated_ = false;
  Applied applied_;
};

}  // namespace

Task<Applied> apply_proposal(ApplyTools tools, Survey survey, Proposal proposal, std::string folder) {
  Apply apply(std::move(tools), std::move(survey), std::move(proposal), std::move(folder));
  co_return co_await apply.run();
}

Task<std::string> settle_interrupted(ApplyTools tools, ChangeJournal::Interrupted interrupted) {
  const auto recreation = recreation_from(interrupted.note);
  if (!recreation) co_return "";
  const auto& holders = recreation->holders;
  if (interrupted.kept) {
    const auto outcome = co_await remove_holders(tools.engine, holders);
    co_return "an earlier `deployctl init --write` was cut short before its last step: " + outcome;
  }
  milliseconds took{0};
  std::string failure;
  try {
    took = co_await bring_back(tools, *recreation);
  } catch (const Error& error) {
    failure = error.message();
  }
  if (!failure.empty()) {
    throw Error(ErrorKind::failed, fmt::format("what an earlier `deployctl init --write` was cut short in cannot be "
                                               "put right: {}; try again, or once {} as before, remove {}",
                                               failure, runners_of(*recreation), interrupted.list));
  }
  co_return fmt::format("{} as before, after {}", runners_of(*recreation), human_duration(took));
}

}  // namespace deploy::adopt
