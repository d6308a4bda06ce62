// Fetching over ssh from a real sshd.
#include <catch2/catch_all.hpp>
#include <fstream>

#include "agent/base/error.hpp"
#include "tests/source/mirror_fixture.hpp"
#include "tests/source/ssh_server.hpp"

using namespace std::chrono_literals;
using namespace deploy;
using namespace deploy::tests;

namespace fs = std::filesystem;

namespace {

struct SshFixture {
  TempDir folder;
  TestRepo repo{folder / "repo"};
  SshServer server{folder / "ssh"};
  MirrorUnderTest mirror{folder / "state", 60s};
  std::string known_hosts = folder / "known_hosts";
  std::string commit;
  domain::GitSource source;

  SshFixture() {
    repo.write("a", "1");
    commit = repo.commit("first");
    source.url = server.url(repo.folder());
    source.ssh_key = server.make_key("key");
    source.ssh_known_hosts = known_hosts;
    server.accept_key(source.ssh_key);
    write_known_hosts(server.known_hosts_line());
  }

  void write_known_hosts(const std::string& text) const { std::ofstream(known_hosts) << text; }

  /// The message of the fetch's error, without "cannot fetch <address>: ".
  std::string refusal() {
    const Error error = error_of([&] { mirror.fetch(source); });
    CHECK(error.kind() == ErrorKind::invalid);
    const std::string before = "cannot fetch " + source.url + ": ";
    REQUIRE(error.message().starts_with(before));
    CHECK(names_below(folder.path() / "state").empty());
    return error.message().substr(before.size());
  }

  std::string keyscan() const { return "ssh-keyscan -p " + std::to_string(server.port()) + " 127.0.0.1"; }
};

}  // namespace

TEST_CASE_METHOD(SshFixture, "ssh: an accepted key and a known host") {
  SECTION("by one host key") {}
  SECTION("by the kind of host key that the server would not have chosen") {
    write_known_hosts(server.known_hosts_line("ecdsa"));
  }
  SECTION("by a hashed name") { run_program({"ssh-keygen", "-q", "-H", "-f", known_hosts}); }
  SECTION("with a key in PEM form") {
    run_program({"ssh-keygen", "-q", "-p", "-m", "PEM", "-N", "", "-f", source.ssh_key});
  }
  mirror.fetch(source);
  CHECK(mirror.resolve(source, "main") == commit);
  mirror.fetch(source);
}

TEST_CASE_METHOD(SshFixture, "ssh: a host that is not in known_hosts") {
  write_known_hosts("other.example " + server.known_hosts_line().substr(server.known_hosts_line().find(' ') + 1));
  const std::string text = refusal();
  // Which of its keys the server shows is its own choice.
  const bool ed25519 = text.find(server.host_fingerprint()) != std::string::npos;
  CHECK(text == "the host key of 127.0.0.1 is not in " + known_hosts + "; its fingerprint is " +
                    server.host_fingerprint(ed25519 ? "ed25519" : "ecdsa") +
                    ": if its operator publishes the same, run: " + keyscan() + " >> " + known_hosts);
}

TEST_CASE_METHOD(SshFixture, "ssh: a host with another key than the known one") {
  const std::string other = server.make_key("other");
  std::ifstream file(other + ".pub");
  std::string public_key;
  std::getline(file, public_key);
  write_known_hosts("[127.0.0.1]:" + std::to_string(server.port()) + " " + public_key + "\n");
  CHECK(refusal() == "the host key of 127.0.0.1 is not the one in " + known_hosts +
                         ": somebody may be in between; its fingerprint is " + server.host_fingerprint() +
                         ": if its operator confirms that it was changed to this, remove the old line and run: " +
                         keyscan() + " >> " + known_hosts);
}

TEST_CASE_METHOD(SshFixture, "ssh: no known_hosts file") {
  SECTION("not there") {
    fs::remove(known_hosts);
    CHECK(refusal() == "cannot read " + known_hosts + ": No such file or directory; run: " + keyscan() + " > " +
                           known_hosts + ", and compare what ssh-keygen -lf " + known_hosts +
                           " prints with the fingerprints that the server's operator publishes");
  }
  SECTION("not named") {
    source.ssh_known_hosts.clear();
    CHECK(
        refusal() ==
        "ssh needs the server's host key; run: " + keyscan() +
            " > /etc/deployctl/known_hosts, and compare what ssh-keygen -lf /etc/deployctl/known_hosts prints with the "
            "fingerprints that the server's operator publishes; then name the file in `ssh_known_hosts`");
  }
  SECTION("something else") {
    write_known_hosts("this is not\na list of keys\n");
    CHECK(refusal() == known_hosts + " is not a known_hosts file that libssh2 understands; run: " + keyscan() + " > " +
                           known_hosts + ", and compare what ssh-keygen -lf " + known_hosts +
                           " prints with the fingerprints that the server's operator publishes");
  }
}

