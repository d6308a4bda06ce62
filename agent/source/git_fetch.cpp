#include "agent/source/git_fetch.hpp"

#include <git2.h>
#include <signal.h>
#include <sys/prctl.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <istream>
#include <ostream>
#include <string>

#include "agent/source/git_job.hpp"
#include "agent/source/git_library.hpp"
#include "agent/source/git_url.hpp"
#include "agent/source/remote_session.hpp"

namespace deploy::source {

namespace fs = std::filesystem;

namespace {

/// A failure of the mirror itself, not of the remote.
struct MirrorDamaged {
  Error error;
};

/// libgit2 was perhaps built for another system's certificates; SSL_CERT_FILE is OpenSSL's name for the same wish.
void use_system_certificates() {
  const char* const chosen = std::getenv("SSL_CERT_FILE");
  const std::string bundle = chosen != nullptr ? chosen : "/etc/ssl/certs/ca-certificates.crt";
  if (fs::exists(bundle)) git_libgit2_opts(GIT_OPT_SET_SSL_CERT_LOCATIONS, bundle.c_str(), nullptr);
}

class Fetch {
 public:
  Fetch(const FetchJob& job, std::ostream& out)
      : job_(job),
        session_(job, [&out](std::string text) { out << to_line(FetchProgress{std::move(text)}) << std::flush; }) {}

  /// Returns the tip that was asked for, if one was. Throws Error or MirrorDamaged.
  std::string run() {
    if (!job_.tip_of.empty()) return tip();
    bring_up_to_date();
    return "";
  }

 private:
  /// What `git ls-remote` does: the remote says first of all where its branches are.
  std::string tip() {
    git_remote* created = nullptr;
    if (git_remote_create_detached(&created, job_.url.c_str()) != 0) throw session_.connection_failure();
    const GitRemote remote(created);
    git_fetch_options options = GIT_FETCH_OPTIONS_INIT;
    options.callbacks = session_.callbacks();
    options.follow_redirects = GIT_REMOTE_REDIRECT_NONE;
    connect(remote.get(), options);
    const git_remote_head** heads = nullptr;
    std::size_t count = 0;
    if (git_remote_ls(&heads, &count, remote.get()) != 0) throw session_.connection_failure();
    const std::string wanted = "refs/heads/" + job_.tip_of;
    for (std::size_t i = 0; i < count; ++i) {
      if (heads[i]->name == wanted) return to_text(heads[i]->oid);
    }
    throw session_.about(ErrorKind::not_found, "it has no branch \"" + job_.tip_of +
                                                   "\"; check the configured `branch`, and that it was pushed");
  }

  void bring_up_to_date() {
    const GitRepository repository = open_or_create();
    git_remote* created = nullptr;
    if (git_remote_create_anonymous(&created, repository.get(), job_.url.c_str()) != 0) fail_in_mirror();
    const GitRemote remote(created);
    git_fetch_options options = GIT_FETCH_OPTIONS_INIT;
    options.callbacks = session_.callbacks();
    options.follow_redirects = GIT_REMOTE_REDIRECT_NONE;
    options.download_tags = GIT_REMOTE_DOWNLOAD_TAGS_NONE;  // the refspec brings every tag
    connect(remote.get(), options);
    download(remote.get(), options);
  }

  GitRepository open_or_create() {
    if (fs::exists(job_.mirror)) {
      git_repository* opened = nullptr;
      if (git_repository_open_bare(&opened, job_.mirror.c_str()) != 0) fail_in_mirror();
      return GitRepository(opened);
    }
    git_repository* created = nullptr;
    if (git_repository_init(&created, job_.mirror.c_str(), 1) != 0) {
      throw session_.about(kind_of_last(), "cannot make the mirror " + job_.mirror + ": " + git_message());
    }
    return GitRepository(created);
  }

