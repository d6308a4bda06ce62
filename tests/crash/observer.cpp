#include "tests/crash/observer.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <system_error>

namespace deploy::crash {

namespace fs = std::filesystem;

pid_t process_of(pid_t tid) {
  std::ifstream status("/proc/" + std::to_string(tid) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("Tgid:")) return std::atoi(line.c_str() + 5);
  }
  return tid;
}

namespace {

constexpr std::size_t shown_bytes_max = 400;

std::string read_memory(pid_t tid, std::uint64_t address, std::size_t bytes) {
  std::string content(bytes, '\0');
  const iovec local{content.data(), bytes};
  const iovec remote{reinterpret_cast<void*>(address), bytes};  // NOLINT(performance-no-int-to-ptr): its address there
  const ssize_t got = ::process_vm_readv(tid, &local, 1, &remote, 1, 0);
  content.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
  return content;
}

/// A text that ends with a zero byte; a page at a time, because the next page may not be mapped.
std::string read_text(pid_t tid, std::uint64_t address) {
  constexpr std::uint64_t page = 4096;
  std::string text;
  while (text.size() < PATH_MAX) {
    const std::string part = read_memory(tid, address, page - address % page);
    const auto end = part.find('\0');
    text += part.substr(0, end);
    if (end != std::string::npos || part.empty()) break;
    address += part.size();
  }
  return text;
}

std::string link_target(const fs::path& link) {
  std::error_code failure;
  const auto target = fs::read_symlink(link, failure);
  return failure ? "" : target.string();
}

std::string file_of(pid_t tid, std::uint64_t fd) {
  return link_target("/proc/" + std::to_string(tid) + "/fd/" + std::to_string(static_cast<int>(fd)));
}

/// A path as the process means it: relative to its folder, or to an open one.
std::string path_of(pid_t tid, int folder_fd, std::uint64_t address) {
  const fs::path path = read_text(tid, address);
  if (path.is_absolute()) return path;
  const std::string process = "/proc/" + std::to_string(tid);
  const std::string folder = folder_fd == AT_FDCWD ? process + "/cwd" : process + "/fd/" + std::to_string(folder_fd);
  return (fs::path(link_target(folder)) / path).lexically_normal();
}

/// Is the descriptor of that process a unix socket that is connected to `path`?
bool is_connected_to(pid_t tid, int fd, const std::string& path) {
  const int process = static_cast<int>(::syscall(SYS_pidfd_open, process_of(tid), 0));
  if (process < 0) return false;
  const int copy = static_cast<int>(::syscall(SYS_pidfd_getfd, process, fd, 0));
  ::close(process);
  if (copy < 0) return false;
  sockaddr_un peer{};
  socklen_t size = sizeof peer;
  const bool named = ::getpeername(copy, reinterpret_cast<sockaddr*>(&peer), &size) == 0 && peer.sun_family == AF_UNIX;
  ::close(copy);
  return named && fs::path(peer.sun_path).lexically_normal() == fs::path(path).lexically_normal();
}

std::string first_buffer(pid_t tid, std::uint64_t vector) {
  iovec buffer{};
  const std::string bytes = read_memory(tid, vector, sizeof buffer);
  if (bytes.size() != sizeof buffer) return "";
  std::memcpy(&buffer, bytes.data(), sizeof buffer);
  return read_memory(tid, reinterpret_cast<std::uint64_t>(buffer.iov_base), std::min(buffer.iov_len, shown_bytes_max));
}

}  // namespace

