// The fetching process itself, and how it ends.
#include "agent/source/git_fetch.hpp"

#include <signal.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/redirect_error.hpp>
#include <catch2/catch_all.hpp>
#include <fstream>
#include <sstream>

#include "agent/base/error.hpp"
#include "agent/base/process.hpp"
#include "agent/base/text.hpp"
#include "agent/source/git_job.hpp"
#include "tests/source/mirror_fixture.hpp"

using namespace std::chrono_literals;
using namespace deploy;
using namespace deploy::source;
using namespace deploy::tests;
using boost::asio::ip::tcp;

namespace {

/// A server that accepts and then says nothing, and an address on it.
struct SilentServer {
  explicit SilentServer(const asio::any_io_executor& executor)
      : acceptor(executor, tcp::endpoint(asio::ip::address_v4::loopback(), 0)) {}
  std::string url() const { return "https://127.0.0.1:" + std::to_string(acceptor.local_endpoint().port()) + "/a"; }
  tcp::acceptor acceptor;
};

/// Returns when the other side has closed the connection.
Task<void> wait_closed(tcp::socket* socket) {
  std::string said;
  boost::system::error_code closed;
  auto token = asio::redirect_error(asio::use_awaitable, closed);
  co_await asio::async_read(*socket, asio::dynamic_buffer(said), token);
}

Task<void> ignore_outcome(Task<ProcessOutcome> work) { co_await std::move(work); }

}  // namespace

TEST_CASE("a child that dies says what it said") {
  const TempDir folder;
  const TestRepo repo(folder / "repo");
  const std::string program = folder / "dies";
  const auto message_of = [&](const std::string& script) {
    std::ofstream(program) << "#!/bin/sh\n" + script + " $$\n";
    std::filesystem::permissions(program, std::filesystem::perms::owner_all);
    MirrorUnderTest mirror(folder / "state", 20s, program);
    return error_of([&] { mirror.fetch(repo.source()); }).message();
  };
  const std::string ended = "cannot fetch " + repo.source().url + ": the fetching process ended with code ";
  const std::string again = "; try again, and report it as a fault of deployctl if it stays so";
  CHECK(message_of("echo 'it hurts' >&2; kill -SEGV") == ended + "139 and said: it hurts" + again);
  CHECK(message_of("kill -KILL") == ended +
                                        "137 and said: nothing; the kernel does that when memory is short (dmesg "
                                        "tells): free some and try again");
}

TEST_CASE("a job and its answers are what the other end reads") {
  const FetchJob job{"git@h:a", "/m \"x\"", "/k", "/h", "to\nken", "main"};
  const std::string line = to_line(job);
  CHECK(std::count(line.begin(), line.end(), '\n') == 1);
  const FetchJob read = job_from_line(line);
  CHECK(read.url == job.url);
  CHECK(read.mirror == job.mirror);
  CHECK(read.ssh_key == job.ssh_key);
  CHECK(read.ssh_known_hosts == job.ssh_known_hosts);
  CHECK(read.token == job.token);
  CHECK(read.tip_of == job.tip_of);

  const Error error(ErrorKind::disk_full, "not UTF-8: \xff");
  const FetchLine failed = fetch_line_from(to_line(FetchFailed{error, true}));
  REQUIRE(std::holds_alternative<FetchFailed>(failed));
  CHECK(std::get<FetchFailed>(failed).error.kind() == ErrorKind::disk_full);
  CHECK(std::get<FetchFailed>(failed).error.message() == "not UTF-8: \xef\xbf\xbd");
  CHECK(std::get<FetchFailed>(failed).mirror_damaged);
  CHECK(std::get<FetchProgress>(fetch_line_from(to_line(FetchProgress{"half"}))).text == "half");
  CHECK(std::get<FetchDone>(fetch_line_from(to_line(FetchDone{"3f2a1c9"}))).tip == "3f2a1c9");
}

TEST_CASE("a person who runs git-fetch is told that it is not for them, and no input is repeated") {
  const auto outcome = [] {
    ProcessOptions options;
    options.argv = {git_fetch_helper, "git-fetch"};
    options.standard_input = "{\"token\": \"secret\"";
    return run(run_process(std::move(options)));
  }();
  CHECK(outcome.exit_code == 1);
  CHECK(outcome.output ==
        "{\"failed\":{\"kind\":\"failed\",\"message\":\"git-fetch is run by deployd only: its standard input is not a "
        "job\",\"mirror_damaged\":false}}\n");
}

TEST_CASE("cancelling a fetch ends the child and leaves nothing") {
  const TempDir folder;
  MirrorUnderTest mirror(folder / "state");
  asio::io_context context;
  SilentServer server(context.get_executor());
  domain::GitSource source;
  source.url = server.url();
  std::exception_ptr failure;
  asio::cancellation_signal cancel;
  asio::co_spawn(context, mirror.mirror().fetch(source, {}),
                 asio::bind_cancellation_slot(cancel.slot(), [&](std::exception_ptr cause) { failure = cause; }));
  bool closed = false;
  const auto watch = [](SilentServer* at, asio::cancellation_signal* to_cancel, bool* was_closed) -> Task<void> {
    tcp::socket socket = co_await at->acceptor.async_accept(asio::use_awaitable);
    to_cancel->emit(asio::cancellation_type::terminal);
    co_await wait_closed(&socket);
    *was_closed = true;
  };
  asio::co_spawn(context, watch(&server, &cancel, &closed), [](std::exception_ptr) {});
  context.run_for(30s);
  CHECK(closed);
  REQUIRE(failure);
  CHECK_THROWS_AS(std::rethrow_exception(failure), boost::system::system_error);
  CHECK(names_below(folder / "state").empty());
}

TEST_CASE("the child dies with the process that started it") {
  const TempDir folder;
  asio::io_context context;
  SilentServer server(context.get_executor());
  std::ofstream(folder / "job") << to_line(FetchJob{server.url(), (folder / "mirror").string(), "", "", "", ""});
  // A session of its own keeps it out of the group that run_process kills.
  ProcessOptions parent;
  parent.argv = {"sh", "-c", "echo $$; setsid \"$0\" git-fetch < \"$1\" > /dev/null & wait", git_fetch_helper,
                 folder / "job"};
  std::string pid;
  parent.on_output = [&](std::string_view part) { pid += part; };
  asio::co_spawn(context, ignore_outcome(run_process(std::move(parent))), [](std::exception_ptr) {});
  bool closed = false;
  const auto watch = [](SilentServer* at, const std::string* parent_pid, bool* was_closed) -> Task<void> {
    tcp::socket socket = co_await at->acceptor.async_accept(asio::use_awaitable);
    ::kill(static_cast<pid_t>(std::stol(*parent_pid)), SIGKILL);
    co_await wait_closed(&socket);
    *was_closed = true;
  };
  asio::co_spawn(context, watch(&server, &pid, &closed), [](std::exception_ptr) {});
  context.run_for(30s);
  CHECK(closed);
}
