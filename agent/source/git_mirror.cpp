#include "agent/source/git_mirror.hpp"

#include <csignal>
#include <cstdlib>
#include <optional>
#include <utility>

#include "agent/base/atomic_file.hpp"
#include "agent/base/error.hpp"
#include "agent/base/text.hpp"
#include "agent/source/git_library.hpp"
#include "agent/source/git_tree.hpp"
#include "agent/source/git_url.hpp"
#include "agent/source/host_keys.hpp"
#include "agent/source/ssh_key.hpp"

namespace deploy::source {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kKnownHostsBytesMax = 1 << 20;
constexpr std::size_t kChildErrorBytesMax = 4096;

Error about(const std::string& url, ErrorKind kind, const std::string& what) {
  return Error(kind, "cannot fetch " + url + ": " + what);
}

fs::path home_of(const fs::path& mirror) { return fs::path(mirror).replace_extension(".home"); }

std::string token_for(const domain::GitSource& source) {
  if (source.token_env.empty()) return "";
  const char* const value = std::getenv(source.token_env.c_str());
  if (value == nullptr || *value == '\0') {
    throw about(source.url, ErrorKind::invalid,
                "the environment variable " + source.token_env +
                    " (`token_env`) is not set; set it for deployd, for instance in the EnvironmentFile of its unit");
  }
  return value;
}

/// What can be known to be wrong before anybody is asked.
void check_key(const domain::GitSource& source) {
  if (source.ssh_key.empty()) {
    throw about(source.url, ErrorKind::invalid,
                "ssh needs a key; make one with ssh-keygen -t ed25519 and name its file in `ssh_key`");
  }
  try {
    if (!read_ssh_key(source.ssh_key).encrypted) return;
  } catch (const Error& error) {
    throw about(source.url, ErrorKind::invalid, error.message() + "; see `ssh_key`");
  }
  throw about(
      source.url, ErrorKind::invalid,
      "the key " + source.ssh_key + " has a passphrase, and nobody is there to type it; make a key without one");
}

std::string known_hosts_for(const domain::GitSource& source, const GitUrl& url) {
  if (source.ssh_known_hosts.empty()) {
    throw about(source.url, ErrorKind::invalid,
                "ssh needs the server's host key; " +
                    known_hosts_advice("/etc/deployctl/known_hosts", url.host, url.port) +
                    "; then name the file in `ssh_known_hosts`");
  }
  try {
    return read_file(source.ssh_known_hosts, kKnownHostsBytesMax);
  } catch (const Error& error) {
    throw about(source.url, ErrorKind::invalid,
                error.message() + "; " + known_hosts_advice(source.ssh_known_hosts, url.host, url.port));
  }
}

/// A child that was killed leaves its temporary packs and locks; nobody else writes here.
void remove_leftovers(const fs::path& mirror) {
  std::error_code ignored;
  fs::remove_all(home_of(mirror), ignored);
  std::vector<fs::path> leftovers;
  for (fs::recursive_directory_iterator at(mirror, ignored), end; at != end; at.increment(ignored)) {
    const std::string name = at->path().filename();
    if (name.find("_git2_") != std::string::npos || name.ends_with(".lock")) leftovers.push_back(at->path());
  }
  for (const fs::path& path : leftovers) fs::remove(path, ignored);
}

/// Makes the folders that the child needs. Returns whether the mirror is there already.
bool prepare(const fs::path& mirror, const domain::GitSource& source) {
  const GitUrl url = parse_git_url(source.url);
  std::string known_hosts;
  if (url.transport == Transport::ssh) {
    check_key(source);
    known_hosts = known_hosts_for(source, url);
  }
  try {
    fs::create_directories(mirror.parent_path());
    remove_leftovers(mirror);
    const fs::path folder = home_of(mirror) / ".ssh";
    fs::create_directories(folder);
    write_atomically(folder / "known_hosts", known_hosts, 0600);
  } catch (const fs::filesystem_error& error) {
    const Error cause = file_error("write", error.path1(), error.code().value());
    throw about(source.url, cause.kind(), cause.message());
  } catch (const Error& error) {
    throw about(source.url, error.kind(), error.message());
  }
  return fs::exists(mirror);
}

/// Turns the child's output, which comes in any pieces, into lines.
class LineReader {
 public:
  explicit LineReader(std::function<void(std::string_view)> on_progress) : on_progress_(std::move(on_progress)) {}

  void add(std::string_view part) {
    pending_ += part;
    for (auto end = pending_.find('\n'); end != std::string::npos; end = pending_.find('\n')) {
      take(fetch_line_from(pending_.substr(0, end)));
      pending_.erase(0, end + 1);
    }
  }

  const std::optional<FetchLine>& outcome() const noexcept { return outcome_; }

 private:
  void take(FetchLine line) {
    if (const auto* progress = std::get_if<FetchProgress>(&line)) {
      if (on_progress_) on_progress_(progress->text);
    } else {
      outcome_ = std::move(line);
    }
  }

  std::function<void(std::string_view)> on_progress_;
  std::string pending_;
  std::optional<FetchLine> outcome_;
};

Error child_died(const FetchJob& job, const ports::ProcessResult& result) {
  const auto said = trim(result.error_output);
  const bool killed = result.exit_code == 128 + SIGKILL;
  return about(job.url, ErrorKind::failed,
               "the fetching process ended with code " + std::to_string(result.exit_code) +
                   " and said: " + std::string(said.empty() ? "nothing" : said) +
                   (killed ? "; the kernel does that when memory is short (dmesg tells): free some and try again"
                           : "; try again, and report it as a fault of deployctl if it stays so"));
}

}  // namespace

