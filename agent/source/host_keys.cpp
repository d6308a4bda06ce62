#include "agent/source/host_keys.hpp"

#include <libssh2.h>
#include <openssl/evp.h>

#include <array>
#include <memory>

#include "agent/base/error.hpp"

namespace deploy::source {

namespace {

constexpr std::uint16_t kSshPort = 22;

struct SessionFree {
  void operator()(LIBSSH2_SESSION* session) const noexcept { libssh2_session_free(session); }
};
struct KnownHostsFree {
  void operator()(LIBSSH2_KNOWNHOSTS* hosts) const noexcept { libssh2_knownhost_free(hosts); }
};

int key_type(HostKeyKind kind) {
  switch (kind) {
    case HostKeyKind::rsa:
      return LIBSSH2_KNOWNHOST_KEY_SSHRSA;
    case HostKeyKind::ecdsa_256:
      return LIBSSH2_KNOWNHOST_KEY_ECDSA_256;
    case HostKeyKind::ecdsa_384:
      return LIBSSH2_KNOWNHOST_KEY_ECDSA_384;
    case HostKeyKind::ecdsa_521:
      return LIBSSH2_KNOWNHOST_KEY_ECDSA_521;
    case HostKeyKind::ed25519:
      return LIBSSH2_KNOWNHOST_KEY_ED25519;
  }
  return LIBSSH2_KNOWNHOST_KEY_UNKNOWN;
}

}  // namespace

HostKeyMatch check_host_key(const std::string& known_hosts, const std::string& host, std::uint16_t port,
                            HostKeyKind kind, std::string_view key) {
  // libssh2 wants a session for its memory only; it is never connected.
  const std::unique_ptr<LIBSSH2_SESSION, SessionFree> session(
      libssh2_session_init_ex(nullptr, nullptr, nullptr, nullptr));
  if (!session) throw Error(ErrorKind::failed, "cannot check a host key: libssh2 is out of memory");
  const std::unique_ptr<LIBSSH2_KNOWNHOSTS, KnownHostsFree> hosts(libssh2_knownhost_init(session.get()));
  if (!hosts) throw Error(ErrorKind::failed, "cannot check a host key: libssh2 is out of memory");
  const int read = libssh2_knownhost_readfile(hosts.get(), known_hosts.c_str(), LIBSSH2_KNOWNHOST_FILE_OPENSSH);
  if (read < 0) {
    throw Error(ErrorKind::invalid, known_hosts + " is not a known_hosts file that libssh2 understands; " +
                                        known_hosts_advice(known_hosts, host, port));
  }
  const int outcome =
      libssh2_knownhost_checkp(hosts.get(), host.c_str(), port == 0 ? kSshPort : port, key.data(), key.size(),
                               LIBSSH2_KNOWNHOST_TYPE_PLAIN | LIBSSH2_KNOWNHOST_KEYENC_RAW | key_type(kind), nullptr);
  switch (outcome) {
    case LIBSSH2_KNOWNHOST_CHECK_MATCH:
      return HostKeyMatch::known;
    case LIBSSH2_KNOWNHOST_CHECK_MISMATCH:
      return HostKeyMatch::mismatch;
    default:
      return HostKeyMatch::unknown;
  }
}

std::string fingerprint(std::string_view key) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned length = 0;
  EVP_Digest(key.data(), key.size(), digest.data(), &length, EVP_sha256(), nullptr);
  std::array<unsigned char, 2 * EVP_MAX_MD_SIZE> base64{};
  const int written = EVP_EncodeBlock(base64.data(), digest.data(), static_cast<int>(length));
  std::string text(reinterpret_cast<const char*>(base64.data()), static_cast<std::size_t>(written));
  while (text.ends_with('=')) text.pop_back();
  return "SHA256:" + text;
}

std::string keyscan_command(const std::string& host, std::uint16_t port) {
  if (port == 0 || port == kSshPort) return "ssh-keyscan " + host;
  return "ssh-keyscan -p " + std::to_string(port) + " " + host;
}

std::string known_hosts_advice(const std::string& known_hosts, const std::string& host, std::uint16_t port) {
  return "run: " + keyscan_command(host, port) + " > " + known_hosts + ", and compare what ssh-keygen -lf " +
         known_hosts + " prints with the fingerprints that the server's operator publishes";
}

}  // namespace deploy::source
