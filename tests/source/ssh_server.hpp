// A real sshd on loopback. Connections are accepted here and handed to `sshd -i`, so that no port has to be guessed and
// no start has to be waited for.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <cstdint>
#include <filesystem>
#include <string>
#include <thread>

namespace deploy::tests {

class SshServer {
 public:
  /// Makes host keys, an empty list of accepted keys and the configuration in `folder`.
  explicit SshServer(std::filesystem::path folder);
  ~SshServer();

  /// Makes a key without a passphrase and returns its path; `kind` as for ssh-keygen -t.
  std::string make_key(const std::string& name, const std::string& kind = "ed25519") const;
  /// Lets the owner of this key in.
  void accept_key(const std::string& key) const;

  std::uint16_t port() const noexcept { return port_; }
  std::string user() const;
  /// ssh://user@127.0.0.1:port/path
  std::string url(const std::filesystem::path& path) const;
  /// The line of a known_hosts file for this server, its host key of this kind.
  std::string known_hosts_line(const std::string& kind = "ed25519") const;
  /// "SHA256:…" of its host key of this kind.
  std::string host_fingerprint(const std::string& kind = "ed25519") const;

 private:
  void accept_next();
  void serve(int socket) const;

  std::filesystem::path folder_;
  boost::asio::io_context context_;
  boost::asio::ip::tcp::acceptor acceptor_;
  std::uint16_t port_;
  std::thread thread_;
};

}  // namespace deploy::tests
