// Is an SSH server the one that a known_hosts file names? Nothing is ever added to the file.
// Format: sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT"; hashed names and [host]:port are understood, wildcards and
// certificate authorities are not.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace deploy::source {

enum class HostKeyKind { rsa, ecdsa_256, ecdsa_384, ecdsa_521, ed25519 };

enum class HostKeyMatch { known, unknown, mismatch };

/// `key` is the public key's raw form (RFC 4253, 6.6). Throws Error where the file cannot be read.
HostKeyMatch check_host_key(const std::string& known_hosts, const std::string& host, std::uint16_t port,
                            HostKeyKind kind, std::string_view key);

/// "SHA256:…" as ssh-keygen -l prints it.
std::string fingerprint(std::string_view key);

/// The command that asks a server for its keys: "ssh-keyscan [-p port] host".
std::string keyscan_command(const std::string& host, std::uint16_t port);

/// How a person makes the file `known_hosts` for this host, and does not just trust what it gets.
std::string known_hosts_advice(const std::string& known_hosts, const std::string& host, std::uint16_t port);

}  // namespace deploy::source
