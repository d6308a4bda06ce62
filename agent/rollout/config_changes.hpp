// Config changes: a push to the repository that holds this host's compose, Nginx and env files. One at a time, and no
// other change of Nginx beside it:
//
//   fetch, look    the work tree can be brought forward to the tip of the branch    else: refused, nothing was changed
//   write          the files, in place                                              \  else: the earlier files are
//   back, test, reload,  Nginx serves with them                                            > and loaded where Nginx may
//   have prove                                                                           /  loaded the new ones keep
//   the branch of the work tree follows
//
// What deployd's end cuts short before `keep` is put back at the next start, before anybody asks Nginx for anything,
// and made again from the beginning. Settings of services that are others now are left to a person, or rolled out.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "agent/base/async.hpp"
#include "agent/domain/config_change.hpp"
#include "agent/ports/clock.hpp"
#include "agent/ports/source_mirror.hpp"
#include "agent/ports/work_tree.hpp"
#include "agent/rollout/journal.hpp"
#include "agent/rollout/preview.hpp"
#include "agent/rollout/traffic.hpp"
#include "agent/store/job_queue.hpp"

namespace deploy::rollout {

/// Where the files come from and go to.
struct ConfigPorts {
  ports::SourceMirror& source;
  ports::WorkTree& work_tree;
  Traffic& traffic;
  ports::Clock& clock;
};

class ConfigChanges {
 public:
  /// deployd's own configuration files that changed since it read them.
  using FilesChanged = std::function<std::vector<std::string>()>;
  using Say = std::function<void(const std::string& message)>;

  /// `retry`: for how long what does not answer is tried again. `on_jobs` is called when there are rollouts in the
  /// queue; `complain` hears of what could not even be written down.
  ConfigChanges(asio::any_io_executor executor, domain::ConfigRepo config, ConfigPorts ports, Journal& journal,
                store::Database& database, Previews& previews, std::chrono::milliseconds retry,
                FilesChanged files_changed, std::function<void()> on_jobs, Say complain);

  /// At the start, and before Nginx is asked for anything: puts back what was cut short. Throws Error where it cannot;
  /// it can be called again.
  Task<void> recover();

  /// Runs until it is cancelled. After recover().
  Task<void> run();

  /// There is a new one in the store.
  void wake();

  /// The tip of the branch, where no push told of it; nullopt: nothing was missed. One that was refused because of what
  /// is in the folder is missed again once it could be pulled. Throws Error where it could not be asked.
  Task<std::optional<std::string>> missed();
  /// Queues it as found by polling, unless one came meanwhile. Returns the cause; empty: it was not queued.
  std::string queue_missed(const std::string& commit);

  /// None waits and none is under way.
  bool idle() { return journal_.configs.unfinished().empty(); }

 private:
  std::optional<domain::ConfigChange> take_next();
  Task<void> make(domain::ConfigChange change);
  Task<bool> load_again(domain::ConfigChange change);
  Task<std::optional<ports::Pull>> look(domain::ConfigChange* change);
  Task<ports::Pull> fetch_and_look(domain::ConfigChange* change);
  Task<std::string> fetched_tip();
  Task<std::optional<ports::SwitchReport>> load(domain::ConfigChange change, ports::Pull pull);
  Task<ports::SwitchReport> reload(ports::UsersChange users);
  Task<void> keep(domain::ConfigChange change, ports::Pull pull, std::string loaded);
  Task<void> finish(domain::ConfigChange change, std::string text);
  void end(domain::ConfigChange change, domain::ConfigPhase phase, const std::string& reason);
  /// Calls it again while what it throws is transient, `may_again` says so, and `retry_` has not passed.
  template <class Make, class MayAgain>
  auto persistently(Make make, MayAgain may_again) -> decltype(make());

  domain::ConfigRepo config_;
  ConfigPorts ports_;
  Journal& journal_;
  store::JobQueue jobs_;
  Previews& previews_;
  std::chrono::milliseconds retry_;
  FilesChanged files_changed_;
  std::function<void()> on_jobs_;
  Say complain_;
  asio::any_io_executor executor_;
  Signal changed_;
  bool woken_ = false;
  std::string skipped_;  // the tip whose message asks for that
};

}  // namespace deploy::rollout
