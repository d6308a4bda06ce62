#include "agent/base/process.hpp"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

// glibc 2.36 forgets this around its declarations.
extern "C" {
#include <sys/pidfd.h>
}

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/redirect_error.hpp>
#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

#include "agent/base/error.hpp"
#include "agent/base/text.hpp"
#include "agent/base/unique_fd.hpp"

namespace deploy {

namespace {

using Descriptor = asio::posix::stream_descriptor;
using namespace std::chrono_literals;

// How long a pipe may stay open once the program is gone: only a daemon that left the group can hold it.
constexpr auto kPipeGrace = 1s;

[[noreturn]] void throw_start_failure(const std::string& program, int error_number) {
  if (error_number == ENOENT) {
    throw Error(ErrorKind::not_found,
                "cannot run " + program + ": there is no such program; install it or give its full path");
  }
  throw Error(ErrorKind::failed, "cannot run " + program + ": " + std::generic_category().message(error_number));
}

struct Pipe {
  Descriptor reading;
  Descriptor writing;
};

Pipe make_pipe(const asio::any_io_executor& executor, const std::string& program) {
  std::array<int, 2> fds{};
  if (::pipe2(fds.data(), O_CLOEXEC) != 0) throw_start_failure(program, errno);
  return {Descriptor(executor, fds[0]), Descriptor(executor, fds[1])};
}

/// A file in memory in place of a pipe: nobody has to feed it while the program runs, a program that does not read
/// cannot stop us, and no SIGPIPE can come of it.
UniqueFd make_input(const std::string& program, std::string_view content) {
  UniqueFd file(::memfd_create("stdin", MFD_CLOEXEC));
  if (!file.valid()) throw_start_failure(program, errno);
  while (!content.empty()) {
    const ssize_t written = ::write(file.get(), content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw_start_failure(program, errno);
    content.remove_prefix(static_cast<std::size_t>(written));
  }
  if (::lseek(file.get(), 0, SEEK_SET) != 0) throw_start_failure(program, errno);
  return file;
}

std::vector<std::string> merged_environment(const std::map<std::string, std::string>& added) {
  std::vector<std::string> merged;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view line = *entry;
    if (!added.contains(std::string(line.substr(0, line.find('='))))) merged.emplace_back(line);
  }
  for (const auto& [name, value] : added) merged.push_back(name + "=" + value);
  return merged;
}

std::vector<char*> as_argument_list(std::vector<std::string>& texts) {
  std::vector<char*> list;
  for (std::string& text : texts) list.push_back(text.data());
  list.push_back(nullptr);
  return list;
}

class SpawnSettings {
 public:
  SpawnSettings(int input, int output, int error_output) {
    posix_spawn_file_actions_init(&actions_);
    posix_spawn_file_actions_adddup2(&actions_, input, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions_, output, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions_, error_output, STDERR_FILENO);
    // Ours are close-on-exec; this is for what a library opened without it.
    posix_spawn_file_actions_addclosefrom_np(&actions_, STDERR_FILENO + 1);
    posix_spawnattr_init(&attributes_);
    posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setpgroup(&attributes_, 0);
    // Signals that we ignore or block must not stay so in the program.
    sigset_t all;
    sigset_t none;
    sigfillset(&all);
    sigemptyset(&none);
    posix_spawnattr_setsigdefault(&attributes_, &all);
    posix_spawnattr_setsigmask(&attributes_, &none);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;
  ~SpawnSettings() {
    posix_spawn_file_actions_destroy(&actions_);
    posix_spawnattr_destroy(&attributes_);
  }
  const posix_spawn_file_actions_t* actions() const noexcept { return &actions_; }
  const posix_spawnattr_t* attributes() const noexcept { return &attributes_; }

 private:
  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
};

/// A started program that was not reaped yet, so its process id is still its own.
class Child {
 public:
  Child(pid_t pid, Descriptor exited) : pid_(pid), exited_(std::move(exited)) {}
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  /// An io_context that is destroyed with the coroutine in it must not leave the program behind.
  ~Child() {
    if (pid_ > 0) {
      kill_group();
      reap();
    }
  }

  /// Returns when the program itself has ended; it is a zombie then.
  Task<void> wait_exit() { co_await exited_.async_wait(Descriptor::wait_read, asio::use_awaitable); }

  void kill_group() noexcept { ::kill(-pid_, SIGKILL); }

  /// The exit code. Blocks until it has ended.
  int reap() noexcept {
    siginfo_t info{};
    while (::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED) != 0 && errno == EINTR) {
    }
    pid_ = -1;
    return info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
  }

