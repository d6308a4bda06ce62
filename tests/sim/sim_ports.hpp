// The fakes as the agent sees them: each call passes the boundary before and after its effect, and the watch looks on.
#pragma once

#include <functional>
#include <list>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/sim/boundary.hpp"
#include "tests/sim/stage.hpp"
#include "tests/sim/watch.hpp"

namespace deploy::sim {

class SimEngine final : public ports::ContainerEngine {
 public:
  SimEngine(Stage& stage, Boundary& boundary, Watch& watch, Trace& trace)
      : engine_(stage.world.engine), stage_(stage), boundary_(boundary), watch_(watch), trace_(trace) {}

  Task<ports::EngineVersion> version() override { return pass("version", "", engine_.version()); }
  Task<void> follow_events(ports::OnEvent on_event) override { return engine_.follow_events(std::move(on_event)); }
  Task<std::optional<ports::DiskSpace>> disk_space() override { return pass("disk_space", "", engine_.disk_space()); }
  Task<std::vector<ports::Container>> list(ports::Labels labels) override {
    return pass("list", "", engine_.list(std::move(labels)));
  }
  Task<std::optional<ports::Container>> inspect(std::string id) override {
    return pass("inspect", id, engine_.inspect(id));
  }
  Task<std::string> create(ports::ContainerSpec spec) override {
    const auto name = spec.name;
    const auto late = [this, spec] { finish("create", spec.name, engine_.create(spec)); };
    return pass("create", name, engine_.create(std::move(spec)), late);
  }
  Task<void> start(std::string id) override {
    const auto late = [this, id] { finish("start", id, engine_.start(id)); };
    return pass("start", id, engine_.start(id), late);
  }
  Task<void> stop(std::string id, std::chrono::seconds grace) override {
    return pass("stop", id, engine_.stop(id, grace));
  }
  Task<void> rename(std::string id, std::string name) override {
    const auto late = [this, id, name] { finish("rename", id, engine_.rename(id, name)); };
    return pass("rename", id, engine_.rename(id, name), late);
  }
  Task<void> signal(std::string id, std::string signal) override {
    return pass("signal", id, engine_.signal(id, signal));
  }
  Task<void> remove(std::string id) override {
    const auto late = [this, id] { finish("remove", id, engine_.remove(id)); };
    return pass("remove", id, engine_.remove(id), late);
  }
  Task<std::vector<std::string>> log_tail(std::string id, int lines) override {
    return pass("log_tail", id, engine_.log_tail(id, lines));
  }
  Task<void> follow_logs(std::string id, ports::LogOptions options, ports::OnLog on_line) override {
    return engine_.follow_logs(std::move(id), options, std::move(on_line));
  }
  Task<ports::ExecResult> exec(std::string id, ports::ExecRequest request) override {
    return pass("exec", id, engine_.exec(id, std::move(request)));
  }
  Task<std::vector<ports::ProcessEntry>> processes(std::string id, std::int64_t pid) override {
    return pass("processes", id, engine_.processes(id, pid));
  }
  Task<std::optional<int>> established_connections(std::string id, std::uint16_t) override {
    return pass("established_connections", id, connections(id));
  }
  Task<std::vector<ports::Network>> networks() override { return pass("networks", "", engine_.networks()); }
  Task<std::optional<ports::Network>> inspect_network(std::string name) override {
    return pass("inspect_network", name, engine_.inspect_network(name));
  }
  Task<void> create_network(ports::NetworkSpec spec) override {
    const auto name = spec.name;
    return pass("create_network", name, engine_.create_network(std::move(spec)));
  }
  Task<void> connect(std::string id, ports::NetworkEndpoint endpoint) override {
    const auto late = [this, id, endpoint] { finish("connect", id, engine_.connect(id, endpoint)); };
    return pass("connect", id, engine_.connect(id, std::move(endpoint)), late);
  }
  Task<void> disconnect(std::string id, std::string network) override {
    return pass("disconnect", id, engine_.disconnect(id, network));
  }
  Task<std::string> build(ports::BuildRequest request, ports::OnLog on_log) override {
    const auto tag = request.tag;
    return pass("build", tag, built(std::move(request), std::move(on_log)));
  }
  Task<ports::Image> pull(std::string reference, ports::OnLog on_log) override {
    return pass("pull", reference, pulled(reference, std::move(on_log)));
  }
  Task<std::string> remote_digest(std::string reference) override {
    return pass("remote_digest", reference, engine_.remote_digest(reference));
  }
  Task<std::optional<ports::Image>> inspect_image(std::string reference) override {
    return pass("inspect_image", reference, engine_.inspect_image(reference));
  }
  Task<std::vector<ports::Image>> images(ports::Labels labels) override {
    return pass("images", "", engine_.images(std::move(labels)));
  }
  Task<bool> remove_image(std::string reference) override {
    return pass("remove_image", reference, engine_.remove_image(reference));
  }

