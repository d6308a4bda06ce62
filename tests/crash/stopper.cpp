// Kills a running deployd at one exact point: a *boundary*, the moment before or after a durable write or a side
// effect.
//
//     stopper --report FILE --engine SOCKET [WHERE] --pid PID         follows a deployd that runs already
//     stopper --report FILE --engine SOCKET [WHERE] -- deployd ARG... becomes deployd and follows it from its first
//     step
//
// It follows the program with ptrace, its threads and children included, and needs nothing of it: no hook, no special
// build. Boundaries are counted from 1:
//
//     before write FILE        the first write to a file since it was last synced
//     after sync FILE          fsync or fdatasync of a file or a folder returned
//     before|after rename A B  also of link and unlink (where there is something to unlink)
//     before|after POST /…     a request with POST, PUT or DELETE to the engine's socket is about to be sent, has been
//     sent
//
// They are written without what differs from one rollout to the next (boundary.hpp). WHERE is "--at N", the N-th of
// all, or "--boundary TEXT --nth K", the K-th of those that are written so. There the program gets SIGKILL: what comes
// "before" is then not done at all, what comes "after" is done and the program has not learnt of it. Its children are
// let go. The report has a line per boundary, "MILLISECONDS TAB BOUNDARY", and ends with a line "killed" or, where the
// program or this one ended without that, "ended". SIGTERM ends this one alone.
#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "tests/crash/boundary.hpp"
#include "tests/crash/observer.hpp"

namespace {

namespace fs = std::filesystem;
using deploy::crash::Effect;
using deploy::crash::Observer;
using deploy::crash::process_of;

struct Options {
  std::string report;
  std::string engine;
  long at = 0;           // 0: only count
  std::string boundary;  // empty: any
  pid_t pid = 0;
  pid_t victim = 0;  // 0: the program itself
  std::vector<char*> command;
};

[[noreturn]] void die(const std::string& doing) {
  std::cerr << "stopper: " << doing << ": " << std::generic_category().message(errno) << '\n';
  std::_Exit(2);
}

// ---- following ------------------------------------------------------------------------------------------------------

class Tracer {
 public:
  Tracer(const Options& options, pid_t program)
      : program_(program),
        victim_(options.victim),
        boundary_(options.boundary),
        at_(options.at),
        observer_(options.engine),
        report_(options.report) {
    if (!report_) die("cannot write " + options.report);
    // A stop of what we follow is a SIGCHLD. Blocked, neither is lost between two looks.
    ::sigemptyset(&awaited_);
    ::sigaddset(&awaited_, SIGCHLD);
    ::sigaddset(&awaited_, SIGTERM);
    ::sigprocmask(SIG_BLOCK, &awaited_, nullptr);
  }

  /// Takes hold of every thread that there is; each stops as soon as it can.
  void seize() {
    const fs::path tasks = "/proc/" + std::to_string(program_) + "/task";
    for (bool more = true; more;) {
      more = false;
      for (const auto& entry : fs::directory_iterator(tasks)) {
        const pid_t tid = std::stoi(entry.path().filename());
        if (!seized_.insert(tid).second) continue;
        more = true;
        constexpr long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK;
        if (::ptrace(PTRACE_SEIZE, tid, nullptr, options) != 0 ||
            ::ptrace(PTRACE_INTERRUPT, tid, nullptr, nullptr) != 0) {
          die("cannot trace " + std::to_string(tid));
        }
      }
    }
    report_ << "following " << ::getpid() << '\n' << std::flush;
  }

  void follow() {
    for (;;) {
      int status = 0;
      const pid_t tid = ::waitpid(-1, &status, __WALL | WNOHANG);
      if (tid < 0) break;
      if (tid == 0) {
        int signal = 0;
        if (::sigwait(&awaited_, &signal) == 0 && signal == SIGTERM) break;
      } else if (WIFSTOPPED(status)) {
        if (!stopped(tid, status)) return;
      } else {
        pending_.erase(tid);
        if (tid == program_) break;
      }
    }
    report_ << "ended\n" << std::flush;
  }

 private:
  /// False once the program was killed.
  bool stopped(pid_t tid, int status) {
    const int signal = WSTOPSIG(status);
    const int event = status >> 16;
    if (signal == (SIGTRAP | 0x80)) {
      if (!system_call(tid)) return false;
      resume(PTRACE_SYSCALL, tid, 0);
    } else if (event == PTRACE_EVENT_STOP) {
      const bool group_stop = signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
      resume(group_stop ? PTRACE_LISTEN : PTRACE_SYSCALL, tid, 0);
    } else {
      resume(PTRACE_SYSCALL, tid, event == 0 ? signal : 0);
    }
    return true;
  }

