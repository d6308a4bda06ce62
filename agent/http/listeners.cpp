#include "agent/http/listeners.hpp"

#include <grp.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/ip/address.hpp>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <system_error>
#include <vector>

#include "agent/base/error.hpp"

namespace deploy::http {

namespace {

using asio::ip::tcp;
using UnixProtocol = asio::local::stream_protocol;

[[noreturn]] void fail(ErrorKind kind, const std::string& what, const std::string& cause) {
  throw Error(kind, "cannot listen on " + what + ": " + cause);
}

std::string system_text(int number) { return std::generic_category().message(number); }

tcp::endpoint parse_endpoint(const std::string& text) {
  const auto colon = text.rfind(':');
  if (colon == std::string::npos) fail(ErrorKind::invalid, "\"" + text + "\"", "write it as address:port");
  std::string host = text.substr(0, colon);
  const std::string_view port_text = std::string_view(text).substr(colon + 1);
  std::uint16_t port = 0;
  const auto* end = port_text.data() + port_text.size();
  const auto [stop, problem] = std::from_chars(port_text.data(), end, port);
  if (problem != std::errc() || stop != end) {
    fail(ErrorKind::invalid, "\"" + text + "\"", "the port must be a number from 0 to 65535");
  }
  if (host == "localhost") host = "127.0.0.1";
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  boost::system::error_code error;
  const auto address = asio::ip::make_address(host, error);
  if (error) {
    fail(ErrorKind::invalid, "\"" + text + "\"",
         "\"" + host + "\" is not an IP address; 127.0.0.1 is this host only, 0.0.0.0 is every interface");
  }
  return {address, port};
}

gid_t group_id(const std::string& path, const std::string& name) {
  std::vector<char> buffer(16 * 1024);
  struct group entry {};
  struct group* found = nullptr;
  int status = getgrnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
  while (status == ERANGE && buffer.size() < (1U << 20)) {
    buffer.resize(buffer.size() * 2);
    status = getgrnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
  }
  if (found == nullptr) {
    fail(ErrorKind::not_found, path, "there is no group \"" + name + "\"; create it with: groupadd --system " + name);
  }
  return found->gr_gid;
}

/// Removes a socket file that was left behind by a process that ended without removing it.
void remove_stale(const asio::any_io_executor& executor, const std::string& path) {
  struct stat status {};
  if (lstat(path.c_str(), &status) != 0) return;
  if (!S_ISSOCK(status.st_mode)) {
    fail(ErrorKind::conflict, path, "it exists and is not a socket; move it away or choose another path");
  }
  UnixProtocol::socket probe(executor);
  boost::system::error_code error;
  // Not blocking: a full backlog must not hang the start. Its "try again" means that somebody listens.
  probe.open(UnixProtocol(), error);
  if (!error) probe.non_blocking(true, error);
  if (error) fail(ErrorKind::failed, path, error.message());
  probe.connect(UnixProtocol::endpoint(path), error);
  if (error != asio::error::connection_refused) {
    fail(ErrorKind::conflict, path, "another process answers on it; is the agent running already?");
  }
  if (unlink(path.c_str()) != 0 && errno != ENOENT) fail(ErrorKind::failed, path, system_text(errno));
}

}  // namespace

tcp::acceptor bind_tcp(const asio::any_io_executor& executor, const std::string& host_port) {
  const auto endpoint = parse_endpoint(host_port);
  tcp::acceptor acceptor(executor);
  boost::system::error_code error;
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error == asio::error::address_in_use) {
    fail(ErrorKind::conflict, host_port, "another process uses the port; stop it or choose another port");
  }
  if (error) fail(ErrorKind::failed, host_port, error.message());
  return acceptor;
}

UnixListener::UnixListener(const asio::any_io_executor& executor, UnixSocketSpec spec)
    : acceptor(executor), path_(std::move(spec.path)) {
  constexpr std::size_t path_bytes_max = sizeof(sockaddr_un::sun_path) - 1;
  if (path_.empty() || path_.size() > path_bytes_max) {
    fail(ErrorKind::invalid, "\"" + path_ + "\"",
         "the path of a unix socket has 1 to " + std::to_string(path_bytes_max) + " bytes");
  }
  const gid_t group = spec.group.empty() ? static_cast<gid_t>(-1) : group_id(path_, spec.group);
  remove_stale(executor, path_);
  boost::system::error_code error;
  acceptor.open(UnixProtocol(), error);
  if (!error) acceptor.bind(UnixProtocol::endpoint(path_), error);
  if (error == boost::system::errc::no_such_file_or_directory) {
    fail(ErrorKind::not_found, path_, "its folder does not exist; create it first");
  }
  if (error) fail(ErrorKind::failed, path_, error.message());
  struct stat status {};
  // Connections are refused until listen(), so nobody gets in before owner and mode are right.
  int problem = lstat(path_.c_str(), &status) != 0 ? errno : 0;
  if (problem == 0 && !spec.group.empty() && lchown(path_.c_str(), static_cast<uid_t>(-1), group) != 0) problem = errno;
  if (problem == 0 && chmod(path_.c_str(), spec.mode) != 0) problem = errno;
  if (problem == 0) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (problem != 0 || error) {
    unlink(path_.c_str());
    fail(ErrorKind::failed, path_, problem != 0 ? system_text(problem) : error.message());
  }
  device_ = status.st_dev;
  inode_ = status.st_ino;
}

std::string peer_user(int socket) {
  struct ucred peer {};
  socklen_t size = sizeof(peer);
  // Over TCP the answer has no process.
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || peer.pid == 0) return "";
  std::vector<char> buffer(16 * 1024);
  struct passwd entry {};
  struct passwd* found = nullptr;
  if (getpwuid_r(peer.uid, &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr)
    return found->pw_name;
  return "uid " + std::to_string(peer.uid);
}

UnixListener::~UnixListener() {
  struct stat status {};
  // Another agent may have put its own socket there since.
  if (lstat(path_.c_str(), &status) == 0 && status.st_dev == device_ && status.st_ino == inode_) unlink(path_.c_str());
}

}  // namespace deploy::http
