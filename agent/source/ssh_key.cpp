#include "agent/source/ssh_key.hpp"

#include <openssl/evp.h>

#include <string_view>
#include <vector>

#include "agent/base/atomic_file.hpp"
#include "agent/base/error.hpp"
#include "agent/base/text.hpp"

namespace deploy::source {

namespace {

constexpr std::size_t kKeyBytesMax = 65536;

std::string decode_base64(std::string_view text) {
  std::string bytes(text.size(), '\0');
  const int decoded =
      EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                      reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  bytes.resize(decoded < 0 ? 0 : static_cast<std::size_t>(decoded));
  return bytes;
}

/// The header of OpenSSH's own form names the cipher and, in the public half, the key's kind, each with its length
/// first.
SshKeyInfo openssh_key(std::string_view body) {
  using namespace std::string_view_literals;
  const std::string bytes = decode_base64(body);
  SshKeyInfo info;
  info.encrypted = bytes.find("openssh-key-v1\0\0\0\0\4none"sv) == std::string::npos;
  if (bytes.find("\0\0\0\7ssh-rsa"sv) != std::string::npos) info.kind = SshKeyKind::rsa;
  return info;
}

}  // namespace

SshKeyInfo read_ssh_key(const std::string& path) {
  const std::string text = read_file(path, kKeyBytesMax);
  std::string label;
  std::string body;
  for (const std::string& line : split_lines(text)) {
    if (line.starts_with("-----BEGIN ") && label.empty()) {
      label = line;
    } else if (!line.starts_with("-----")) {
      body += trim(line);
    }
  }
  if (label.find("PRIVATE KEY") == std::string::npos) {
    throw Error(ErrorKind::invalid,
                path + " is not a private key; name the file that ssh-keygen made, not the one ending in .pub");
  }
  if (label.find("OPENSSH") != std::string::npos) return openssh_key(body);
  SshKeyInfo info;
  info.encrypted = text.find("ENCRYPTED") != std::string::npos;
  if (label.find("RSA") != std::string::npos) info.kind = SshKeyKind::rsa;
  return info;
}

}  // namespace deploy::source
