// A test of Nginx's configuration before there is something to switch to, and when it is good enough for the switch.
#include <catch2/catch_test_macros.hpp>

#include "tests/proxy/nginx_world.hpp"

namespace deploy::proxy {
namespace {

using std::chrono::milliseconds;
namespace fs = std::filesystem;

/// An Nginx whose files can be seen below /proc, with a target in traffic.
struct Seen : NginxWorld {
  fs::path root = proc.path() / "100" / "root";

  Seen() {
    engine.users_config =
        "http { keepalive_min_timeout 5s; include conf.d/*.conf; include /etc/nginx/upstreams/*.conf; }";
    fs::create_directories(root / "etc/nginx/conf.d");
    fs::create_directory_symlink(folder.path(), root / "etc/nginx/upstreams");
    std::ofstream(root / "etc/nginx/nginx.conf") << engine.users_config;
    apply({backend("10.213.176.10")});
    rehearse();
  }
  void rehearse() { tests::run_virtual(clock, nginx->rehearse()); }
  int tests() const { return engine.count("nginx -T -q"); }
};

}  // namespace

TEST_CASE("a switch that changes nothing but addresses needs no test after a rehearsal") {
  Seen world;
  const auto before = world.tests();
  const auto report = world.apply({backend("10.213.176.11")});
  CHECK(report.changed);
  CHECK_FALSE(report.test);
  CHECK(world.tests() == before);
  CHECK(world.engine.count("HUP") == 2);
  CHECK(world.engine.loaded_generation == generation_in(world.engine.files()));
  // Its own change makes it one of another time.
  CHECK(world.apply({backend("10.213.176.12")}).test);
}

TEST_CASE("a rehearsal is good for what was rehearsed alone") {
  Seen world;
  auto route = backend("10.213.176.11");
  SECTION("not where the users' file has changed") {
    std::ofstream(world.root / "etc/nginx/nginx.conf", std::ios::app) << "# later\n";
  }
  SECTION("not where there is a new file to include") {
    std::ofstream(world.root / "etc/nginx/conf.d/new.conf") << "server { listen 81; }\n";
  }
  SECTION("not for one more target") { route.targets.push_back({"10.213.176.12", 8080}); }
  SECTION("not with other parameters") { route.settings.server_parameters = "max_fails=3"; }
  SECTION("not an hour later") { tests::run_virtual(world.clock, world.clock.sleep_for(std::chrono::hours(1))); }
  SECTION("not for another container") { world.engine.container.id = "c2"; }
  CHECK(world.apply({route}).test);
}

TEST_CASE("what cannot be seen, or is broken, is not rehearsed") {
  Seen world;
  SECTION("files that this process cannot see as Nginx does") { fs::remove_all(world.root); }
  SECTION("files that differ from what Nginx read") { world.engine.users_config += " # another mount"; }
  SECTION("a folder that Nginx does not include") { world.engine.included = false; }
  SECTION("a broken configuration, which the switch tells of") { world.engine.broken = "nginx: [emerg] nonsense"; }
  world.rehearse();
  world.engine.included = true;
  const auto broken = !world.engine.broken.empty();
  if (broken) {
    CHECK(world.error_of_apply({backend("10.213.176.11")}).kind() == ErrorKind::invalid);
  } else {
    CHECK(world.apply({backend("10.213.176.11")}).test);
  }
}

TEST_CASE("where there is no Nginx nothing is rehearsed, and nothing is said") {
  Seen world;
  world.engine.missing_container.reset();
  world.rehearse();
  SUCCEED();
}

}  // namespace deploy::proxy
