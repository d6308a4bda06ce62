#include "agent/proxy/nginx.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "agent/base/error.hpp"
#include "agent/base/text.hpp"

namespace deploy::proxy {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds slow_poll_interval{100};
constexpr milliseconds boot_limit{5000};
constexpr milliseconds retire_margin{1000};
/// Certificates and other files that a configuration names are looked at by a test, too, and may change meanwhile.
constexpr milliseconds rehearsal_lasts{60000};
/// Old answers were seen among new ones for up to 105 ms; without workers to compare, ask for longer than that.
constexpr int answers_wanted_alone = 25;

/// Are the files as they are wanted, but for what somebody changed in some of them by hand without touching who gets
/// the requests?
bool as_wanted(const FileMap& present, FileMap wanted, const std::vector<std::string>& edited) {
  for (const auto& name : edited) {
    const auto file = wanted.find(name);
    if (file == wanted.end()) return false;
    const auto& text = present.at(name);
    if (targets_in({{name, text}}) != targets_in({*file})) return false;
    file->second = text;
  }
  return present == wanted;
}

}  // namespace

Nginx::Nginx(NginxPlace& place, ports::Clock& clock, NginxSettings settings, AskMarker ask_marker)
    : clock_(clock),
      settings_(std::move(settings)),
      ask_marker_(std::move(ask_marker)),
      place_(place),
      folder_(settings_.upstreams) {}

milliseconds Nginx::since(std::chrono::steady_clock::time_point start) const {
  return std::chrono::duration_cast<milliseconds>(clock_.steady_now() - start);
}

/// Finds Nginx and connects it to the routing network. Where it is down, what it needs to start is there afterwards.
Task<void> Nginx::meet(std::vector<ports::Route> routes, Change* change, ports::SwitchReport* report) {
  folder_.discard_unfinished();
  std::exception_ptr down;
  try {
    change->nginx = co_await place_.find();
    const auto workers = co_await await_master(change->nginx);
    change->master_title = workers.master->title;
  } catch (const Error&) {
    down = std::current_exception();
  }
  if (down) {
    UpstreamFilesInput known;
    known.routes = routes;
    folder_.write_missing(render_upstream_files(known));
    std::rethrow_exception(down);
  }
  std::set<std::string> aliases(settings_.aliases.begin(), settings_.aliases.end());
  std::set<std::string> names_of_containers;
  for (const auto& route : routes) {
    if (route.settings.dns) {
      aliases.erase(route.service);
      names_of_containers.insert(route.service);
    } else if (route.settings.port != 0) {
      aliases.insert(route.service);
    }
    if (!route.settings.upstream.empty() && !route.targets.empty()) {
      change->from_outside.emplace(route.settings.upstream, route);
    }
  }
  const auto joined =
      co_await place_.join(change->nginx, settings_.network, settings_.address, aliases, names_of_containers);
  if (!joined.empty()) report->notes.push_back(joined);
}