Effect Observer::effect_of(pid_t tid, const __ptrace_syscall_info& call) {
  const auto& args = call.entry.args;
  switch (call.entry.nr) {
    case SYS_write:
      return write_or_send(tid, args[0], args[1], args[2]);
    case SYS_pwrite64:
      return write(tid, args[0]);
    case SYS_writev:
    case SYS_pwritev:
      return write_vector(tid, args[0], args[1]);
    case SYS_sendto:
      return send(tid, args[0], read_memory(tid, args[1], std::min<std::uint64_t>(args[2], shown_bytes_max)));
    case SYS_sendmsg:
      return send_message(tid, args[0], args[1]);
    case SYS_fsync:
    case SYS_fdatasync:
      return sync(tid, args[0]);
    case SYS_rename:
      return rename(path_of(tid, AT_FDCWD, args[0]), path_of(tid, AT_FDCWD, args[1]));
    case SYS_renameat:
    case SYS_renameat2:
      return rename(path_of(tid, static_cast<int>(args[0]), args[1]), path_of(tid, static_cast<int>(args[2]), args[3]));
    case SYS_link:
      return {"link " + path_of(tid, AT_FDCWD, args[0]) + " " + path_of(tid, AT_FDCWD, args[1]), true, true};
    case SYS_unlink:
      return unlink(path_of(tid, AT_FDCWD, args[0]));
    case SYS_unlinkat:
      return unlink(path_of(tid, static_cast<int>(args[0]), args[1]));
    default:
      return {};
  }
}

/// Only the first write since the last sync: what comes between that and the sync is one change to a reader.
Effect Observer::write(pid_t tid, std::uint64_t fd) {
  if (fd <= STDERR_FILENO) return {};
  const std::string file = file_of(tid, fd);
  const bool regular = file.starts_with('/') && !file.starts_with("/memfd:") && !file.starts_with("/dev/") &&
                       !file.starts_with("/proc/") && !file.ends_with(" (deleted)");
  // SQLite's index of its log is made anew after a crash.
  if (!regular || file.ends_with("-shm") || !unsynced_.insert(file).second) return {};
  return {"write " + file, true, false};
}

Effect Observer::write_or_send(pid_t tid, std::uint64_t fd, std::uint64_t data, std::uint64_t bytes) {
  if (file_of(tid, fd).starts_with("socket:")) {
    return send(tid, fd, read_memory(tid, data, std::min<std::uint64_t>(bytes, shown_bytes_max)));
  }
  return write(tid, fd);
}

Effect Observer::write_vector(pid_t tid, std::uint64_t fd, std::uint64_t vector) {
  if (file_of(tid, fd).starts_with("socket:")) return send(tid, fd, first_buffer(tid, vector));
  return write(tid, fd);
}

Effect Observer::send_message(pid_t tid, std::uint64_t fd, std::uint64_t message) {
  msghdr header{};
  const std::string bytes = read_memory(tid, message, sizeof header);
  if (bytes.size() != sizeof header) return {};
  std::memcpy(&header, bytes.data(), sizeof header);
  if (header.msg_iovlen == 0) return {};
  return send(tid, fd, first_buffer(tid, reinterpret_cast<std::uint64_t>(header.msg_iov)));
}

/// Requests that only ask are no side effects.
Effect Observer::send(pid_t tid, std::uint64_t fd, const std::string& begin) {
  const bool changes = begin.starts_with("POST ") || begin.starts_with("PUT ") || begin.starts_with("DELETE ");
  if (!changes || !is_connected_to(tid, static_cast<int>(fd), engine_)) return {};
  return {begin.substr(0, begin.find(" HTTP/")), true, true};
}

Effect Observer::sync(pid_t tid, std::uint64_t fd) {
  const std::string file = file_of(tid, fd);
  unsynced_.erase(file);
  return {"sync " + file, false, true};
}

Effect Observer::rename(const std::string& from, const std::string& to) {
  if (unsynced_.erase(from) != 0) unsynced_.insert(to);
  return {"rename " + from + " " + to, true, true};
}

Effect Observer::unlink(const std::string& path) {
  unsynced_.erase(path);
  std::error_code ignored;
  const bool present = fs::exists(fs::symlink_status(path, ignored));
  return present ? Effect{"unlink " + path, true, true} : Effect{};
}

}  // namespace deploy::crash