 private:
  pid_t pid_;
  Descriptor exited_;
};

std::unique_ptr<Child> start(const asio::any_io_executor& executor, ProcessOptions& options,
                             const SpawnSettings& settings) {
  const std::string& program = options.argv.front();
  std::vector<std::string> environment = merged_environment(options.environment);
  const std::vector<char*> arguments = as_argument_list(options.argv);
  const std::vector<char*> variables = as_argument_list(environment);
  pid_t pid = 0;
  const int failure = ::posix_spawnp(&pid, program.c_str(), settings.actions(), settings.attributes(), arguments.data(),
                                     variables.data());
  if (failure != 0) throw_start_failure(program, failure);
  // The number cannot be anybody else's before we reap it.
  const int fd = ::pidfd_open(pid, 0);
  if (fd < 0) {
    const int reason = errno;
    ::kill(-pid, SIGKILL);
    while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    throw_start_failure(program, reason);
  }
  return std::make_unique<Child>(pid, Descriptor(executor, fd));
}

/// Reads until the last writer closed the pipe.
Task<void> collect(Descriptor* from, std::string* into, std::size_t bytes_max,
                   std::function<void(std::string_view)> on_part) {
  std::array<char, 16384> buffer;
  while (true) {
    boost::system::error_code failure;
    auto token = asio::redirect_error(asio::use_awaitable, failure);
    const std::size_t got = co_await from->async_read_some(asio::buffer(buffer), token);
    if (failure == asio::error::eof) co_return;
    if (failure) throw boost::system::system_error(failure);
    const std::string_view part(buffer.data(), got);
    into->append(part.substr(0, bytes_max - into->size()));
    if (on_part) on_part(part);
  }
}

/// Waits for the program's end. Returns false at the deadline; a failed reader ends the wait, too.
Task<bool> wait_for_end(Child* child, Signal* reader_failed, std::chrono::milliseconds deadline) {
  auto ended = co_await first_of(first_of(child->wait_exit(), reader_failed->wait()), sleep_real(deadline));
  co_return ended.has_value();
}

Task<ProcessOutcome> run_alone(ProcessOptions options) {
  const auto executor = co_await asio::this_coro::executor;
  const std::string program = options.argv.front();
  Pipe output = make_pipe(executor, program);
  Pipe error_output = make_pipe(executor, program);
  std::unique_ptr<Child> child;
  {
    const UniqueFd input = make_input(program, options.standard_input);
    const SpawnSettings settings(input.get(), output.writing.native_handle(), error_output.writing.native_handle());
    child = start(executor, options, settings);
  }
  output.writing.close();
  error_output.writing.close();

  ProcessOutcome outcome;
  std::exception_ptr failure;
  Signal reader_failed(executor);
  TaskGroup readers(executor, [&](const std::string&, std::exception_ptr cause) {
    if (!failure) failure = cause;
    reader_failed.notify_all();
  });
  readers.spawn("standard output",
                collect(&output.reading, &outcome.output, options.output_bytes_max, options.on_output));
  readers.spawn("standard error", collect(&error_output.reading, &outcome.error_output, options.output_bytes_max,
                                          options.on_error_output));

  bool ended = false;
  try {
    if (!failure) ended = co_await wait_for_end(child.get(), &reader_failed, options.deadline);
  } catch (...) {
    failure = std::current_exception();
  }
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  // The group goes while the leader is not reaped yet: its number is certainly still ours.
  child->kill_group();
  co_await child->wait_exit();
  outcome.exit_code = child->reap();
  auto closed = co_await first_of(readers.wait(), sleep_real(kPipeGrace));
  if (!closed) {
    readers.cancel();
    co_await readers.wait();
  }
  if (failure) std::rethrow_exception(failure);
  if (!ended) {
    throw Error(ErrorKind::timed_out,
                program + " took longer than " + human_duration(options.deadline) + " and was killed");
  }
  co_return outcome;
}

}  // namespace

Task<ProcessOutcome> run_process(ProcessOptions options) {
  if (options.argv.empty()) throw Error(ErrorKind::invalid, "cannot run a program: its argument list is empty");
  const auto executor = co_await asio::this_coro::executor;
  // A coroutine of its own: its clean-up switches cancellation off, which must not reach the caller's.
  co_return co_await asio::co_spawn(executor, run_alone(std::move(options)), asio::use_awaitable);
}

}  // namespace deploy