Task<ports::SwitchReport> Nginx::apply(std::vector<ports::Route> routes) {
  ports::SwitchReport report;
  Change change;
  co_await meet(routes, &change, &report);
  const bool just_learnt = co_await learn(change.nginx, change.master_title);
  const auto cost = idle_connections_cost(facts_->version, facts_->dump);
  if (!cost.empty()) report.notes.push_back(cost);

  const auto remembered = folder_.remembered();
  change.before = folder_.own_files();
  change.interrupted = remembered.has_value();
  auto upstreams = upstreams_in(change.before);
  if (just_learnt) {
    // Not by what was read at an earlier change: the users may have named it again since then.
    std::erase_if(upstreams, [&](const auto& entry) { return facts_->dump.unnamed.contains(entry.first); });
  }
  auto wanted = input(routes, upstreams);
  for (const auto& service : blocked_services(wanted)) {
    report.notes.push_back(
        fmt::format("{} cannot be called by other services: gRPC needs a port of its own, and other services or "
                    "servers of this Nginx have its `proxy.port`, too; give it another",
                    service));
  }
  const auto generation = generation_in(change.before);
  wanted.generation = generation.value_or("");
  const auto edited = edited_in(change.before);
  if (generation && as_wanted(change.before, render_upstream_files(wanted), edited)) {
    const auto start = clock_.steady_now();
    // What was proved once for all workers needs one answer only to be believed again.
    const bool proved = !remembered && facts_->proved == *generation;
    const int answers_wanted = proved ? 1 : answers_wanted_alone;
    const bool loaded = co_await confirmed(*generation, answers_wanted);
    report.prove = since(start);
    if (loaded) {
      facts_->proved = *generation;
      folder_.forget();
      for (const auto& name : edited) report.edited.push_back((folder_.path() / name).string());
      co_return report;
    }
  }
  facts_->proved.clear();
  change.generation = next_generation(change.before, remembered);
  wanted.generation = change.generation;
  change.wanted = render_upstream_files(wanted);
  if (remembered) change.before = *remembered;
  change.rehearsed = !remembered && is_rehearsed(change);

  std::exception_ptr failure;
  try {
    co_await make(&change, &report);
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure) co_await undo(&change, failure);
  facts_->proved = change.generation;
  folder_.forget();
  report.changed = true;
  co_return report;
}

/// A container that has just been started may not have come as far as Nginx.
Task<Workers> Nginx::await_master(RunningNginx nginx) {
  const auto start = clock_.steady_now();
  for (;;) {
    try {
      co_return co_await watch(nginx);
    } catch (const Error& error) {
      const bool boots = error.kind() == ErrorKind::invalid || error.kind() == ErrorKind::unreachable;
      if (!boots || since(start) >= boot_limit) throw;
    }
    co_await clock_.sleep_for(slow_poll_interval);
  }
}

/// Nginx's version and configuration, once per start. Returns whether they were read now.
Task<bool> Nginx::learn(RunningNginx nginx, std::string master_title) {
  if (facts_ && facts_->id == nginx.id && facts_->pid == nginx.pid) co_return false;
  const auto refusal = co_await read_anew(nginx, master_title);
  if (!refusal.empty()) throw Error(ErrorKind::invalid, broken_before(refusal));
  co_return true;
}

/// Returns what nginx -t says where it refuses the configuration, and nothing is learnt then; else empty.
Task<std::string> Nginx::read_anew(RunningNginx nginx, std::string master_title) {
  auto test = co_await place_.test(nginx.id, master_title);
  const auto remembered = folder_.remembered();
  if (!test.passed && remembered) {
    // The change that was interrupted may be what is refused.
    folder_.replace(*remembered);
    test = co_await place_.test(nginx.id, master_title);
  }
  std::string refusal;
  if (!test.passed) {
    refusal = trim(test.output);
    co_return refusal;
  }
  Facts facts{nginx.id, nginx.pid, {}, read(test.output), ""};
  facts.version = co_await place_.version(nginx.id);
  idle_connections_live_ = std::max(idle_connections_live_, facts.dump.keepalive_min_timeout.value_or(milliseconds{0}));
  facts_ = std::move(facts);
  co_return refusal;
}

ConfigDump Nginx::read(std::string_view dump) const {
  std::set<std::string> names;
  for (const auto& [upstream, service] : upstreams_in(folder_.own_files())) names.insert(upstream);
  return read_dump(dump, names);
}

/// A switch that changes nothing for clients looks like one that worked: a name that is misspelt, an nginx.conf that
/// was not changed yet, or one whose change the container does not see.
void Nginx::note_unnamed(const Change& change, ports::SwitchReport* report) const {
  for (const auto& [upstream, route] : change.from_outside) {
    if (!facts_->dump.unnamed.contains(upstream)) continue;
    report->notes.push_back(fmt::format(
        "no request from outside reaches {} yet: what Nginx {} reads does not name the upstream {}; write \"{}\" into "
        "nginx.conf",
        route.service, place_.text(), upstream, pass_directive(route.settings)));
  }
}

