#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tests/http/served.hpp"

using namespace std::chrono_literals;
using namespace deploy;
using namespace deploy::http;
using namespace deploy::tests;
namespace fs = std::filesystem;

namespace {

class TempFolder {
 public:
  TempFolder() {
    std::string pattern = (fs::temp_directory_path() / "deploy-http-XXXXXX").string();
    REQUIRE(mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  ~TempFolder() { fs::remove_all(path_); }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  std::string file(const std::string& name) const { return (path_ / name).string(); }

 private:
  fs::path path_;
};

mode_t mode_of(const std::string& path) {
  struct stat status {};
  REQUIRE(lstat(path.c_str(), &status) == 0);
  return status.st_mode & 07777U;
}

Error listen_error(const UnixSocketSpec& spec) {
  asio::io_context context;
  Server server(context.get_executor(), {}, echo);
  return error_of([&] { server.listen_unix(spec); });
}

/// A socket file as a process that was killed leaves it.
void leave_stale_socket(const std::string& path) {
  asio::io_context context;
  asio::local::stream_protocol::acceptor acceptor(context, asio::local::stream_protocol::endpoint(path));
}

}  // namespace

TEST_CASE("a unix socket has its mode, serves, and its file is removed at the end") {
  const TempFolder folder;
  const auto path = folder.file("agent.sock");
  with_server({}, echo, [&](Server& server, std::uint16_t) -> Task<void> {
    server.listen_unix({path, 0600, ""});
    CHECK(mode_of(path) == 0600);
    RawClient client(co_await asio::this_coro::executor, path);
    co_await client.write("GET /x HTTP/1.1\r\n\r\n");
    co_await client.expect_response("HTTP/1.1 200 OK", "GET /x ");
    co_await server.stop(1s);
    CHECK_FALSE(fs::exists(path));
  });
}

TEST_CASE("the mode of a unix socket does not depend on the umask") {
  const TempFolder folder;
  const auto path = folder.file("agent.sock");
  const mode_t before = umask(0077);
  with_server({}, echo, [&](Server& server, std::uint16_t) -> Task<void> {
    server.listen_unix({path, 0660, ""});
    CHECK(mode_of(path) == 0660);
    co_return;
  });
  umask(before);
}

TEST_CASE("a socket file that nobody answers on is replaced") {
  const TempFolder folder;
  const auto path = folder.file("agent.sock");
  leave_stale_socket(path);
  REQUIRE(fs::exists(path));
  with_server({}, echo, [&](Server& server, std::uint16_t) -> Task<void> {
    server.listen_unix({path, 0660, ""});
    RawClient client(co_await asio::this_coro::executor, path);
    co_await client.write("GET /x HTTP/1.1\r\n\r\n");
    co_await client.expect_response("HTTP/1.1 200 OK", "GET /x ");
  });
}

TEST_CASE("a socket that somebody answers on is left to them") {
  const TempFolder folder;
  const auto path = folder.file("agent.sock");
  with_server({}, echo, [&](Server& server, std::uint16_t) -> Task<void> {
    server.listen_unix({path, 0660, ""});
    const auto error = listen_error({path, 0660, ""});
    CHECK(error.kind() == ErrorKind::conflict);
    CHECK(error.message() ==
          "cannot listen on " + path + ": another process answers on it; is the agent running already?");
    RawClient client(co_await asio::this_coro::executor, path);
    co_await client.write("GET /x HTTP/1.1\r\n\r\n");
    co_await client.expect_response("HTTP/1.1 200 OK", "GET /x ");
  });
}

TEST_CASE("a file that is not a socket is not touched") {
  const TempFolder folder;
  const auto path = folder.file("agent.sock");
  std::ofstream(path) << "precious";
  const auto error = listen_error({path, 0660, ""});
  CHECK(error.kind() == ErrorKind::conflict);
  CHECK(error.message() ==
        "cannot listen on " + path + ": it exists and is not a socket; move it away or choose another path");
  CHECK(fs::file_size(path) == 8);
}

TEST_CASE("a socket file that another agent has put there since is left in place") {
  const TempFolder folder;
  const auto path = folder.file("agent.sock");
  with_server({}, echo, [&](Server& server, std::uint16_t) -> Task<void> {
    server.listen_unix({path, 0660, ""});
    fs::rename(path, folder.file("moved.sock"));
    leave_stale_socket(path);
    co_await server.stop(1s);
    CHECK(fs::exists(path));
  });
}

TEST_CASE("a unix socket that cannot be made is refused in words") {
  const TempFolder folder;
  const auto path = folder.file("agent.sock");
  CHECK(listen_error({path, 0660, "no-such-group-here"}).message() ==
        "cannot listen on " + path +
            ": there is no group \"no-such-group-here\"; create it with: groupadd --system no-such-group-here");
  CHECK_FALSE(fs::exists(path));
  const auto deep = folder.file("missing/agent.sock");
  CHECK(listen_error({deep, 0660, ""}).message() ==
        "cannot listen on " + deep + ": its folder does not exist; create it first");
  const std::string longest(108, 'x');
  CHECK(listen_error({longest, 0660, ""}).message() ==
        "cannot listen on \"" + longest + "\": the path of a unix socket has 1 to 107 bytes");
}

TEST_CASE("the group of a unix socket is set") {
  if (geteuid() != 0) SKIP("only root may give a file to any group");
  const TempFolder folder;
  const auto path = folder.file("agent.sock");
  with_server({}, echo, [&](Server& server, std::uint16_t) -> Task<void> {
    server.listen_unix({path, 0660, "daemon"});
    struct stat status {};
    REQUIRE(stat(path.c_str(), &status) == 0);
    CHECK(status.st_gid == 1);
    co_return;
  });
}
