// Nginx gets ports of the host that containers from before deployd still answer on: all of it happens, or nothing,
// wherever it ends.
#include "agent/adopt/apply.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <catch2/catch_all.hpp>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "agent/base/error.hpp"
#include "tests/adopt/nginx_fixture.hpp"
#include "tests/fakes/null_engine.hpp"
#include "tests/fakes/run.hpp"
#include "tests/fakes/temp_dir.hpp"

namespace deploy::tests {
namespace {

namespace fs = std::filesystem;
using adopt::ChangeJournal;
using Lines = std::vector<std::string>;

/// Not an Error: nobody handles it, as nobody handles kill -9.
struct Killed {};

/// Ends what calls it at one of its calls, before or after the effect.
class Points {
 public:
  int die_at = 0;  // 0: nowhere
  int reached = 0;
  void pass() {
    if (++reached == die_at) throw Killed{};
  }
};

/// Nginx, which Compose makes, and the containers core and sync, which have the ports 8100 and 8102 of the host; one
/// port belongs to one container that runs.
class PortsHost final : public NullEngine, public ports::ProcessRunner {
 public:
  struct Known {
    std::string state;
    std::set<std::string> ports;
  };

  explicit PortsHost(fs::path file) : compose_file(std::move(file)) {}

  Task<std::optional<ports::Container>> inspect(std::string id) override {
    const auto found = containers.find(id);
    if (found == containers.end()) co_return std::nullopt;
    ports::Container container;
    container.id = container.name = id;
    container.state = found->second.state;
    container.pid = 100;
    co_return container;
  }
  Task<void> start(std::string id) override {
    points.pass();
    calls.push_back("start " + id);
    if (id == start_fails) throw Error(ErrorKind::failed, "start container " + id + ": no space left on device");
    const auto& nginx = containers.at("nginx");
    for (const auto& port : containers.at(id).ports) {
      if (nginx.state != "running" || !nginx.ports.contains(port)) continue;
      throw Error(ErrorKind::failed, "start container " + id + ": port is already allocated");
    }
    if (stopping.contains(id)) co_return;  // it runs still
    containers.at(id).state = id == "trial" ? "exited" : "running";
    points.pass();
    co_return;
  }
  Task<void> stop(std::string id, std::chrono::seconds grace) override {
    points.pass();
    calls.push_back(fmt::format("stop {} within {} s", id, grace.count()));
    if (id == stop_fails) {
      stop_fails.clear();
      stopping.insert(id);
      throw Error(ErrorKind::unreachable, "stop container " + id + ": the engine does not answer");
    }
    stopping.insert(id);
    points.pass();
    end(id);
    points.pass();
    co_return;
  }
  Task<void> remove(std::string id) override {
    points.pass();
    if (id == remove_fails) throw Error(ErrorKind::failed, "remove container " + id + ": device or resource busy");
    if (containers.erase(id) != 0 && id != "trial") calls.push_back("remove " + id);
    points.pass();
    co_return;
  }
  Task<std::string> create(ports::ContainerSpec) override {
    points.pass();
    containers["trial"] = {"created", {}};
    points.pass();
    co_return "trial";
  }
  Task<std::vector<std::string>> log_tail(std::string, int) override { co_return Lines{}; }
  Task<std::vector<ports::ProcessEntry>> processes(std::string, std::int64_t) override {
    std::vector<ports::ProcessEntry> all{{100, 1, "nginx: master process nginx"}, {101, 100, "nginx: worker process"}};
    co_return all;
  }
  Task<ports::ExecResult> exec(std::string, ports::ExecRequest) override {
    points.pass();
    ports::ExecResult result;
    if (refuses) result = {1, "nginx: [emerg] unknown directive\n"};
    co_return result;
  }
  Task<ports::ProcessResult> run(ports::ProcessSpec spec) override {
    const auto line = fmt::format("{}", fmt::join(spec.argv, " "));
    ports::ProcessResult result;
    if (line.ends_with(" version --short")) result.output = "2.26.1\n";
    if (line.find(" config --format json") != std::string::npos) result.output = "{}";
    if (line.find(" up --detach --no-deps nginx") == std::string::npos) co_return result;
    points.pass();
    calls.emplace_back("compose up");
    result = make_nginx();
    points.pass();
    co_return result;
  }

  void end(const std::string& id) {
    containers.at(id).state = "exited";
    stopping.erase(id);
  }
  /// The engine goes on with the requests of who is gone.
  void end_what_is_stopping() {
    while (!stopping.empty()) end(*stopping.begin());
  }