TEST_CASE_METHOD(SshFixture, "ssh: a key that the server does not accept") {
  source.ssh_key = server.make_key("stranger");
  CHECK(refusal() == "127.0.0.1 refused the key " + source.ssh_key + " for user " + server.user() +
                         "; add its public half to the repository as a deploy key");
}

TEST_CASE_METHOD(SshFixture, "ssh: an RSA key, which libssh2 1.10 cannot use") {
  source.ssh_key = server.make_key("rsa", "rsa");
  server.accept_key(source.ssh_key);
  if (run_program({"pkg-config", "--modversion", "libssh2"}) != "1.10.0") {  // later ones can
    mirror.fetch(source);
    CHECK(mirror.resolve(source, "main") == commit);
    return;
  }
  const std::string message =
      "127.0.0.1 refused the key " + source.ssh_key + " for user " + server.user() +
      "; it is an RSA key, and libssh2 1.10.0 signs with those only in the way (SHA-1) that today's servers refuse: "
      "make "
      "another with ssh-keygen -t ed25519 and add its public half to the repository as a deploy key";
  SECTION("in OpenSSH's form") { CHECK(refusal() == message); }
  SECTION("in PEM form") {
    run_program({"ssh-keygen", "-q", "-p", "-m", "PEM", "-N", "", "-f", source.ssh_key});
    CHECK(refusal() == message);
  }
}

TEST_CASE_METHOD(SshFixture, "ssh: a key file that cannot be used") {
  SECTION("not named") {
    source.ssh_key.clear();
    CHECK(refusal() == "ssh needs a key; make one with ssh-keygen -t ed25519 and name its file in `ssh_key`");
  }
  SECTION("not there") {
    source.ssh_key = folder / "none";
    CHECK(refusal() == "cannot read " + source.ssh_key + ": No such file or directory; see `ssh_key`");
  }
  SECTION("a folder") {
    source.ssh_key = folder.path();
    CHECK(refusal() == "cannot read " + source.ssh_key + ": Is a directory; see `ssh_key`");
  }
  SECTION("the public half") {
    source.ssh_key += ".pub";
    CHECK(refusal() == source.ssh_key +
                           " is not a private key; name the file that ssh-keygen made, not the one ending in .pub; see "
                           "`ssh_key`");
  }
  SECTION("with a passphrase") {
    run_program({"ssh-keygen", "-q", "-p", "-N", "secret", "-f", source.ssh_key});
    CHECK(refusal() ==
          "the key " + source.ssh_key + " has a passphrase, and nobody is there to type it; make a key without one");
  }
  SECTION("with a passphrase, in PEM form") {
    source.ssh_key = server.make_key("pem", "ecdsa");
    run_program({"ssh-keygen", "-q", "-p", "-m", "PEM", "-N", "secret", "-f", source.ssh_key});
    CHECK(refusal() ==
          "the key " + source.ssh_key + " has a passphrase, and nobody is there to type it; make a key without one");
  }
}

TEST_CASE_METHOD(SshFixture, "ssh: a repository that the server does not have") {
  source.url = server.url(folder / "none");
  CHECK(refusal() ==
        "127.0.0.1 has no such repository, or does not show it to this key; check the address and that the key may "
        "read it");
}

TEST_CASE_METHOD(SshFixture, "ssh: a server that is not there") {
  // A port that was free a moment ago; nobody listens on it after this.
  boost::asio::io_context context;
  boost::asio::ip::tcp::acceptor acceptor(context, {boost::asio::ip::address_v4::loopback(), 0});
  const auto port = std::to_string(acceptor.local_endpoint().port());
  acceptor.close();
  source.url = "ssh://git@127.0.0.1:" + port + "/a";
  const Error error = error_of([&] { mirror.fetch(source); });
  CHECK(error.kind() == ErrorKind::unreachable);
  CHECK(error.message() ==
        "cannot fetch " + source.url +
            ": cannot reach 127.0.0.1 (failed to connect to 127.0.0.1: Connection refused); check the "
            "address and the network");
}

TEST_CASE_METHOD(SshFixture, "ssh: a server that says nothing is left at the deadline") {
  boost::asio::io_context context;
  boost::asio::ip::tcp::acceptor silent(context, {boost::asio::ip::address_v4::loopback(), 0});
  source.url = "ssh://git@127.0.0.1:" + std::to_string(silent.local_endpoint().port()) + "/a";
  MirrorUnderTest impatient(folder / "state", 300ms);
  const Error error = error_of([&] { impatient.fetch(source); });
  CHECK(error.kind() == ErrorKind::timed_out);
  CHECK(error.message() ==
        "cannot fetch " + source.url +
            ": it took longer than 0.3 s and was stopped; check the network to the server, and try again");
  CHECK(names_below(folder.path() / "state").empty());
}
