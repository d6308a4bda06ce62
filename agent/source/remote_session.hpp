// libgit2's side of one connection to a remote: proves who we are, checks who they are, and turns what goes wrong into
// one message that says what to do.
#pragma once

#include <git2.h>

#include <functional>
#include <optional>
#include <string>

#include "agent/base/error.hpp"
#include "agent/source/git_job.hpp"
#include "agent/source/git_url.hpp"

namespace deploy::source {

/// Must stay where it is while callbacks() are in use. One thread.
class RemoteSession {
 public:
  using OnProgress = std::function<void(std::string)>;

  RemoteSession(FetchJob job, OnProgress on_progress);
  RemoteSession(const RemoteSession&) = delete;
  RemoteSession& operator=(const RemoteSession&) = delete;

  git_remote_callbacks callbacks();

  /// Why the connection was not made, after libgit2's call returned an error.
  Error connection_failure() const;

  /// The same error, with the address before it.
  Error about(ErrorKind kind, const std::string& what) const;

 private:
  static int on_credentials(git_credential** out, const char* url, const char* user, unsigned allowed, void* self);
  static int on_certificate(git_cert* certificate, int valid, const char* host, void* self);
  static int on_transfer(const git_indexer_progress* progress, void* self);

  int give_ssh_credentials(git_credential** out, unsigned allowed);
  int give_token(git_credential** out);
  int check_host(const git_cert_hostkey& certificate);
  int refuse(ErrorKind kind, const std::string& what);
  Error key_refused() const;
  Error server_answer(const std::string& reason) const;

  FetchJob job_;
  GitUrl url_;
  OnProgress on_progress_;
  std::optional<Error> refusal_;
  bool credentials_given_ = false;
  unsigned percent_reported_ = 0;
};

}  // namespace deploy::source