  ports::ProcessResult make_nginx() {
    ports::ProcessResult result;
    std::ostringstream text;
    text << std::ifstream(compose_file).rdbuf();
    std::set<std::string> wanted;
    for (const auto* port : {"8100", "8102"}) {
      if (text.str().find(port) != std::string::npos) wanted.insert(port);
    }
    if (containers["nginx"].ports == wanted && containers["nginx"].state == "running") return result;
    containers["nginx"] = {"created", wanted};
    for (const auto& [name, other] : containers) {
      for (const auto& port : wanted) {
        if (name == "nginx" || other.state != "running" || !other.ports.contains(port)) continue;
        result = {1, "", fmt::format("Bind for 0.0.0.0:{} failed: port is already allocated\n", port)};
        return result;
      }
    }
    if (taken_by_another && !wanted.empty()) {
      result = {1, "", "listen tcp4 0.0.0.0:8100: bind: address already in use\n"};
      return result;
    }
    containers["nginx"].state = "running";
    return result;
  }

  /// "core running, nginx running 8100 8102".
  std::string text() const {
    Lines all;
    for (const auto& [name, known] : containers) {
      if (name == "trial") continue;
      const auto& ports = known.ports;
      all.push_back(fmt::format("{} {}{}{}", name, known.state, ports.empty() ? "" : " ", fmt::join(ports, " ")));
    }
    return fmt::format("{}", fmt::join(all, ", "));
  }

  fs::path compose_file;
  std::map<std::string, Known> containers{
      {"core", {"running", {"8100"}}}, {"sync", {"running", {"8102"}}}, {"nginx", {"running", {}}}};
  std::set<std::string> stopping;  // was told to, and has not ended yet
  Points points;
  Lines calls;
  std::string start_fails;
  std::string stop_fails;  // the first time, and takes place later
  std::string remove_fails;
  bool refuses = false;           // nginx -t
  bool taken_by_another = false;  // a process of the host has 8100
};

constexpr auto as_before = "core running 8100, nginx running, sync running 8102";
constexpr auto handed_over = "nginx running 8100 8102";

/// What `init --write` is to do there.
struct HandOver {
  HandOver() {
    std::ofstream(compose) << "services: { nginx: { } }\n";
    survey.state_folder = (folder / "state").string();
    auto& nginx = survey.nginx.emplace();
    nginx.container.name = "nginx";
    nginx.sees_upstreams = true;
    nginx.conf = NginxFiles("events { }\nhttp { }\n").read();
    adopt::ComposeProject project;
    project.name = "shop";
    project.files = {compose.string()};
    survey.projects = {project};
    proposal.files = {{ports_conf.string(), std::nullopt, "server { listen 8100; }\n"},
                      {compose.string(), "services: { nginx: { } }\n",
                       "services: { nginx: { ports: [\"8100:8100\", \"8102:8102\"] } }\n"}};
    auto& recreate = proposal.recreate.emplace();
    recreate.files = project.files;
    recreate.project = "shop";
    recreate.service = recreate.container = "nginx";
    recreate.holders = {{"core", "core", {8100}, std::chrono::seconds(10)},
                        {"sync", "sync", {8102}, std::chrono::seconds(60)}};
  }

  adopt::ApplyTools tools() {
    return {host, host, "instance-1", [this](const std::string& text) { said.push_back(text); }};
  }
  void apply() { applied = run(adopt::apply_proposal(tools(), survey, proposal, copies.string())); }
  /// What the next `init` does first.
  std::string settle() {
    const auto interrupted = ChangeJournal(copies).undo_interrupted();
    auto text = run(adopt::settle_interrupted(tools(), interrupted));
    ChangeJournal(copies).forget_interrupted();
    return text;
  }
  bool is_written() const { return fs::exists(ports_conf); }
  bool nothing_is_under_way() const {
    const auto found = ChangeJournal(copies).undo_interrupted();
    return found.restored.empty() && found.note.empty();
  }

