// A container engine in memory. It records its calls, can fail any of them before or after its effect, and containers
// behave as the test says. tests/contract holds it to what the real engine does. One thread.
#pragma once

#include <exception>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "agent/base/error.hpp"
#include "agent/ports/clock.hpp"
#include "agent/ports/container_engine.hpp"

namespace deploy::tests {

/// Whether `labels` has all of `wanted`.
bool carries(const ports::Labels& labels, const ports::Labels& wanted);
bool runs(const ports::Container& container);

class FakeEngine final : public ports::ContainerEngine {
 public:
  /// What a container does once it is started.
  struct Behaviour {
    bool exits = false;  // at once
    int exit_code = 0;
    std::string health = "none";  // starting, healthy, unhealthy
    std::string health_output;
    std::vector<std::string> log;
  };

  struct Record {
    ports::Container container;
    ports::ContainerSpec spec;
    Behaviour behaviour;
    std::vector<std::string> log;
    std::map<std::uint16_t, int> connections;
    std::set<std::string> automatic;  // networks where each start gives it another address
  };

  struct BuildOutcome {
    std::vector<std::string> log;
    std::string error;  // empty: the build works
    std::chrono::milliseconds takes{0};
  };

  enum class When { before, after };  // the effect

  FakeEngine();

  /// How a container behaves; by default it runs until it is stopped.
  std::function<Behaviour(const ports::ContainerSpec&)> behave;
  /// What a command inside a container answers; by default exit code 0 and no output.
  std::function<ports::ExecResult(const Record&, const ports::ExecRequest& request)> on_exec;
  /// What a build does; by default it works.
  std::function<BuildOutcome(const ports::BuildRequest&)> on_build;
  ports::Clock* clock = nullptr;  // for what takes time
  bool loses_last_lines = false;  // a log that is followed ends without the last line, where its container has ended
  /// Which references a registry holds, and the labels of their images; other labels are another image.
  std::map<std::string, ports::Labels> registry;
  std::map<std::string, std::chrono::milliseconds> pull_takes;  // by reference; others take no time
  /// What disk_space() says.
  std::optional<ports::DiskSpace> free_space;
  /// Hears of every call ("start backend-1") before and after its effect; what it throws comes out of the call. An
  /// effect that is refused has no after.
  std::function<void(const std::string& call, When when)> on_call;

  /// The nth call of a kind ("create", "start", …) from now, 1 the next, throws `error`; with When::after its effect is
  /// there.
  void fail(const std::string& kind, int nth, When when, std::exception_ptr error);
  void fail(const std::string& kind, int nth, When when, const Error& error);

  /// Every call in order: its kind and what it is about, by name ("start backend-1", "connect nginx routing").
  std::vector<std::string> calls;
  /// Calls that change something.
  std::vector<std::string> effects() const;

  /// The record of a container by name or id. Throws std::logic_error where there is none.
  Record& at(const std::string& id_or_name);
  std::vector<std::string> names() const;
  /// Everything that there is, by id.
  const std::map<std::string, Record>& all() const noexcept { return containers_; }
  const std::vector<ports::Image>& all_images() const noexcept { return images_; }
  /// The container ends by itself; with a restart policy it is then "restarting".
  void exit(const std::string& id_or_name, int exit_code);
  void add_log(const std::string& id_or_name, const std::string& line);
  void set_health(const std::string& id_or_name, const std::string& health, const std::string& output = "");
  /// An image that is there already. Returns its id.
  std::string add_image(const std::string& reference, ports::Labels labels = {}, bool has_healthcheck = false);

  Task<ports::EngineVersion> version() override;
  /// Hears of start, die and destroy until the call is cancelled.
  Task<void> follow_events(ports::OnEvent on_event) override;
  Task<std::optional<ports::DiskSpace>> disk_space() override;
  Task<std::vector<ports::Container>> list(ports::Labels labels) override;
  Task<std::optional<ports::Container>> inspect(std::string id_or_name) override;
  Task<std::string> create(ports::ContainerSpec spec) override;
  Task<void> rename(std::string id, std::string name) override;
  Task<void> start(std::string id) override;
  Task<void> stop(std::string id, std::chrono::seconds grace) override;
  Task<void> signal(std::string id, std::string signal) override;
  Task<void> remove(std::string id) override;
  Task<std::vector<std::string>> log_tail(std::string id, int lines) override;
  Task<void> follow_logs(std::string id, ports::LogOptions options, ports::OnLog on_line) override;
  Task<ports::ExecResult> exec(std::string id, ports::ExecRequest request) override;
  Task<std::vector<ports::ProcessEntry>> processes(std::string id, std::int64_t pid) override;
  Task<std::optional<int>> established_connections(std::string id, std::uint16_t port) override;
  Task<std::vector<ports::Network>> networks() override;
  Task<std::optional<ports::Network>> inspect_network(std::string name) override;
  Task<void> create_network(ports::NetworkSpec spec) override;
  Task<void> connect(std::string container_id, ports::NetworkEndpoint endpoint) override;
  Task<void> disconnect(std::string container_id, std::string network) override;
  Task<std::string> build(ports::BuildRequest request, ports::OnLog on_log) override;
  Task<ports::Image> pull(std::string reference, ports::OnLog on_log) override;
  Task<std::string> remote_digest(std::string reference) override;
  Task<std::optional<ports::Image>> inspect_image(std::string reference) override;
  Task<std::vector<ports::Image>> images(ports::Labels labels) override;
  Task<bool> remove_image(std::string reference) override;

 private:
  struct Planned {
    std::string kind;
    int remaining;
    When when;
    std::exception_ptr error;
  };
  /// Records a call when it begins, and ends it at the planned failures.
  class Call {
   public:
    Call(FakeEngine& engine, std::string kind, const std::string& subject)
        : engine_(engine), kind_(std::move(kind)), call_(subject.empty() ? kind_ : kind_ + " " + subject) {
      engine_.calls.push_back(call_);
      engine_.reach(kind_, call_, When::before);
    }
    void done() { engine_.reach(kind_, call_, When::after); }

   private:
    FakeEngine& engine_;
    std::string kind_;
    std::string call_;
  };

  Record* find(const std::string& id_or_name);
  Record& require(const std::string& what, const std::string& id_or_name);
  std::string name_of(const std::string& id_or_name);
  ports::Image* find_image(const std::string& reference);
  const std::pair<const std::string, ports::Labels>* held_by_registry(const std::string& wanted) const;
  ports::NetworkSpec& require_network(const std::string& what, const std::string& name);
  void take_address(const std::string& what, const Record& record, ports::NetworkEndpoint& endpoint);
  bool address_taken(const Record& record, const std::string& network, const std::string& address) const;
  void reach(const std::string& kind, const std::string& call, When when);
  void wake_followers();
  void happened(const std::string& action, const Record& record);
  std::string next_id();

  std::map<std::string, Record> containers_;  // by id
  std::map<std::string, ports::NetworkSpec> networks_;
  std::map<std::string, std::string> network_ids_;
  std::vector<ports::Image> images_;
  std::vector<Planned> planned_;
  std::vector<Signal*> followers_;
  std::vector<const ports::OnEvent*> listeners_;
  std::int64_t next_number_ = 1;
};

}  // namespace deploy::tests
