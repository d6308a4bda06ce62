#include "agent/base/process.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/system/system_error.hpp>
#include <catch2/catch_all.hpp>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>

#include "agent/base/error.hpp"
#include "agent/base/text.hpp"
#include "tests/fakes/run.hpp"

using namespace std::chrono_literals;
using namespace deploy;
using deploy::tests::error_of;
using deploy::tests::run;

namespace {

ProcessOutcome run_it(ProcessOptions options) { return run(run_process(std::move(options))); }

// Only the tests use a shell, to make programs that misbehave.
ProcessOptions script(std::string text) {
  ProcessOptions options;
  options.argv = {"sh", "-c", std::move(text)};
  return options;
}

bool has_children() {
  siginfo_t info{};
  return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 || errno != ECHILD;
}

/// Is there a process with this id that is not a zombie?
bool is_running(const std::string& pid) {
  std::ifstream file("/proc/" + pid + "/stat");
  std::stringstream text;
  text << file.rdbuf();
  const std::string stat = text.str();
  const auto end_of_name = stat.rfind(')');
  return end_of_name != std::string::npos && stat[end_of_name + 2] != 'Z';
}

std::size_t open_descriptors() {
  const std::filesystem::directory_iterator entries("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(entries), end(entries)));
}

/// One that was killed and is nobody's child any more may take a moment to go.
bool ends_soon(const std::string& pid) {
  const auto end = std::chrono::steady_clock::now() + 10s;
  while (is_running(pid) && std::chrono::steady_clock::now() < end) std::this_thread::yield();
  return !is_running(pid);
}

}  // namespace

TEST_CASE("a program's output, error output and exit code are its result") {
  const auto outcome = run_it(script("echo out; echo err >&2; exit 3"));
  CHECK(outcome.exit_code == 3);
  CHECK(outcome.output == "out\n");
  CHECK(outcome.error_output == "err\n");
  CHECK_FALSE(has_children());
}

TEST_CASE("arguments reach the program as they are") {
  ProcessOptions options;
  options.argv = {"printf", "%s|", "a b", "$HOME", "", "; rm -rf /"};
  CHECK(run_it(options).output == "a b|$HOME||; rm -rf /|");
}

TEST_CASE("standard input reaches the program whole and then ends") {
  ProcessOptions options;
  options.argv = {"sha256sum"};
  options.standard_input = std::string(3'000'000, 'x');
  CHECK(run_it(options).output == sha256_hex(options.standard_input) + "  -\n");
}

TEST_CASE("a program that does not read its input does not kill us") {
  auto options = script("exec <&-; exit 0");
  options.standard_input = std::string(3'000'000, 'x');
  CHECK(run_it(options).exit_code == 0);
}

TEST_CASE("the environment is ours with what is added") {
  auto options = script("echo \"$ADDED/${PATH:+kept}\"");
  options.environment = {{"ADDED", "new"}};
  CHECK(run_it(options).output == "new/kept\n");
}

TEST_CASE("a variable that is added replaces our own") {
  ProcessOptions options;
  options.argv = {"/usr/bin/env"};
  options.environment = {{"PATH", "/nowhere"}};
  const auto lines = split_lines(run_it(options).output);
  CHECK(std::count_if(lines.begin(), lines.end(), [](const auto& line) { return line.starts_with("PATH="); }) == 1);
  CHECK(std::find(lines.begin(), lines.end(), "PATH=/nowhere") != lines.end());
}

TEST_CASE("a signal's end is 128 and its number") { CHECK(run_it(script("kill -TERM $$")).exit_code == 143); }

TEST_CASE("output beyond the limit is read and dropped") {
  auto options = script("head -c 1000000 /dev/zero; echo done >&2");
  options.output_bytes_max = 1000;
  const auto outcome = run_it(options);
  CHECK(outcome.output == std::string(1000, '\0'));
  CHECK(outcome.error_output == "done\n");
}

TEST_CASE("output is heard while the program runs") {
  // The program waits for a file that only our callback makes: it would not end if its output came at the end.
  const auto folder = std::filesystem::temp_directory_path() / ("deploy-live-" + std::to_string(::getpid()));
  std::filesystem::create_directory(folder);
  auto options = script("echo ready; until [ -e \"$0/go\" ]; do :; done; echo went >&2");
  options.argv.push_back(folder);
  options.deadline = 20s;
  std::string heard;
  options.on_output = [&](std::string_view part) {
    heard += part;
    std::ofstream(folder / "go") << "";
  };
  options.on_error_output = [&](std::string_view part) { heard += part; };
  run_it(options);
  CHECK(heard == "ready\nwent\n");
  std::filesystem::remove_all(folder);
}

TEST_CASE("no such program") {
  ProcessOptions options;
  options.argv = {"deploy-no-such-program"};
  const Error error = error_of([&] { run_it(options); });
  CHECK(error.kind() == ErrorKind::not_found);
  CHECK(error.message() ==
        "cannot run deploy-no-such-program: there is no such program; install it or give its full path");
}

TEST_CASE("a file that is not a program") {
  ProcessOptions options;
  options.argv = {"/etc/passwd"};
  const Error error = error_of([&] { run_it(options); });
  CHECK(error.kind() == ErrorKind::failed);
  CHECK(error.message() == "cannot run /etc/passwd: Permission denied");
}

TEST_CASE("an empty argument list is refused") {
  CHECK(error_of([] { run_it({}); }).message() == "cannot run a program: its argument list is empty");
}

TEST_CASE("the deadline kills the program and all it started, and leaves no zombie") {
  auto options = script("sleep 1000 & echo $!; trap '' TERM; wait");
  options.deadline = 200ms;
  std::string started;
  options.on_output = [&](std::string_view part) { started += part; };
  const Error error = error_of([&] { run_it(options); });
  CHECK(error.kind() == ErrorKind::timed_out);
  CHECK(error.message() == "sh took longer than 0.2 s and was killed");
  REQUIRE_FALSE(started.empty());
  CHECK(ends_soon(std::string(trim(started))));
  CHECK_FALSE(has_children());
}

TEST_CASE("what a program leaves behind in its group ends with it") {
  const auto outcome = run_it(script("sleep 1000 & echo $!"));
  CHECK(outcome.exit_code == 0);
  CHECK(ends_soon(std::string(trim(outcome.output))));
}

TEST_CASE("a daemon that keeps the output open does not hold us up") {
  const auto outcome = run_it(script("setsid sleep 1000 & echo $!"));
  const std::string pid(trim(outcome.output));
  CHECK(outcome.exit_code == 0);
  CHECK_FALSE(has_children());
  if (is_running(pid)) ::kill(static_cast<pid_t>(std::stol(pid)), SIGKILL);
}

TEST_CASE("cancelling kills the program and is passed on") {
  asio::io_context context;
  asio::cancellation_signal cancel;
  std::exception_ptr failure;
  std::string started;
  auto options = script("echo $$; sleep 1000");
  options.on_output = [&](std::string_view part) {
    started += part;
    asio::post(context, [&] { cancel.emit(asio::cancellation_type::terminal); });
  };
  auto done = [&](std::exception_ptr cause, const ProcessOutcome&) { failure = cause; };
  asio::co_spawn(context, run_process(std::move(options)), asio::bind_cancellation_slot(cancel.slot(), done));
  context.run();
  REQUIRE(failure);
  try {
    std::rethrow_exception(failure);
  } catch (const boost::system::system_error& error) {
    CHECK(error.code() == asio::error::operation_aborted);
  }
  CHECK_FALSE(is_running(std::string(trim(started))));
  CHECK_FALSE(has_children());
}

TEST_CASE("a callback's exception kills the program and is passed on") {
  auto options = script("echo hello; sleep 1000");
  options.on_output = [](std::string_view) { throw Error(ErrorKind::invalid, "I did not expect that"); };
  CHECK(error_of([&] { run_it(options); }).message() == "I did not expect that");
  CHECK_FALSE(has_children());
}

TEST_CASE("an io_context that is stopped for good leaves no program behind") {
  std::string started;
  {
    asio::io_context context;
    auto options = script("echo $$; sleep 1000");
    options.on_output = [&](std::string_view part) {
      started += part;
      context.stop();
    };
    asio::co_spawn(context, run_process(std::move(options)), [](std::exception_ptr, const ProcessOutcome&) {});
    context.run();
  }
  REQUIRE_FALSE(started.empty());
  CHECK_FALSE(is_running(std::string(trim(started))));
  CHECK_FALSE(has_children());
}

TEST_CASE("a hundred runs leave no descriptor open and pass none on") {
  run_it(script(":"));
  const std::size_t before = open_descriptors();
  for (int i = 0; i < 100; ++i) run_it(script(":"));
  CHECK(open_descriptors() == before);
  CHECK(run_it(script("ls /proc/$$/fd | tr '\\n' ' '")).output.starts_with("0 1 2 "));
}

TEST_CASE("two programs run side by side") {
  // Each waits for what the other one writes.
  const auto folder = std::filesystem::temp_directory_path() / ("deploy-pair-" + std::to_string(::getpid()));
  std::filesystem::create_directory(folder);
  run([](std::string path) -> Task<void> {
    TaskGroup group(co_await asio::this_coro::executor,
                    [](const std::string& name, std::exception_ptr cause) { FAIL(name << ": " << message_of(cause)); });
    const auto run_one = [](ProcessOptions options) -> Task<void> { co_await run_process(std::move(options)); };
    auto first = script("touch \"$0/a\"; until [ -e \"$0/b\" ]; do :; done");
    auto second = script("touch \"$0/b\"; until [ -e \"$0/a\" ]; do :; done");
    for (auto* one : {&first, &second}) {
      one->argv.push_back(path);
      one->deadline = 20s;
      group.spawn("one", run_one(*one));
    }
    co_await group.wait();
  }(folder));
  std::filesystem::remove_all(folder);
}