UpstreamFilesInput Nginx::input(const std::vector<ports::Route>& routes,
                                const std::map<std::string, std::string>& upstreams) const {
  UpstreamFilesInput input;
  input.routes = routes;
  input.marker_port = settings_.marker_port;
  input.routing_subnet = settings_.subnet;
  input.nginx_address = settings_.address;
  input.on_host = settings_.on_host;
  input.wildcard_ports = facts_->dump.wildcard_ports;
  input.address_ports = facts_->dump.address_ports;
  input.http2_directive = has_http2_directive(facts_->version);
  if (!facts_->dump.complete) {
    // The users may listen anywhere: stay on the address that is ours alone.
    for (const auto& route : routes) input.address_ports.insert(route.settings.port);
  }
  input.present_upstreams = upstreams;
  return input;
}

/// Greater than every generation before it, also after the clock went back.
std::string Nginx::next_generation(const FileMap& files, const std::optional<FileMap>& remembered) const {
  auto next = std::chrono::duration_cast<milliseconds>(clock_.now().time_since_epoch()).count();
  for (const auto& map : {files, remembered.value_or(FileMap{})}) {
    const auto generation = generation_in(map).value_or("");
    next = std::max<std::int64_t>(next, std::strtoll(generation.c_str(), nullptr, 10) + 1);
  }
  return std::to_string(next);
}

Task<Workers> Nginx::watch(RunningNginx nginx) {
  auto workers = co_await place_.workers(nginx);
  worker_watch_.saw(workers, clock_.steady_now());
  co_return workers;
}

Task<void> Nginx::rehearse() {
  rehearsal_.reset();
  try {
    co_await try_rehearsal();
  } catch (const Error& error) {
    // An Nginx that is not there, or broken: whoever switches says so.
    if (error.kind() == ErrorKind::cancelled) throw;
  }
}

Task<void> Nginx::try_rehearsal() {
  const auto before = folder_.own_files();
  const auto generation = generation_in(before);
  const auto nginx = co_await place_.find_running();
  if (!generation || folder_.remembered() || !nginx) co_return;
  const auto workers = co_await watch(*nginx);
  auto test = co_await place_.test(nginx->id, workers.master->title);
  if (!test.passed || test.output.find(generation_line(*generation)) == std::string::npos) co_return;
  auto files = UsersFiles::seen(settings_.proc / std::to_string(nginx->pid) / "root", read_dump(test.output));
  if (!files) co_return;
  rehearsal_.emplace(Rehearsal{nginx->id, nginx->pid, clock_.steady_now(), std::move(test.output), shape_of(before),
                               std::move(*files)});
}

bool Nginx::is_rehearsed(const Change& change) const {
  return rehearsal_ && rehearsal_->id == change.nginx.id && rehearsal_->pid == change.nginx.pid &&
         since(rehearsal_->at) <= rehearsal_lasts && rehearsal_->shape == shape_of(change.wanted) &&
         rehearsal_->users_files.unchanged();
}

Task<bool> Nginx::wait_retired_workers(milliseconds limit) {
  const auto start = clock_.steady_now();
  for (;;) {
    const auto nginx = co_await place_.find_running();
    if (!nginx) co_return true;
    const auto workers = co_await watch(*nginx);
    if (!facts_) co_await learn(*nginx, workers.master->title);
    if (worker_watch_.retired(clock_.steady_now(), idle_connections_live_ + retire_margin)) co_return true;
    const auto left = limit - since(start);
    if (left <= milliseconds{0}) co_return false;
    co_await clock_.sleep_for(std::min(left, slow_poll_interval));
  }
}

Task<int> Nginx::workers_shutting_down() {
  const auto nginx = co_await place_.find_running();
  if (!nginx) co_return 0;
  const auto workers = co_await watch(*nginx);
  co_return static_cast<int>(workers.shutting_down.size());
}

Task<std::vector<ports::Endpoint>> Nginx::routed() {
  // The content of a file does not matter here, and both may have one of the same name.
  auto files = folder_.own_files();
  const auto before = folder_.remembered().value_or(FileMap{});
  for (const auto& [name, content] : before) files[name] += content;
  co_return targets_in(files);
}

}  // namespace deploy::proxy