  TempDir folder;
  fs::path compose = folder / "compose.yml";
  fs::path ports_conf = folder / "init-ports.conf";
  fs::path copies = folder / "copies";
  PortsHost host{compose};
  adopt::Survey survey;
  adopt::Proposal proposal;
  adopt::Applied applied;
  Lines said;
};

/// Runs `what`, which dies at that point. Returns whether it got there.
template <class What>
bool dies_at(HandOver& world, int point, const What& what) {
  world.host.points = {point, 0};
  bool died = false;
  try {
    what();
  } catch (const Killed&) {
    died = true;
  }
  world.host.points = {};
  return died;
}

}  // namespace

TEST_CASE("who has the ports is stopped right before Nginx is made anew, all at once, and removed after it") {
  HandOver world;
  world.apply();
  CHECK(world.host.calls == Lines{"start trial", "stop core within 10 s", "stop sync within 60 s", "compose up",
                                  "remove core", "remove sync"});
  CHECK(world.host.text() == handed_over);
  CHECK(world.is_written());
  CHECK(world.said == Lines{"making nginx anew", "removed core, sync, on whose ports Nginx answers now"});
  CHECK(world.applied.ports_away.has_value());
  CHECK(world.nothing_is_under_way());
}

TEST_CASE("an Nginx that is made anew for another reason ends nobody") {
  HandOver world;
  world.proposal.recreate->holders.clear();
  world.proposal.files.pop_back();
  world.apply();
  CHECK(world.host.calls == Lines{"start trial", "compose up"});
  CHECK(world.host.text() == as_before);
  CHECK(!world.applied.ports_away);
}

TEST_CASE("where Nginx does not get the ports, who had them answers again") {
  HandOver world;
  std::string failure;
  SECTION("a process of the host has one") {
    world.host.taken_by_another = true;
    failure = "`docker compose up -d --no-deps nginx` failed: listen tcp4 0.0.0.0:8100: bind: address already in use";
  }
  SECTION("one of them cannot be stopped") {
    world.host.stop_fails = "sync";
    failure = "stop container sync: the engine does not answer";
  }
  SECTION("Nginx refuses the files") {
    world.host.refuses = true;
    failure = "nginx -t in container nginx refuses the changed files: nginx: [emerg] unknown directive";
  }
  CHECK(error_of([&] { world.apply(); }).message() ==
        failure + "; every file is as it was before, and so are Nginx, core, sync");
  world.host.end_what_is_stopping();
  CHECK(world.host.text() == as_before);
  CHECK(!world.is_written());
  CHECK(world.nothing_is_under_way());
}

TEST_CASE("what cannot be put back is tried again by the next run, which says what else would do") {
  HandOver world;
  world.host.taken_by_another = true;
  world.host.start_fails = "core";
  CHECK(error_of([&] { world.apply(); }).message() ==
        "`docker compose up -d --no-deps nginx` failed: listen tcp4 0.0.0.0:8100: bind: address already in use; "
        "putting it back failed, too: start container core: no space left on device; `deployctl init` tries that once "
        "more, or look at these files and at Nginx");
  CHECK(!world.is_written());
  const auto list = ChangeJournal(world.copies).undo_interrupted().list;
  CHECK(error_of([&] { world.settle(); }).message() ==
        "what an earlier `deployctl init --write` was cut short in cannot be put right: start container core: no space "
        "left on device; try again, or once nginx, core, sync run as before, remove " +
            list);
  world.host.start_fails.clear();
  CHECK(world.settle().starts_with("nginx, core, sync run as before, after "));
  CHECK(world.host.text() == as_before);
  CHECK(world.nothing_is_under_way());
}

TEST_CASE("one that cannot be removed stays stopped, and is named") {
  HandOver world;
  world.host.remove_fails = "core";
  world.apply();
  CHECK(world.host.text() == "core exited 8100, nginx running 8100 8102");
  CHECK(world.said.back() ==
        "removed sync, on whose ports Nginx answers now; core is stopped, but could not be removed: remove container "
        "core: device or resource busy; remove it with: docker rm core");
  CHECK(world.is_written());
}

TEST_CASE("a hand-over that dies is undone or finished by the next run, wherever that dies, too") {
  bool died = true;
  int undone = 0;
  int finished = 0;
  for (int first = 1; died; ++first) {
    bool died_again = true;
    for (int second = 1; died && died_again; ++second) {
      HandOver world;
      died = dies_at(world, first, [&] { world.apply(); });
      INFO("died at point " << first << ", and the next run at point " << second);
      died_again = dies_at(world, second, [&] { world.settle(); });
      world.settle();
      world.host.end_what_is_stopping();
      const bool written = world.is_written();
      CHECK(world.host.text() == (written ? handed_over : as_before));
      CHECK(world.nothing_is_under_way());
      if (died) ++(written ? finished : undone);
    }
  }
  CHECK(undone > 10);
  CHECK(finished > 2);
}

TEST_CASE("a run that died before its last step is finished by the next one, which says so") {
  bool kept = false;
  for (int point = 1; !kept; ++point) {
    HandOver world;
    REQUIRE(dies_at(world, point, [&] { world.apply(); }));
    kept = ChangeJournal(world.copies).undo_interrupted().kept;
    if (!kept) continue;
    CHECK(world.host.text() == "core exited 8100, nginx running 8100 8102, sync exited 8102");
    CHECK(world.settle() ==
          "an earlier `deployctl init --write` was cut short before its last step: removed core, sync, on whose ports "
          "Nginx answers now");
    CHECK(world.host.text() == handed_over);
    CHECK(world.is_written());
  }
}

}  // namespace deploy::tests