  void connect(git_remote* remote, const git_fetch_options& options) {
    git_remote_connect_options connecting = GIT_REMOTE_CONNECT_OPTIONS_INIT;
    connecting.callbacks = options.callbacks;
    connecting.follow_redirects = options.follow_redirects;
    if (git_remote_connect_ext(remote, GIT_DIRECTION_FETCH, &connecting) != 0) throw session_.connection_failure();
  }

  void download(git_remote* remote, const git_fetch_options& options) {
    std::string branches = "+refs/heads/*:refs/heads/*";
    std::string tags = "+refs/tags/*:refs/tags/*";
    std::array<char*, 2> names = {branches.data(), tags.data()};
    const git_strarray refspecs{names.data(), names.size()};
    if (git_remote_download(remote, &refspecs, &options) != 0) fail_in_mirror();
    // Before the update: a branch "a" that is gone stands in the way of a new branch "a/b".
    if (git_remote_prune(remote, &options.callbacks) != 0) fail_in_mirror();
    if (git_remote_update_tips(remote, &options.callbacks, 0, GIT_REMOTE_DOWNLOAD_TAGS_NONE, nullptr) != 0)
      fail_in_mirror();
    check_tips(git_remote_owner(remote));
  }

  /// Every branch and tag must be there in fact: a lost pack shows here and not in the middle of a build.
  void check_tips(git_repository* repository) {
    const auto check = [](const char* name, void* payload) -> int {
      git_object* tip = nullptr;
      if (git_revparse_single(&tip, static_cast<git_repository*>(payload), name) != 0) return -1;
      git_object_free(tip);
      return 0;
    };
    if (git_reference_foreach_name(repository, check, repository) != 0) fail_in_mirror();
  }

  static ErrorKind kind_of_last() {
    return git_message().find("No space left on device") != std::string::npos ? ErrorKind::disk_full
                                                                              : ErrorKind::failed;
  }

  [[noreturn]] void fail_in_mirror() {
    const std::string reason = git_message();
    if (kind_of_last() == ErrorKind::disk_full) {
      throw session_.about(ErrorKind::disk_full,
                           "cannot write " + job_.mirror + ": No space left on device; free some space and try again");
    }
    const git_error* const last = git_error_last();
    const int area = last != nullptr ? last->klass : GIT_ERROR_NONE;
    if (area == GIT_ERROR_NET || area == GIT_ERROR_SSH || area == GIT_ERROR_SSL || area == GIT_ERROR_HTTP ||
        area == GIT_ERROR_CALLBACK) {
      throw session_.connection_failure();
    }
    throw MirrorDamaged{session_.about(ErrorKind::failed, "the mirror " + job_.mirror + " cannot be used: " + reason +
                                                              "; remove that folder and try again")};
  }

  FetchJob job_;
  RemoteSession session_;
};

FetchLine fetch(const FetchJob& job, std::ostream& out) {
  try {
    start_git_library();
    git_libgit2_opts(GIT_OPT_ENABLE_FSYNC_GITDIR, 1);
    use_system_certificates();
    // A local repository may belong to another user than root: the operator named it, and nothing in it is run.
    if (parse_git_url(job.url).transport == Transport::file) git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 0);
    return FetchDone{Fetch(job, out).run()};
  } catch (const MirrorDamaged& damaged) {
    return FetchFailed{damaged.error, true};
  } catch (const Error& error) {
    return FetchFailed{error};
  } catch (const std::exception& error) {
    return FetchFailed{Error(ErrorKind::failed, "cannot fetch " + job.url + ": " + error.what())};
  }
}

}  // namespace

int git_fetch_main(std::istream& in, std::ostream& out) {
  // If the agent is killed, the next one must find nobody at work in the mirror.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  std::string text;
  std::getline(in, text);
  FetchLine outcome;
  try {
    outcome = fetch(job_from_line(text), out);
  } catch (const Error& error) {
    outcome = FetchFailed{error};
  }
  out << to_line(outcome) << std::flush;
  return std::holds_alternative<FetchDone>(outcome) ? 0 : 1;
}

}  // namespace deploy::source
