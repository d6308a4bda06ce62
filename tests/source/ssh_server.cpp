#include "tests/source/ssh_server.hpp"

#include <pwd.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <utility>

#include "agent/base/atomic_file.hpp"
#include "agent/base/text.hpp"
#include "tests/source/mirror_fixture.hpp"

namespace deploy::tests {

namespace fs = std::filesystem;
using boost::asio::ip::tcp;

SshServer::SshServer(fs::path folder)
    : folder_(std::move(folder)),
      acceptor_(context_, tcp::endpoint(boost::asio::ip::address_v4::loopback(), 0)),
      port_(acceptor_.local_endpoint().port()) {
  fs::create_directories(folder_);
  fs::create_directories("/run/sshd");  // sshd's own, empty, for its privilege separation
  std::ofstream config(folder_ / "config");
  for (const std::string kind : {"ed25519", "ecdsa"}) {
    make_key("host_" + kind, kind);
    config << "HostKey " << (folder_ / ("host_" + kind)).string() << "\n";
  }
  std::ofstream(folder_ / "accepted") << "";
  config << "AuthorizedKeysFile " << (folder_ / "accepted").string() << "\n"
         << "StrictModes no\nUsePAM no\nPasswordAuthentication no\nPidFile none\nPermitRootLogin prohibit-password\n";
  config.close();
  accept_next();
  thread_ = std::thread([this] { context_.run(); });
}

SshServer::~SshServer() {
  context_.stop();
  thread_.join();
}

void SshServer::accept_next() {
  acceptor_.async_accept([this](boost::system::error_code failure, tcp::socket socket) {
    if (failure) return;
    serve(socket.release());
    accept_next();
  });
}

void SshServer::serve(int socket) const {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, socket, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, socket, STDOUT_FILENO);
  posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
  std::string config = folder_ / "config";
  std::string log = folder_ / "log";
  std::array<std::string, 6> arguments = {"/usr/sbin/sshd", "-i", "-f", config, "-E", log};
  std::array<char*, 7> argv{};
  for (std::size_t i = 0; i < arguments.size(); ++i) argv[i] = arguments[i].data();
  pid_t pid = 0;
  const int failure = ::posix_spawn(&pid, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  ::close(socket);
  // It ends with the connection; one connection at a time is all the tests need.
  if (failure == 0) ::waitpid(pid, nullptr, 0);
}

std::string SshServer::make_key(const std::string& name, const std::string& kind) const {
  std::string path = folder_ / name;
  run_program({"ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "test", "-f", path});
  return path;
}

void SshServer::accept_key(const std::string& key) const {
  std::ofstream(folder_ / "accepted", std::ios::app) << read_file(key + ".pub", 10'000);
}

std::string SshServer::user() const { return ::getpwuid(::geteuid())->pw_name; }

std::string SshServer::url(const fs::path& path) const {
  return "ssh://" + user() + "@127.0.0.1:" + std::to_string(port_) + path.string();
}

std::string SshServer::known_hosts_line(const std::string& kind) const {
  return "[127.0.0.1]:" + std::to_string(port_) + " " + read_file(folder_ / ("host_" + kind + ".pub"), 10'000);
}

std::string SshServer::host_fingerprint(const std::string& kind) const {
  const std::string line = run_program({"ssh-keygen", "-l", "-f", folder_ / ("host_" + kind)});
  const auto start = line.find("SHA256:");
  return line.substr(start, line.find(' ', start) - start);
}

}  // namespace deploy::tests
