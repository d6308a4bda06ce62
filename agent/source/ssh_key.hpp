// What can be said about a private key file before a server refuses it.
// Formats: PEM (RFC 7468), and OpenSSH's PROTOCOL.key.
#pragma once

#include <string>

namespace deploy::source {

enum class SshKeyKind { rsa, other };

struct SshKeyInfo {
  SshKeyKind kind = SshKeyKind::other;
  bool encrypted = false;  // it has a passphrase
};

/// Throws Error: as read_file does, and invalid where the file holds no private key.
SshKeyInfo read_ssh_key(const std::string& path);

}  // namespace deploy::source