  /// What the engine was asked and has not done: it may do so although nobody waits for it any more.
  std::vector<std::function<void()>> take_in_flight();

 private:
  using InFlight = std::list<std::function<void()>>;
  /// A call that the engine has got and not done; with the agent's death it is kept.
  struct UnderWay {
    UnderWay(InFlight& calls, std::function<void()> late) : all(calls), place(all.insert(all.end(), std::move(late))) {}
    ~UnderWay() { all.erase(place); }
    UnderWay(const UnderWay&) = delete;
    InFlight& all;
    InFlight::iterator place;
  };

  template <class T>
  Task<T> pass(std::string kind, std::string subject, Task<T> effect, std::function<void()> late = {}) {
    const auto shown = name_of_container(subject);
    std::optional<UnderWay> asked;
    if (late) asked.emplace(in_flight_, std::move(late));
    co_await boundary_.enter(Port::engine, kind, shown);
    asked.reset();
    watch_.before_effect(kind, subject);
    if constexpr (std::is_void_v<T>) {
      co_await std::move(effect);
      watch_.after_effect(kind, subject);
      boundary_.leave(Port::engine, kind, shown);
    } else {
      auto result = co_await std::move(effect);
      watch_.after_effect(kind, subject);
      boundary_.leave(Port::engine, kind, shown);
      co_return result;
    }
  }

  /// An effect after the death of the agent that asked for it.
  template <class T>
  void finish(const std::string& kind, const std::string& subject, Task<T> effect) {
    trace_.add("---- the engine goes on:", kind, name_of_container(subject));
    watch_.known_to_its_agent(subject);
    watch_.before_effect(kind, subject);
    try {
      tests::run_virtual(stage_.world.clock, std::move(effect));
      watch_.after_effect(kind, subject);
    } catch (const Error& error) {
      trace_.add("  it cannot:", error.message());
    }
  }

  Task<std::optional<int>> connections(std::string id);
  Task<std::string> built(ports::BuildRequest request, ports::OnLog on_log);
  Task<ports::Image> pulled(std::string reference, ports::OnLog on_log);
  std::string name_of_container(const std::string& id) const;

  tests::FakeEngine& engine_;
  Stage& stage_;
  Boundary& boundary_;
  Watch& watch_;
  Trace& trace_;
  InFlight in_flight_;
};

class SimSource final : public ports::SourceMirror {
 public:
  SimSource(Stage& stage, Boundary& boundary) : source_(stage.world.source), boundary_(boundary) {}
  Task<void> fetch(domain::GitSource source, std::function<void(std::string_view)> on_progress) override;
  Task<std::string> tip(domain::GitSource source, std::string branch) override;
  Task<std::string> message(domain::GitSource source, std::string commit) override;
  Task<std::string> resolve(domain::GitSource source, std::string ref) override;
  Task<std::unique_ptr<ports::SourceTree>> tree(domain::GitSource source, std::string commit) override;

 private:
  tests::FakeSource& source_;
  Boundary& boundary_;
};

class SimProxy final : public ports::UpstreamProxy {
 public:
  SimProxy(Stage& stage, Boundary& boundary, Watch& watch)
      : proxy_(stage.world.proxy), stage_(stage), boundary_(boundary), watch_(watch) {}
  Task<ports::SwitchReport> apply(std::vector<ports::Route> routes) override;
  Task<ports::SwitchReport> reload_users_files(std::vector<ports::Route> routes, ports::UsersChange change) override {
    return proxy_.reload_users_files(std::move(routes), std::move(change));
  }
  Task<void> rehearse() override { return proxy_.rehearse(); }
  Task<bool> wait_retired_workers(std::chrono::milliseconds limit) override;
  Task<int> workers_shutting_down() override;
  Task<std::vector<ports::Endpoint>> routed() override { return proxy_.routed(); }

 private:
  tests::FakeProxy& proxy_;
  Stage& stage_;
  Boundary& boundary_;
  Watch& watch_;
  bool applying_ = false;
};

class SimProber final : public ports::HealthProber {
 public:
  SimProber(Stage& stage, Boundary& boundary, Watch& watch) : stage_(stage), boundary_(boundary), watch_(watch) {}
  Task<ports::Verdict> prove(std::string container_id, ports::Endpoint endpoint, domain::HealthCheck check,
                             std::function<void(std::string_view)> on_note) override;
  Task<ports::Verdict> ask(std::string host, std::uint16_t port, std::string path,
                           std::chrono::milliseconds timeout) override;

 private:
  ports::Verdict look(const std::string& container_id, const ports::Endpoint& endpoint) const;

  Stage& stage_;
  Boundary& boundary_;
  Watch& watch_;
};

}  // namespace deploy::sim
