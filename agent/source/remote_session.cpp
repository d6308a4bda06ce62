#include "agent/source/remote_session.hpp"

#include <fmt/format.h>
#include <libssh2.h>

#include <string_view>
#include <utility>

#include "agent/source/git_library.hpp"
#include "agent/source/host_keys.hpp"
#include "agent/source/ssh_key.hpp"

// libgit2 1.9 declares git_error_set_str here and no longer by way of git2.h.
#if __has_include(<git2/sys/errors.h>)
#include <git2/sys/errors.h>
#endif

namespace deploy::source {

namespace {

std::optional<HostKeyKind> host_key_kind(git_cert_ssh_raw_type_t type) {
  switch (type) {
    case GIT_CERT_SSH_RAW_TYPE_RSA:
      return HostKeyKind::rsa;
    case GIT_CERT_SSH_RAW_TYPE_KEY_ECDSA_256:
      return HostKeyKind::ecdsa_256;
    case GIT_CERT_SSH_RAW_TYPE_KEY_ECDSA_384:
      return HostKeyKind::ecdsa_384;
    case GIT_CERT_SSH_RAW_TYPE_KEY_ECDSA_521:
      return HostKeyKind::ecdsa_521;
    case GIT_CERT_SSH_RAW_TYPE_KEY_ED25519:
      return HostKeyKind::ed25519;
    default:
      return std::nullopt;
  }
}

// Exceptions must not pass through libgit2, which is C: what is thrown becomes the refusal.
template <class F>
int guarded(std::optional<Error>& refusal, F call) {
  try {
    return call();
  } catch (const Error& error) {
    refusal = error;
  } catch (const std::exception& error) {
    refusal = Error(ErrorKind::failed, error.what());
  }
  return GIT_EUSER;
}

bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

}  // namespace

RemoteSession::RemoteSession(FetchJob job, OnProgress on_progress)
    : job_(std::move(job)), url_(parse_git_url(job_.url)), on_progress_(std::move(on_progress)) {}

git_remote_callbacks RemoteSession::callbacks() {
  git_remote_callbacks callbacks = GIT_REMOTE_CALLBACKS_INIT;
  callbacks.credentials = &RemoteSession::on_credentials;
  callbacks.certificate_check = &RemoteSession::on_certificate;
  callbacks.transfer_progress = &RemoteSession::on_transfer;
  callbacks.payload = this;
  return callbacks;
}

Error RemoteSession::about(ErrorKind kind, const std::string& what) const {
  return Error(kind, "cannot fetch " + job_.url + ": " + what);
}

int RemoteSession::refuse(ErrorKind kind, const std::string& what) {
  refusal_ = about(kind, what);
  git_error_set_str(GIT_ERROR_CALLBACK, what.c_str());
  return GIT_EUSER;
}

int RemoteSession::on_credentials(git_credential** out, const char*, const char*, unsigned allowed, void* self) {
  auto& session = *static_cast<RemoteSession*>(self);
  return guarded(session.refusal_, [&] {
    return session.url_.transport == Transport::ssh ? session.give_ssh_credentials(out, allowed)
                                                    : session.give_token(out);
  });
}

int RemoteSession::give_ssh_credentials(git_credential** out, unsigned allowed) {
  // Asked first where the address names no user.
  if ((allowed & GIT_CREDENTIAL_USERNAME) != 0) return git_credential_username_new(out, url_.user.c_str());
  if ((allowed & GIT_CREDENTIAL_SSH_KEY) == 0) {
    return refuse(ErrorKind::invalid, url_.host + " does not accept keys for user " + url_.user +
                                          "; allow public keys in the server's settings");
  }
  if (std::exchange(credentials_given_, true)) {
    refusal_ = key_refused();
    return GIT_EAUTH;
  }
  return git_credential_ssh_key_new(out, url_.user.c_str(), nullptr, job_.ssh_key.c_str(), nullptr);
}

Error RemoteSession::key_refused() const {
  std::string what = fmt::format("{} refused the key {} for user {}", url_.host, job_.ssh_key, url_.user);
  if (read_ssh_key(job_.ssh_key).kind == SshKeyKind::rsa && libssh2_version(0x010b00) == nullptr) {
    return about(
        ErrorKind::invalid,
        what + fmt::format("; it is an RSA key, and libssh2 {} signs with those only in the way (SHA-1) that "
                           "today's servers refuse: make another with ssh-keygen -t ed25519 and add its public "
                           "half to the repository as a deploy key",
                           libssh2_version(0)));
  }
  return about(ErrorKind::invalid, what + "; add its public half to the repository as a deploy key");
}

int RemoteSession::give_token(git_credential** out) {
  if (job_.token.empty()) {
    return refuse(ErrorKind::invalid,
                  url_.host +
                      " asks who we are: the repository is private or does not exist; put a token that may read it "
                      "into an environment variable of deployd and name it in `token_env`");
  }
  if (std::exchange(credentials_given_, true)) {
    return refuse(ErrorKind::invalid,
                  url_.host + " refused the token; make a new one that may read the repository's contents");
  }
  return git_credential_userpass_plaintext_new(out, "x-access-token", job_.token.c_str());
}

int RemoteSession::on_certificate(git_cert* certificate, int valid, const char*, void* self) {
  auto& session = *static_cast<RemoteSession*>(self);
  return guarded(session.refusal_, [&] {
    if (certificate->cert_type == GIT_CERT_HOSTKEY_LIBSSH2) {
      return session.check_host(*reinterpret_cast<const git_cert_hostkey*>(certificate));
    }
    if (valid != 0) return 0;
    return session.refuse(
        ErrorKind::invalid,
        "the certificate of " + session.url_.host +
            " is not trusted: it expired, is for another name, or its authority is unknown here; renew "
            "it, or add the authority with update-ca-certificates");
  });
}

int RemoteSession::check_host(const git_cert_hostkey& certificate) {
  const auto kind = host_key_kind(certificate.raw_type);
  if ((certificate.type & GIT_CERT_SSH_RAW) == 0 || !kind) {
    return refuse(ErrorKind::invalid,
                  url_.host + " has a host key of a kind that is not supported; use ed25519 or ECDSA");
  }
  const std::string_view key(certificate.hostkey, certificate.hostkey_len);
  const std::string scan = keyscan_command(url_.host, url_.port) + " >> " + job_.ssh_known_hosts;
  switch (check_host_key(job_.ssh_known_hosts, url_.host, url_.port, *kind, key)) {
    case HostKeyMatch::known:
      return 0;
    case HostKeyMatch::unknown:
      return refuse(
          ErrorKind::invalid,
          fmt::format("the host key of {} is not in {}; its fingerprint is {}: if its operator publishes the same, "
                      "run: {}",
                      url_.host, job_.ssh_known_hosts, fingerprint(key), scan));
    case HostKeyMatch::mismatch:
      return refuse(
          ErrorKind::invalid,
          fmt::format("the host key of {} is not the one in {}: somebody may be in between; its fingerprint is {}: "
                      "if its operator confirms that it was changed to this, remove the old line and run: {}",
                      url_.host, job_.ssh_known_hosts, fingerprint(key), scan));
  }
  return GIT_ECERTIFICATE;
}

int RemoteSession::on_transfer(const git_indexer_progress* progress, void* self) {
  auto& session = *static_cast<RemoteSession*>(self);
  if (progress->total_objects == 0) return 0;
  const unsigned percent = static_cast<unsigned>(100ULL * progress->received_objects / progress->total_objects);
  // A line every tenth of the way: a rollout's log has no use for more.
  if (percent < 100 && percent < session.percent_reported_ + 10) return 0;
  if (percent == session.percent_reported_) return 0;
  session.percent_reported_ = percent;
  return guarded(session.refusal_, [&] {
    session.on_progress_(fmt::format("received {} of {} objects, {:.1f} MB", progress->received_objects,
                                     progress->total_objects, static_cast<double>(progress->received_bytes) / 1e6));
    return 0;
  });
}

Error RemoteSession::connection_failure() const {
  if (refusal_) return *refusal_;
  const std::string reason = git_message();
  if (url_.transport == Transport::file) {
    return about(ErrorKind::invalid,
                 "there is no repository that can be read; check the path and its permissions (" + reason + ")");
  }
  return server_answer(reason);
}

Error RemoteSession::server_answer(const std::string& reason) const {
  // libgit2 says most of this in words only; the words are of 1.5 to 1.9.
  const bool over_ssh = url_.transport == Transport::ssh;
  if (contains(reason, "failed to connect") || contains(reason, "failed to resolve") ||
      contains(reason, "could not connect")) {
    return about(ErrorKind::unreachable,
                 "cannot reach " + url_.host + " (" + reason + "); check the address and the network");
  }
  if (contains(reason, "status code: 404") || contains(reason, "not found") ||
      contains(reason, "does not appear to be a git repository")) {
    return about(ErrorKind::invalid,
                 fmt::format("{} has no such repository, or does not show it to {}; check the address and "
                             "that {} may read it",
                             url_.host, over_ssh ? "this key" : "us", over_ssh ? "the key" : "the token"));
  }
  if (contains(reason, "status code: 403") || contains(reason, "ermission")) {
    return about(ErrorKind::invalid, url_.host + " does not let us read the repository (" + reason +
                                         "); give the key or the token read access");
  }
  if (contains(reason, "redirect") || contains(reason, "status code: 30")) {
    return about(ErrorKind::invalid, url_.host +
                                         " redirects to another address, which is not followed; set source.git.url to "
                                         "the repository's present address");
  }
  if (contains(reason, "loading known_hosts")) {
    return about(ErrorKind::invalid, job_.ssh_known_hosts + " is not a known_hosts file that libssh2 understands; " +
                                         known_hosts_advice(job_.ssh_known_hosts, url_.host, url_.port));
  }
  if (contains(reason, "exchange encryption keys")) {
    return about(ErrorKind::invalid,
                 fmt::format("{} and libssh2 {} have no kind of key or cipher in common that fits {}; run: "
                             "{} >> {}",
                             url_.host, libssh2_version(0), job_.ssh_known_hosts, keyscan_command(url_.host, url_.port),
                             job_.ssh_known_hosts));
  }
  return about(ErrorKind::unreachable, reason + "; try again, and look at the server if it stays so");
}

}  // namespace deploy::source