  static void resume(__ptrace_request how, pid_t tid, int signal) {
    ::ptrace(how, tid, nullptr, static_cast<long>(signal));  // fails where somebody else killed it: waitpid tells
  }

  bool system_call(pid_t tid) {
    __ptrace_syscall_info call{};
    if (::ptrace(PTRACE_GET_SYSCALL_INFO, tid, sizeof call, &call) <= 0) return true;
    if (call.op == PTRACE_SYSCALL_INFO_ENTRY) {
      const Effect effect = observer_.effect_of(tid, call);
      if (effect.after) pending_[tid] = effect.what;
      return !effect.before || boundary(tid, "before " + effect.what);
    }
    const auto pending = pending_.find(tid);
    if (call.op != PTRACE_SYSCALL_INFO_EXIT || pending == pending_.end()) return true;
    const std::string what = pending->second;
    pending_.erase(pending);
    return call.exit.is_error != 0 || boundary(tid, "after " + what);
  }

  bool boundary(pid_t tid, const std::string& effect) {
    const std::string what = deploy::crash::boundary_of(effect);
    const auto since = std::chrono::steady_clock::now() - started_;
    report_ << std::chrono::duration_cast<std::chrono::milliseconds>(since).count() << '\t' << what << '\n'
            << std::flush;
    const bool counts = boundary_.empty() || what == boundary_;
    if (!counts || ++number_ != at_) return true;
    if (victim_ != 0) {
      ::kill(victim_, SIGKILL);
      return true;
    }
    const pid_t whose = process_of(tid);
    ::kill(program_, SIGKILL);
    if (whose != program_) ::kill(whose, SIGKILL);
    // Its threads end first, then itself.
    for (pid_t ended = 0; ended != program_;) {
      int status = 0;
      ended = ::waitpid(-1, &status, __WALL);
      if (ended < 0 && errno != EINTR) break;
      if (ended > 0 && WIFSTOPPED(status)) ::ptrace(PTRACE_DETACH, ended, nullptr, nullptr);  // of a child: it runs on
    }
    report_ << "killed\n" << std::flush;
    return false;
  }

  pid_t program_;
  pid_t victim_;
  std::string boundary_;
  long at_;
  Observer observer_;
  std::ofstream report_;
  sigset_t awaited_{};
  std::set<pid_t> seized_;
  std::map<pid_t, std::string> pending_;  // by thread: what "after" is said of when its system call returns
  long number_ = 0;
  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
};

/// Becomes the command, with a tracer that is nobody's child beside it. Whoever started us sees only the command.
void become(const Options& options) {
  std::array<int, 2> ready{};
  if (::pipe2(ready.data(), O_CLOEXEC) != 0) die("pipe2");
  const pid_t program = ::getpid();
  const pid_t between = ::fork();
  if (between < 0) die("fork");
  if (between == 0) {
    if (::fork() != 0) std::_Exit(0);
    ::setsid();
    Tracer tracer(options, program);
    tracer.seize();
    if (::write(ready[1], "", 1) != 1) die("write");
    tracer.follow();
    std::exit(0);
  }
  ::waitpid(between, nullptr, 0);
  char byte = 0;
  ::close(ready[1]);
  while (::read(ready[0], &byte, 1) < 0 && errno == EINTR) {
  }
  ::execvp(options.command.front(), options.command.data());
  die(std::string("cannot run ") + options.command.front());
}

Options parse(int argc, char** argv) {
  Options options;
  int next = 1;
  for (; next + 1 < argc; next += 2) {
    const std::string_view name = argv[next];
    if (name == "--") break;
    const char* const value = argv[next + 1];
    if (name == "--report") options.report = value;
    if (name == "--engine") options.engine = value;
    if (name == "--at" || name == "--nth") options.at = std::atol(value);
    if (name == "--boundary") options.boundary = value;
    if (name == "--pid") options.pid = std::atoi(value);
    if (name == "--victim") options.victim = std::atoi(value);
  }
  if (next < argc && std::string_view(argv[next]) == "--") options.command.assign(argv + next + 1, argv + argc);
  if (options.report.empty() || options.engine.empty() || (options.pid != 0) != options.command.empty()) {
    std::cerr << "usage: stopper --report FILE --engine SOCKET [--at N | --boundary TEXT --nth K] [--victim PID] "
                 "(--pid PID | -- COMMAND...)\n";
    std::exit(2);
  }
  options.command.push_back(nullptr);
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  if (options.pid == 0) become(options);
  Tracer tracer(options, options.pid);
  tracer.seize();
  tracer.follow();
  return 0;
}
