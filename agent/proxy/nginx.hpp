// The users' Nginx as ports::UpstreamProxy: one change is render, write, test, signal, prove; what fails
// is put back, tested, signalled and proved, too. An interrupted change (the agent was killed) is found by a note in
// the folder and finished or undone by the next apply.
//
// An upstream that no route names any more (it was renamed in deploy.d) is never taken from a configuration that may
// still send requests there: its file follows its service's targets, and goes at the first change after a start of this
// program or of Nginx that finds its name nowhere in the users' configuration.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/ports/clock.hpp"
#include "agent/ports/upstream_proxy.hpp"
#include "agent/proxy/nginx_place.hpp"
#include "agent/proxy/upstream_folder.hpp"
#include "agent/proxy/users_files.hpp"

namespace deploy::proxy {

inline const std::string host_itself = "127.0.0.1";

struct NginxSettings {
  std::filesystem::path upstreams;   // on this host; seen by Nginx and included inside http {}
  std::uint16_t marker_port = 0;     // where Nginx runs, used by nothing else there
  bool on_host = false;              // Nginx runs on this host, and the marker is asked at 127.0.0.1
  std::string network;               // the routing network
  std::string address;               // Nginx's fixed address on it
  std::string subnet;                // of the routing network, CIDR
  std::vector<std::string> aliases;  // the name of every service that is called through Nginx
  std::chrono::milliseconds proof_deadline{10000};
  std::filesystem::path proc = "/proc";  // where Nginx's files are seen as it sees them

  const std::string& marker_address() const { return on_host ? host_itself : address; }
};

/// Asks the generation marker over a new connection: the generation, or nullopt where there is no such answer.
using AskMarker = std::function<Task<std::optional<std::string>>()>;

/// Over HTTP from here to Nginx's address; one second each.
AskMarker marker_over_http(std::string address, std::uint16_t port);

/// One thread; one apply at a time. The place and the clock must outlive it.
class Nginx final : public ports::UpstreamProxy {
 public:
  Nginx(NginxPlace& place, ports::Clock& clock, NginxSettings settings, AskMarker ask_marker);

  Task<ports::SwitchReport> apply(std::vector<ports::Route> routes) override;
  Task<ports::SwitchReport> reload_users_files(std::vector<ports::Route> routes, ports::UsersChange users) override;
  Task<void> rehearse() override;
  Task<bool> wait_retired_workers(std::chrono::milliseconds limit) override;
  Task<int> workers_shutting_down() override;
  Task<std::vector<ports::Endpoint>> routed() override;

 private:
  /// What was learned about Nginx since it started.
  struct Facts {
    std::string id;
    std::int64_t pid = 0;
    NginxVersion version;
    ConfigDump dump;
    std::string proved;  // the generation that every accepting worker was last proved to have; empty: none
  };
  /// A test that passed before there was something to switch to.
  struct Rehearsal {
    std::string id;
    std::int64_t pid = 0;
    std::chrono::steady_clock::time_point at;
    std::string output;
    FileMap shape;  // of our files
    UsersFiles users_files;
  };
  /// One change under way.
  struct Change {
    RunningNginx nginx;
    std::string master_title;
    FileMap before;
    FileMap wanted;
    std::string generation;
    std::map<std::string, ports::Route> from_outside;  // by upstream, of those that have targets
    bool interrupted = false;                          // an earlier change was; Nginx may have loaded it
    bool rehearsed = false;                            // nothing has changed since the rehearsal that a test could find
    bool signalled = false;
    std::string refusal;                        // what nginx -t said
    const ports::UsersChange* users = nullptr;  // the users' own files change, too
  };
  struct Restored {
    bool in_doubt = false;  // Nginx may route by other files than those from before
    std::string outcome;    // in words
    std::string refusal;    // what nginx -t says to the previous files
  };
  struct Proof {
    bool given = false;
    std::string seen;  // where it was not given: what was seen instead
  };

  Task<void> meet(std::vector<ports::Route> routes, Change* change, ports::SwitchReport* report);
  Task<bool> learn(RunningNginx nginx, std::string master_title);
  Task<std::string> read_anew(RunningNginx nginx, std::string master_title);
  Task<void> load_users_files(std::vector<ports::Route> routes, Change* change, ports::SwitchReport* report);
  ConfigDump read(std::string_view dump) const;
  UpstreamFilesInput input(const std::vector<ports::Route>& routes,
                           const std::map<std::string, std::string>& upstreams) const;
  std::string next_generation(const FileMap& files, const std::optional<FileMap>& remembered) const;
  Task<void> try_rehearsal();
  bool is_rehearsed(const Change& change) const;
  Task<std::string> tested(Change* change, ports::SwitchReport* report);
  Task<bool> confirmed(std::string generation, int answers_wanted);
  Task<void> make(Change* change, ports::SwitchReport* report);
  Task<Restored> restore(Change* change);
  Task<void> undo(Change* change, std::exception_ptr failure);
  [[noreturn]] void throw_failure(const Change& change, const std::exception_ptr& cause,
                                  const Restored& restored) const;
  std::string broken_before(std::string_view refusal) const;
  Task<Workers> await_master(RunningNginx nginx);
  Task<Workers> watch(RunningNginx nginx);
  Task<Proof> reload_and_prove(RunningNginx nginx, std::optional<std::string> generation, ports::SwitchReport* report);
  Task<Proof> prove(RunningNginx nginx, std::set<std::int64_t> earlier, std::optional<std::string> generation);
  void note_unnamed(const Change& change, ports::SwitchReport* report) const;
  std::chrono::milliseconds since(std::chrono::steady_clock::time_point start) const;

  ports::Clock& clock_;
  NginxSettings settings_;
  AskMarker ask_marker_;
  NginxPlace& place_;
  UpstreamFolder folder_;
  WorkerWatch worker_watch_;
  std::optional<Facts> facts_;
  std::optional<Rehearsal> rehearsal_;
  std::chrono::milliseconds idle_connections_live_{0};  // the largest keepalive_min_timeout that was ever seen
};

}  // namespace deploy::proxy
