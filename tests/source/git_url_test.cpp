#include "agent/source/git_url.hpp"

#include <catch2/catch_all.hpp>

#include "agent/base/error.hpp"
#include "tests/fakes/run.hpp"

using namespace deploy;
using namespace deploy::source;
using deploy::tests::error_of;

TEST_CASE("addresses of every form are understood") {
  struct Row {
    const char* text;
    Transport transport;
    const char* user;
    const char* host;
    int port;
  };
  const Row row = GENERATE(Row{"https://github.com/a/b.git", Transport::https, "", "github.com", 0},
                           Row{"https://git.example:8443/a/b", Transport::https, "", "git.example", 8443},
                           Row{"https://[::1]:8443/a", Transport::https, "", "::1", 8443},
                           Row{"ssh://git.example/a", Transport::ssh, "git", "git.example", 0},
                           Row{"ssh://deploy@git.example:2222/a", Transport::ssh, "deploy", "git.example", 2222},
                           Row{"git@github.com:a/b.git", Transport::ssh, "git", "github.com", 0},
                           Row{"github.com:a/b.git", Transport::ssh, "git", "github.com", 0},
                           Row{"file:///srv/git/a.git", Transport::file, "", "", 0});
  CAPTURE(row.text);
  const GitUrl url = parse_git_url(row.text);
  CHECK(url.transport == row.transport);
  CHECK(url.user == row.user);
  CHECK(url.host == row.host);
  CHECK(url.port == row.port);
  CHECK(url.text == row.text);
}

TEST_CASE("addresses that cannot be used are refused with the reason") {
  struct Row {
    const char* text;
    const char* message;
  };
  const Row row = GENERATE(
      Row{"", "source.git.url \"\" cannot be used: it is empty or holds a blank or a control character"},
      Row{"https://a b/c",
          "source.git.url \"https://a b/c\" cannot be used: it is empty or holds a blank or a control character"},
      Row{"http://github.com/a",
          "source.git.url http://github.com/a cannot be used: \"http\" is not supported; use https://, ssh:// or "
          "file://"},
      Row{"ext::sh -c x",
          "source.git.url \"ext::sh -c x\" cannot be used: it is empty or holds a blank or a control character"},
      Row{"/srv/git/a.git",
          "source.git.url /srv/git/a.git cannot be used: it is not an address; use https://, ssh://, git@host:path or "
          "file://"},
      Row{"file://srv/a",
          "source.git.url file://srv/a cannot be used: a file address has three slashes and a full path: "
          "file:///srv/git/app.git"},
      Row{"https://github.com",
          "source.git.url https://github.com cannot be used: it names no repository after the host"},
      Row{"git@github.com:", "source.git.url git@github.com: cannot be used: it names no repository after the host"},
      Row{"ssh://-oProxyCommand=x/a",
          "source.git.url ssh://-oProxyCommand=x/a cannot be used: its host or port is malformed"},
      Row{"ssh://host:0/a", "source.git.url ssh://host:0/a cannot be used: its host or port is malformed"},
      Row{"ssh://host:99999/a", "source.git.url ssh://host:99999/a cannot be used: its host or port is malformed"},
      Row{"https://me:geheim@github.com/a",
          "source.git.url https://…@github.com cannot be used: it holds a user or a password; put a token into an "
          "environment "
          "variable and name it in `token_env`"},
      Row{"ssh://git:geheim@github.com/a",
          "source.git.url ssh://…@github.com cannot be used: it holds a password; use a key and name its file in "
          "`ssh_key`"});
  CAPTURE(row.text);
  const Error error = error_of([&] { parse_git_url(row.text); });
  CHECK(error.kind() == ErrorKind::invalid);
  CHECK(error.message() == row.message);
}
