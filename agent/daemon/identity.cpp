#include "agent/daemon/identity.hpp"

#include <openssl/rand.h>

#include <array>

#include "agent/base/atomic_file.hpp"
#include "agent/base/error.hpp"
#include "agent/base/text.hpp"

namespace deploy::daemon {

namespace {

std::string random_hex(std::size_t bytes) {
  std::string random(bytes, '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(random.data()), static_cast<int>(bytes)) != 1) {
    throw Error(ErrorKind::failed, "OpenSSL gives no random bytes");
  }
  return to_hex(random);
}

}  // namespace

std::string instance_id(store::Database& database) {
  if (const auto known = database.meta("instance")) return *known;
  auto id = random_hex(8);
  database.set_meta("instance", id);
  return id;
}

std::string installation_key(const std::filesystem::path& state) {
  const auto file = state / "key";
  if (std::filesystem::exists(file)) return read_file(file, 256);
  auto key = random_hex(32);
  write_atomically(file, key, 0600);
  return key;
}

}  // namespace deploy::daemon
