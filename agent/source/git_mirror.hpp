// ports::SourceMirror on libgit2: one bare repository per address, fetched by a child process, read on the pool.
// Owned by the daemon; its calls are made on the io_context's thread.
#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "agent/ports/process_runner.hpp"
#include "agent/ports/source_mirror.hpp"
#include "agent/source/git_job.hpp"

namespace deploy::source {

struct GitMirrorOptions {
  std::filesystem::path folder;  // holds the mirrors; made where there is none
  std::string fetch_program;     // path of deployd, which is run as `deployd git-fetch`
  std::chrono::milliseconds fetch_deadline{120000};
  std::chrono::milliseconds tip_deadline{30000};
};

/// A mirror is <folder>/<first 16 digits of the address's SHA-256>.git. Beside it, while a fetch runs, the same name
/// with
/// ".home" is the child's HOME with a copy of the known_hosts file: libgit2 picks the kind of host key it asks for by
/// it.
class GitMirror : public ports::SourceMirror {
 public:
  /// `runner` and `pool` outlive this.
  GitMirror(GitMirrorOptions options, ports::ProcessRunner& runner, asio::thread_pool& pool);

  /// One at a time per mirror; further calls wait. A mirror that is damaged is made anew, once. The token is read from
  /// the agent's environment at each call.
  Task<void> fetch(domain::GitSource source, std::function<void(std::string_view)> on_progress) override;

  /// Waits for a fetch of the same address.
  Task<std::string> tip(domain::GitSource source, std::string branch) override;

  Task<std::string> message(domain::GitSource source, std::string commit) override;

  /// 40 hexadecimal digits are always a commit id; else a branch comes before a tag and that before an abbreviated id
  /// of at least 7 digits. Expressions ("main~1", "@{upstream}") are Error(invalid).
  Task<std::string> resolve(domain::GitSource source, std::string ref) override;

  Task<std::unique_ptr<ports::SourceTree>> tree(domain::GitSource source, std::string commit) override;

  /// Where an address's mirror is, there or not.
  std::filesystem::path mirror_of(const std::string& url) const;

 private:
  using OnProgress = std::function<void(std::string_view)>;

  std::shared_ptr<AsyncMutex> mutex_of(const std::string& url, const asio::any_io_executor& executor);
  /// With the mirror to itself: prepares, runs the job, and clears away what it left. Returns the tip, if one is asked.
  Task<std::string> work_alone(domain::GitSource source, std::string tip_of, OnProgress on_progress);
  /// `keep`: the mirror was there before and stays if this fails.
  Task<FetchDone> fetch_or_renew(FetchJob job, bool* keep, OnProgress on_progress);
  Task<FetchLine> run_child(FetchJob job, OnProgress on_progress);

  GitMirrorOptions options_;
  ports::ProcessRunner& runner_;
  asio::thread_pool& pool_;
  std::map<std::string, std::weak_ptr<AsyncMutex>> fetching_;  // by address; alive while somebody fetches it
};

}  // namespace deploy::source
