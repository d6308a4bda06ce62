#include "agent/proxy/nginx.hpp"

#include <catch2/catch_test_macros.hpp>

#include "tests/proxy/nginx_world.hpp"

namespace deploy::proxy {
namespace {

TEST_CASE("foreign files stay") {
  NginxWorld world;
  world.write("users.conf", "upstream users { server 10.0.0.1; }\n");
  world.apply({backend("10.213.176.10")});
  CHECK(world.read("users.conf") == "upstream users { server 10.0.0.1; }\n");
  CHECK(world.exists("backend.conf"));
}

TEST_CASE("an upstream that was renamed follows its service for as long as Nginx may send requests there") {
  NginxWorld world;
  world.engine.users_config = "http { server { location / { proxy_pass http://backend; } } }";
  world.apply({backend("10.213.176.10")});
  auto renamed = backend("10.213.176.11");
  renamed.settings.upstream = "shop";
  world.apply({renamed});
  CHECK(world.read("shop.conf").find("server 10.213.176.11:8080;") != std::string::npos);
  CHECK(world.read("backend.conf").find("server 10.213.176.11:8080;") != std::string::npos);
  CHECK_FALSE(world.apply({renamed}).changed);

  // The users may change their mind between two changes, so the file stays until their configuration is read before
  // one.
  world.engine.users_config = "http { server { location / { proxy_pass http://shop; } } }";
  renamed.targets = {{"10.213.176.12", 8080}};
  world.apply({renamed});
  CHECK(world.read("backend.conf").find("server 10.213.176.12:8080;") != std::string::npos);
  world.start_agent();
  CHECK(world.apply({renamed}).changed);
  CHECK_FALSE(world.exists("backend.conf"));
  CHECK(world.read("shop.conf").find("server 10.213.176.12:8080;") != std::string::npos);
}

TEST_CASE("an upstream whose service is gone stays without targets for as long as Nginx may send requests there") {
  NginxWorld world;
  world.engine.users_config = "http { server { location / { proxy_pass http://gone; } } }";
  world.write("gone.conf", std::string(file_header) + "upstream gone { server 10.0.0.1; }\n");
  world.apply({backend("10.213.176.10")});
  CHECK(world.read("gone.conf").find("upstream gone {\n    server 127.0.0.1:1 down;") != std::string::npos);
}

TEST_CASE("a foreign file with an upstream's name is left alone") {
  NginxWorld world;
  world.write("backend.conf", "upstream backend { server 10.0.0.1; }\n");
  const auto error = world.error_of_apply({backend("10.213.176.10")});
  CHECK(error.kind() == ErrorKind::conflict);
  CHECK(error.message() ==
        (world.folder / "backend.conf").string() +
            " was not written by deployctl and is left alone; move its settings to the service's file in "
            "deploy.d and remove it; the previous upstream files are back");
  CHECK(world.read("backend.conf") == "upstream backend { server 10.0.0.1; }\n");
  CHECK_FALSE(world.exists("deployctl.conf"));
  CHECK(world.engine.count("HUP") == 0);
}

TEST_CASE("an interrupted change is finished by the same routes") {
  NginxWorld world;
  world.apply({backend("10.213.176.10")});
  const auto old = world.engine.files();
  // Killed between the rename of the files and the signal.
  world.apply({backend("10.213.176.11")});
  UpstreamFolder(world.folder.path()).remember(old);
  world.engine.loaded_generation = generation_in(old).value();
  world.start_agent();
  CHECK(world.apply({backend("10.213.176.11")}).changed);
  CHECK(world.engine.loaded_generation == generation_in(world.engine.files()));
  CHECK_FALSE(world.exists(".deployctl-previous.json"));
}

TEST_CASE("files that an interrupted change left, and that Nginx refuses, do not block the next change") {
  NginxWorld world;
  world.apply({backend("10.213.176.10")});
  UpstreamFolder(world.folder.path()).remember(world.engine.files());
  world.write("backend.conf", std::string(file_header) + "upstream backend { kepalive 3; }\n");
  world.engine.refused_word = "kepalive";
  world.start_agent();
  CHECK(world.apply({backend("10.213.176.11")}).changed);
  CHECK(world.read("backend.conf").find("10.213.176.11:8080") != std::string::npos);
}

TEST_CASE("a file that was changed by hand stays until the next switch, and its text is kept") {
  NginxWorld world;
  world.apply({backend("10.213.176.10")});
  const auto path = (world.folder / "backend.conf").string();
  const auto generation = world.engine.loaded_generation;
  const auto edited = world.read("backend.conf") + "# server 10.213.176.10:8080 weight=2;\n";
  world.write("backend.conf", edited);
  for (int pass = 0; pass < 2; ++pass) {
    const auto looked = world.apply({backend("10.213.176.10")});
    CHECK_FALSE(looked.changed);
    CHECK(looked.edited == std::vector{path});
    CHECK(looked.notes.empty());
    world.start_agent();
  }
  CHECK(world.read("backend.conf") == edited);
  CHECK(world.engine.loaded_generation == generation);
  const auto switched = world.apply({backend("10.213.176.11")});
  CHECK(switched.edited.empty());
  CHECK(switched.notes == std::vector{path +
                                      " was changed by hand; it has deployd's own text again, and what was "
                                      "there is in " +
                                      path + ".edited"});
  CHECK(world.read("backend.conf").find("weight") == std::string::npos);
  CHECK(world.read("backend.conf.edited") == edited);
  CHECK(world.apply({backend("10.213.176.11")}).edited.empty());
  // The next edit does not cost the first one.
  world.write("backend.conf", world.read("backend.conf") + "# again\n");
  CHECK(world.apply({backend("10.213.176.12")}).notes.size() == 1);
  CHECK(world.read("backend.conf.edited") == edited);
  CHECK(world.read("backend.conf.edited-2").ends_with("# again\n"));
}

TEST_CASE(
    "a file that was changed by hand and sends requests elsewhere is written again at once, and its text is kept") {
  NginxWorld world;
  world.apply({backend("10.213.176.10")});
  auto edited = world.read("backend.conf");
  SECTION("to another address") { edited.replace(edited.find("10.213.176.10"), 13, "10.213.176.99"); }
  SECTION("to nobody") { edited = std::string(file_header) + "upstream backend { server 10.213.176.99:8080; }\n"; }
  world.write("backend.conf", edited);
  const auto report = world.apply({backend("10.213.176.10")});
  CHECK(report.changed);
  CHECK(report.edited.empty());
  CHECK(report.notes.size() == 1);
  CHECK(world.read("backend.conf").find("10.213.176.10:8080") != std::string::npos);
  CHECK(world.read("backend.conf.edited") == edited);
}

TEST_CASE("a switch that fails puts a file that was changed by hand back as it was") {
  NginxWorld world;
  world.apply({backend("10.213.176.10")});
  const auto edited = world.read("backend.conf") + "# mine\n";
  world.write("backend.conf", edited);
  world.engine.refused_word = "10.213.176.11";
  CHECK(world.error_of_apply({backend("10.213.176.11")}).kind() == ErrorKind::invalid);
  CHECK(world.read("backend.conf") == edited);
  CHECK(world.apply({backend("10.213.176.10")}).edited.size() == 1);
}

TEST_CASE("files of a deployd that did not seal them are not taken for changed by hand") {
  NginxWorld world;
  world.apply({backend("10.213.176.10")});
  for (const auto& [name, text] : world.engine.files()) world.write(name, unsealed(text));
  world.start_agent();
  const auto report = world.apply({backend("10.213.176.10")});
  CHECK(report.changed);
  CHECK(report.notes.empty());
  CHECK(report.edited.empty());
  CHECK_FALSE(world.exists("backend.conf.edited"));
  // Nor is what somebody wrote in advance for a service that has no target yet.
  world.write("shop.conf", std::string(file_header) + "upstream shop { server 127.0.0.1:1 down; }\n");
  world.engine.users_config =
      "http { keepalive_min_timeout 5s; server { proxy_pass http://backend; proxy_pass http://shop; } }";
  auto shop = backend("10.213.176.12");
  shop.service = shop.settings.upstream = "shop";
  const auto added = world.apply({backend("10.213.176.10"), shop});
  CHECK(added.notes ==
        std::vector<std::string>{
            "connected the container nginx to the network deployctl as 10.213.176.2 with the names backend, shop"});
  CHECK_FALSE(world.exists("shop.conf.edited"));
}

TEST_CASE("what the files route to is known without a database") {
  using Endpoints = std::vector<ports::Endpoint>;
  NginxWorld world;
  const auto routed = [&] { return tests::run_virtual(world.clock, world.nginx->routed()); };
  CHECK(routed().empty());
  world.apply({backend("10.213.176.10")});
  world.write("users.conf", "upstream users { server 10.0.0.1:80; }\n");
  world.start_agent();
  CHECK(routed() == Endpoints{{"10.213.176.10", 8080}});
  // A change that was cut short: Nginx may have loaded neither or both.
  const auto old = world.engine.files();
  world.apply({backend("10.213.176.11")});
  UpstreamFolder(world.folder.path()).remember(old);
  CHECK(routed() == Endpoints{{"10.213.176.10", 8080}, {"10.213.176.11", 8080}});
  std::filesystem::remove_all(world.folder.path());
  const auto error = tests::error_of(routed);
  CHECK(error.kind() == ErrorKind::not_found);
  CHECK(error.message() == "cannot read the upstream folder " + world.folder.path().string() +
                               ": No such file or directory; create it, mount it into the container that Nginx runs "
                               "in, if it runs in one, and include its *.conf files inside http {}");
}

TEST_CASE("a port of the users' servers is known from their configuration") {
  NginxWorld world;
  world.engine.users_config = "http { server { listen 8080; } }";
  world.apply({backend("10.213.176.10")});
  CHECK(world.read("deployctl.conf").find("listen 8080;") == std::string::npos);
  CHECK(world.read("deployctl.conf").find("proxy_pass http://deployctl-port.8080;") != std::string::npos);
}

}  // namespace
}  // namespace deploy::proxy
