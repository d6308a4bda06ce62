// The users' Nginx, as far as we use it: which targets get a service's requests.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "agent/base/async.hpp"
#include "agent/domain/service.hpp"
#include "agent/ports/health_prober.hpp"

namespace deploy::ports {

/// A service and the targets that get its requests, from outside and from other services. No targets: requests are
/// answered 502 by Nginx.
struct Route {
  std::string service;
  domain::ProxySettings settings;
  std::vector<Endpoint> targets;
  bool operator==(const Route&) const = default;
};

struct SwitchReport {
  bool proxied = true;                            // false: there is no proxy, so nothing was tested, loaded or proved
  bool changed = false;                           // false: the files said so already and a proof was enough
  std::optional<std::chrono::milliseconds> test;  // nginx -t; nullopt: rehearse() had done it
  std::chrono::milliseconds reload{0};            // the signal
  std::chrono::milliseconds prove{0};
  std::vector<std::string> notes;   // what a person should know, e.g. keepalive_min_timeout is not set
  std::vector<std::string> edited;  // paths of our files that somebody changed by hand and that are left so for now
};

/// A file whose text changes.
struct TextChange {
  std::string path;
  std::string before;
  std::string after;
};

/// A change of the users' own files, made by whoever calls.
struct UsersChange {
  std::vector<TextChange> texts;         // what Nginx is to see, of the files that it reads
  std::function<Task<void>()> write;     // the new files; what it throws ends the change
  std::function<Task<void>()> put_back;  // the files as they were, whatever `write` got done
};

class UpstreamProxy {
 public:
  virtual ~UpstreamProxy() = default;

  /// Makes all of Nginx's routes be these: joins the routing network where needed, writes, tests, signals and proves.
  /// When it returns no worker that accepts connections has another configuration. When it throws, the files, and what
  /// Nginx has loaded, are as before, unless the kind is in_doubt. Other kinds: not_found (no Nginx container), invalid
  /// (nginx -t refuses; the message holds its output and says whether it was broken before), timed_out (no proof),
  /// disk_full, unreachable. An upstream that no route names any more keeps getting the targets of the service that
  /// it belonged to, for as long as the users' configuration may name it. A file of ours that somebody changed by hand
  /// stays as it is while nothing else is to be changed and it names the same targets; before it is written again its
  /// text is kept beside it, and a note says where. One call at a time.
  virtual Task<SwitchReport> apply(std::vector<Route> routes) = 0;

  /// Lets the change write the users' own files and makes Nginx serve with them: tests, writes a new generation,
  /// signals and proves, with these routes as apply. Where there is no proxy it writes and no more. When it throws, the
  /// users' files were put back and Nginx was made to load those from before where it may have loaded the new ones,
  /// unless the kind is in_doubt; kinds as of apply and of `write`. Not while apply runs.
  virtual Task<SwitchReport> reload_users_files(std::vector<Route> routes, UsersChange change) = 0;

  /// Tests the configuration as it is now, so that the next apply needs no test of its own where the users' part of it
  /// has not changed since then, and ours in nothing but addresses. Changes nothing; not while apply runs. What is
  /// wrong is left to apply to say: throws Error(cancelled) alone.
  virtual Task<void> rehearse() = 0;

  /// Returns when no worker of an earlier configuration can take another request: each is gone, or has been shutting
  /// down for longer than an idle connection may live on; or when `limit` has passed (false).
  virtual Task<bool> wait_retired_workers(std::chrono::milliseconds limit) = 0;

  /// How many workers finish what they have and take nothing new: each reload leaves those behind that have long
  /// connections. 0 where Nginx does not run.
  virtual Task<int> workers_shutting_down() = 0;

  /// Every target that our files in the folder name now, whether or not the database knows it, in order and each once;
  /// empty where there are none. While a change is cut short, those of the files before it, too, because Nginx may
  /// still route by them. Throws Error: not_found (the folder does not exist), invalid (the files from before cannot be
  /// read).
  virtual Task<std::vector<Endpoint>> routed() = 0;
};

}  // namespace deploy::ports
