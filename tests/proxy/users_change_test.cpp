// A change of the users' own files, made together with the proof that Nginx serves with them.
#include <catch2/catch_test_macros.hpp>

#include "agent/proxy/by_name.hpp"
#include "tests/proxy/nginx_world.hpp"

namespace deploy::proxy {
namespace {

using std::chrono::milliseconds;

const std::string before_text =
    "http { keepalive_min_timeout 5s; server { listen 80; location / { proxy_pass http://backend; } } }";
const std::string after_text =
    "http { keepalive_min_timeout 5s; server { listen 8080; location / { proxy_pass http://backend; } } }";

/// A backend in traffic, and users' files that a change writes.
struct Users : NginxWorld {
  std::string wanted = after_text;
  std::optional<Error> fail_write;
  std::optional<Error> fail_put_back;
  std::string breaks;  // what nginx -t says once the new files are there
  int put_back = 0;

  Users() {
    engine.users_config = before_text;
    apply({backend("10.213.176.10")});
  }
  ports::UsersChange change() {
    ports::UsersChange users;
    users.write = [this]() -> Task<void> {
      engine.users_config = wanted;
      engine.broken = breaks;
      if (fail_write) throw *fail_write;
      co_return;
    };
    users.put_back = [this]() -> Task<void> {
      ++put_back;
      if (fail_put_back) throw *fail_put_back;
      engine.users_config = before_text;
      engine.broken.clear();
      co_return;
    };
    return users;
  }
  ports::SwitchReport reload() {
    return tests::run_virtual(clock, nginx->reload_users_files({backend("10.213.176.10")}, change()));
  }
  Error error_of_reload() {
    return tests::error_of([&] { reload(); });
  }
  std::string generation() { return generation_in(engine.files()).value_or(""); }
};

}  // namespace

TEST_CASE("the users' files are tested, loaded under a new generation, and proved") {
  Users world;
  const auto before = world.generation();
  const auto report = world.reload();
  CHECK(report.proxied);
  CHECK(report.changed);
  CHECK(report.prove >= milliseconds(105));
  CHECK(world.generation() != before);
  CHECK(world.engine.loaded_generation == world.generation());
  CHECK(world.engine.count("HUP") == 2);
  CHECK(world.accepting() == 1);
  CHECK(world.put_back == 0);
  CHECK_FALSE(world.exists(".deployctl-previous.json"));
  // What is proved needs no reload of its own.
  CHECK_FALSE(world.apply({backend("10.213.176.10")}).changed);
}

TEST_CASE("our files are rendered for what the users' files say now") {
  Users world;
  const auto shares = [&] {
    return world.read("deployctl.conf").find("# Other names on port 8080: the servers of this Nginx") !=
           std::string::npos;
  };
  CHECK_FALSE(shares());
  world.reload();
  CHECK(shares());
}

TEST_CASE("users' files that Nginx refuses are put back before anything is loaded") {
  Users world;
  const auto before = world.engine.files();
  world.breaks = "nginx: [emerg] unknown directive \"lisen\" in /etc/nginx/nginx.conf:3";
  const auto error = world.error_of_reload();
  CHECK(error.kind() == ErrorKind::invalid);
  CHECK(error.message() ==
        "nginx -t in container nginx refuses the new files: nginx: [emerg] unknown directive \"lisen\" in "
        "/etc/nginx/nginx.conf:3\nnginx: configuration file /etc/nginx/nginx.conf test failed; the earlier files are "
        "back");
  CHECK(world.put_back == 1);
  CHECK(world.engine.count("HUP") == 1);
  CHECK(world.engine.files() == before);
  world.breaks.clear();
  CHECK(world.reload().changed);
}

TEST_CASE("a file whose change Nginx does not see is put back, and nothing is loaded") {
  Users world;
  auto users = world.change();
  users.texts = {{"conf/nginx.conf", before_text, after_text}};
  users.write = []() -> Task<void> { co_return; };  // into another inode than the one that is mounted
  const auto reload = [&] {
    return tests::run_virtual(world.clock, world.nginx->reload_users_files({backend("10.213.176.10")}, users));
  };
  CHECK(
      tests::error_of(reload).message() ==
      "Nginx in container nginx still reads the earlier text of conf/nginx.conf: its container mounts that file by "
      "itself, and somebody (an editor, git checkout) has put another in its place since; make the container anew, or "
      "better mount the folder, and push again; the earlier files are back");
  CHECK(world.put_back == 1);
  CHECK(world.engine.count("HUP") == 1);
  SECTION("it sees it") { users.write = world.change().write; }
  SECTION("a file of another name with the same text is none of Nginx's") {
    users.texts[0].path = "nginx.conf.example";
  }
  SECTION("nor is one that it does not read") { users.texts[0].before = "another"; }
  CHECK(reload().changed);
}

TEST_CASE("users' files that mend a broken configuration are loaded") {
  Users world;
  world.engine.broken = "nginx: [emerg] unexpected \"}\" in /etc/nginx/nginx.conf:7";
  CHECK(world.reload().changed);
}

TEST_CASE("users' files that do not mend a broken configuration are told with what is wrong with the earlier ones") {
  Users world;
  world.breaks = "nginx: [emerg] new trouble";
  auto users = world.change();
  users.put_back = [&world]() -> Task<void> {
    world.engine.broken = "nginx: [emerg] old trouble";
    co_return;
  };
  const auto error = tests::error_of(
      [&] { tests::run_virtual(world.clock, world.nginx->reload_users_files({backend("10.213.176.10")}, users)); });
  CHECK(error.kind() == ErrorKind::invalid);
  CHECK(error.message() ==
        "nginx -t in container nginx refuses the new files: nginx: [emerg] new trouble\nnginx: configuration file "
        "/etc/nginx/nginx.conf test failed; the earlier files are back, but nginx -t refuses the configuration now: "
        "nginx: [emerg] old trouble\nnginx: configuration file /etc/nginx/nginx.conf test failed");
}

TEST_CASE("users' files that leave out our folder are put back") {
  Users world;
  auto users = world.change();
  users.write = [&world]() -> Task<void> {
    world.engine.included = false;
    co_return;
  };
  users.put_back = [&world]() -> Task<void> {
    world.engine.included = true;
    co_return;
  };
  const auto error = tests::error_of(
      [&] { tests::run_virtual(world.clock, world.nginx->reload_users_files({backend("10.213.176.10")}, users)); });
  CHECK(error.message().starts_with("Nginx in container nginx does not read the folder "));
  CHECK(error.message().ends_with("; the earlier files are back"));
  CHECK(world.engine.count("HUP") == 1);
}

TEST_CASE("without a proof the users' files are put back, loaded and proved") {
  Users world;
  const auto before = world.engine.files();
  world.engine.failing_reloads = 1;
  const auto error = world.error_of_reload();
  CHECK(error.kind() == ErrorKind::timed_out);
  CHECK(
      error.message() ==
      "Nginx in container nginx was told to reload and did not prove the new configuration within 10 s: the marker at "
      "10.213.176.2:19010 still answers with generation " +
          generation_in(before).value() +
          "; the newest emergency in its log: [emerg] bind() to 0.0.0.0:8000 failed; the earlier files are back and "
          "loaded");
  CHECK(world.engine.files() == before);
  CHECK(world.put_back == 1);
  CHECK(world.engine.count("HUP") == 3);
}

TEST_CASE("users' files that cannot be written, or put back, are told of") {
  Users world;
  world.fail_write.emplace(ErrorKind::disk_full, "cannot write /srv/app/nginx.conf: No space left on device");
  CHECK(world.error_of_reload().message() ==
        "cannot write /srv/app/nginx.conf: No space left on device; the earlier files are back");
  world.fail_put_back.emplace(ErrorKind::failed, "cannot write /srv/app/nginx.conf: Input/output error");
  const auto error = world.error_of_reload();
  CHECK(error.kind() == ErrorKind::in_doubt);
  CHECK(error.message() ==
        "cannot write /srv/app/nginx.conf: No space left on device; putting the earlier files back failed, too: cannot "
        "write /srv/app/nginx.conf: Input/output error");
}

TEST_CASE("where Nginx does not run the users' files are not written") {
  Users world;
  world.engine.missing_container.reset();
  const auto error = world.error_of_reload();
  CHECK(error.kind() == ErrorKind::not_found);
  CHECK(world.engine.users_config == before_text);
  CHECK(world.put_back == 0);
}

TEST_CASE("without a proxy the users' files are written, and put back where that fails") {
  tests::NullEngine engine;
  ByName proxy(engine, "instance", "deployctl");
  std::string text = "old";
  std::optional<Error> fail_put_back;
  bool fails = false;
  ports::UsersChange users;
  users.write = [&]() -> Task<void> {
    text = "new";
    if (fails) throw Error(ErrorKind::disk_full, "the disk is full");
    co_return;
  };
  users.put_back = [&]() -> Task<void> {
    if (fail_put_back) throw *fail_put_back;
    text = "old";
    co_return;
  };
  const auto report = tests::run(proxy.reload_users_files({}, users));
  CHECK_FALSE(report.proxied);
  CHECK(text == "new");
  fails = true;
  CHECK(tests::error_of([&] { tests::run(proxy.reload_users_files({}, users)); }).message() ==
        "the disk is full; the earlier files are back");
  CHECK(text == "old");
  fail_put_back.emplace(ErrorKind::failed, "it is broken");
  const auto error = tests::error_of([&] { tests::run(proxy.reload_users_files({}, users)); });
  CHECK(error.kind() == ErrorKind::in_doubt);
  CHECK(error.message() == "the disk is full; putting the earlier files back failed, too: it is broken");
}

}  // namespace deploy::proxy
