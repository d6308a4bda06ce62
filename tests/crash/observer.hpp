// Reads, from outside, what a system call of a stopped process is about to do.
#pragma once

#include <sys/ptrace.h>
#include <sys/types.h>

#include <cstdint>
#include <set>
#include <string>
#include <utility>

namespace deploy::crash {

/// What a system call is about to do, where its entry or its return is a boundary.
struct Effect {
  std::string what;
  bool before = false;
  bool after = false;
};

/// The process that a thread belongs to.
pid_t process_of(pid_t tid);

class Observer {
 public:
  /// `engine`: the path of the engine's socket.
  explicit Observer(std::string engine) : engine_(std::move(engine)) {}

  /// The thread must be stopped at the call's entry.
  Effect effect_of(pid_t tid, const __ptrace_syscall_info& call);

 private:
  Effect write(pid_t tid, std::uint64_t fd);
  Effect write_or_send(pid_t tid, std::uint64_t fd, std::uint64_t data, std::uint64_t bytes);
  Effect write_vector(pid_t tid, std::uint64_t fd, std::uint64_t vector);
  Effect send_message(pid_t tid, std::uint64_t fd, std::uint64_t message);
  Effect send(pid_t tid, std::uint64_t fd, const std::string& begin);
  Effect sync(pid_t tid, std::uint64_t fd);
  Effect rename(const std::string& from, const std::string& to);
  Effect unlink(const std::string& path);

  std::string engine_;
  std::set<std::string> unsynced_;
};

}  // namespace deploy::crash