GitMirror::GitMirror(GitMirrorOptions options, ports::ProcessRunner& runner, asio::thread_pool& pool)
    : options_(std::move(options)), runner_(runner), pool_(pool) {
  start_git_library();
}

fs::path GitMirror::mirror_of(const std::string& url) const {
  return options_.folder / (sha256_hex(url).substr(0, 16) + ".git");
}

std::shared_ptr<AsyncMutex> GitMirror::mutex_of(const std::string& url, const asio::any_io_executor& executor) {
  auto mutex = fetching_[url].lock();
  if (!mutex) {
    mutex = std::make_shared<AsyncMutex>(executor);
    fetching_[url] = mutex;
  }
  return mutex;
}

Task<FetchLine> GitMirror::run_child(FetchJob job, OnProgress on_progress) {
  LineReader lines(std::move(on_progress));
  ports::ProcessSpec spec;
  spec.argv = {options_.fetch_program, "git-fetch"};
  spec.environment = {{"HOME", home_of(job.mirror).string()}};
  spec.standard_input = to_line(job);
  spec.deadline = job.tip_of.empty() ? options_.fetch_deadline : options_.tip_deadline;
  const std::string limit = human_duration(spec.deadline);
  spec.output_bytes_max = kChildErrorBytesMax;
  spec.on_output = [&lines](std::string_view part) { lines.add(part); };
  std::optional<ports::ProcessResult> result;
  try {
    result = co_await runner_.run(std::move(spec));
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::timed_out) throw;
    throw about(job.url, ErrorKind::timed_out,
                "it took longer than " + limit + " and was stopped; check the network to the server, and try again");
  }
  if (!lines.outcome()) co_return FetchFailed{child_died(job, *result)};
  co_return *lines.outcome();
}

Task<void> GitMirror::fetch(domain::GitSource source, std::function<void(std::string_view)> on_progress) {
  const auto executor = co_await asio::this_coro::executor;
  const auto mutex = mutex_of(source.url, executor);
  const auto lock = co_await mutex->lock();
  // A coroutine of its own: its clean-up switches cancellation off, which must not reach the caller's.
  co_await asio::co_spawn(executor, work_alone(std::move(source), "", std::move(on_progress)), asio::use_awaitable);
}

Task<std::string> GitMirror::tip(domain::GitSource source, std::string branch) {
  const auto executor = co_await asio::this_coro::executor;
  const auto mutex = mutex_of(source.url, executor);
  const auto lock = co_await mutex->lock();
  co_return co_await asio::co_spawn(executor, work_alone(std::move(source), std::move(branch), {}),
                                    asio::use_awaitable);
}

Task<std::string> GitMirror::work_alone(domain::GitSource source, std::string tip_of, OnProgress on_progress) {
  const fs::path mirror = mirror_of(source.url);
  const FetchJob job{source.url, mirror.string(), source.ssh_key, source.ssh_known_hosts, token_for(source), tip_of};
  auto preparation = [mirror, source] { return prepare(mirror, source); };
  bool keep = co_await offload(pool_, preparation);
  std::exception_ptr failure;
  FetchDone done;
  try {
    done = co_await fetch_or_renew(job, &keep, on_progress);
  } catch (...) {
    failure = std::current_exception();
  }
  // Also after a cancellation: what is left would stay until the next fetch.
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  auto cleaning = [mirror, remove = failure && !keep] {
    remove_leftovers(mirror);
    if (remove) fs::remove_all(mirror);
  };
  co_await offload(pool_, cleaning);
  if (failure) std::rethrow_exception(failure);
  co_return done.tip;
}

Task<FetchDone> GitMirror::fetch_or_renew(FetchJob job, bool* keep, OnProgress on_progress) {
  FetchLine outcome = co_await run_child(job, on_progress);
  if (const auto* failed = std::get_if<FetchFailed>(&outcome); failed != nullptr && failed->mirror_damaged && *keep) {
    if (on_progress) on_progress("the mirror is damaged and is fetched anew");
    *keep = false;
    auto removal = [mirror = job.mirror] { fs::remove_all(mirror); };
    co_await offload(pool_, removal);
    outcome = co_await run_child(job, on_progress);
  }
  if (const auto* failed = std::get_if<FetchFailed>(&outcome)) throw failed->error;
  co_return std::get<FetchDone>(outcome);
}

Task<std::string> GitMirror::resolve(domain::GitSource source, std::string ref) {
  auto work = [mirror = mirror_of(source.url).string(), url = source.url, ref] {
    return resolve_commit(mirror, url, ref);
  };
  co_return co_await offload(pool_, work);
}

Task<std::string> GitMirror::message(domain::GitSource source, std::string commit) {
  auto work = [mirror = mirror_of(source.url).string(), url = source.url, commit] {
    return commit_message(mirror, url, commit);
  };
  co_return co_await offload(pool_, work);
}

Task<std::unique_ptr<ports::SourceTree>> GitMirror::tree(domain::GitSource source, std::string commit) {
  auto work = [mirror = mirror_of(source.url).string(), source, commit] {
    return open_tree(mirror, source.url, commit, source.context);
  };
  co_return co_await offload(pool_, work);
}

}  // namespace deploy::source
