#include "agent/proxy/nginx.hpp"

#include <catch2/catch_test_macros.hpp>

#include "tests/proxy/nginx_world.hpp"

namespace deploy::proxy {
namespace {

using std::chrono::milliseconds;

TEST_CASE("a switch is proved by the marker and by the workers that are left") {
  NginxWorld world;
  const auto report = world.apply({backend("10.213.176.10")});
  CHECK(report.changed);
  CHECK(report.test == milliseconds(95));
  // Not before the last old worker stopped accepting, 105 ms after the signal; soon after that.
  CHECK(report.prove >= milliseconds(105));
  CHECK(report.prove < milliseconds(200));
  CHECK(world.accepting() == 1);
  CHECK(world.engine.loaded_generation == generation_in(world.engine.files()));
  CHECK(world.engine.count("HUP") == 1);
  CHECK_FALSE(world.exists(".deployctl-previous.json"));
}

TEST_CASE("matching answers alone are no proof while an old worker accepts") {
  NginxWorld world;
  world.engine.old_until = std::chrono::seconds(3);
  world.engine.new_after = milliseconds(0);
  CHECK(world.apply({backend("10.213.176.10")}).prove >= milliseconds(3000));
}

TEST_CASE("the container is connected once, and again where a name is missing") {
  NginxWorld world;
  const auto first = world.apply({backend("10.213.176.10")});
  CHECK(first.notes ==
        std::vector<std::string>{
            "connected the container nginx to the network deployctl as 10.213.176.2 with the names backend"});
  CHECK(world.apply({backend("10.213.176.11")}).notes.empty());
  auto llm = backend("10.213.176.12");
  llm.service = "llm";
  llm.settings.upstream = "";
  llm.settings.port = 8000;
  world.apply({backend("10.213.176.11"), llm});
  std::vector<std::string> connections;
  for (const auto& call : world.engine.calls) {
    if (call.find("connect") != std::string::npos) connections.push_back(call);
  }
  CHECK(connections == std::vector<std::string>{"connect deployctl 10.213.176.2 backend", "disconnect deployctl",
                                                "connect deployctl 10.213.176.2 backend llm"});
}

TEST_CASE("a name that belongs to a container is taken from Nginx") {
  NginxWorld world;
  auto llm = backend("");
  llm.service = "llm";
  llm.settings.upstream = "";
  llm.targets.clear();
  world.apply({backend("10.213.176.10"), llm});
  llm.settings.dns = true;
  CHECK(world.apply({backend("10.213.176.10"), llm}).notes ==
        std::vector<std::string>{
            "connected the container nginx to the network deployctl as 10.213.176.2 with the names backend"});
  CHECK(world.apply({backend("10.213.176.10"), llm}).notes.empty());
}

TEST_CASE("the same routes again need no reload, also for an agent that has just started") {
  NginxWorld world;
  world.apply({backend("10.213.176.10")});
  world.start_agent();
  const auto report = world.apply({backend("10.213.176.10")});
  CHECK_FALSE(report.changed);
  CHECK(report.prove >= milliseconds(105));
  CHECK(world.engine.count("HUP") == 1);
}

TEST_CASE("the same files that Nginx has not loaded are loaded") {
  NginxWorld world;
  world.apply({backend("10.213.176.10")});
  world.engine.loaded_generation = "1";
  CHECK(world.apply({backend("10.213.176.10")}).changed);
  CHECK(world.engine.count("HUP") == 2);
}

TEST_CASE("generations grow, also when the clock went back") {
  NginxWorld world;
  world.apply({backend("10.213.176.10")});
  const auto text = world.read("deployctl.conf");
  const auto old = generation_in(world.engine.files()).value();
  const auto from = text.find(old);
  std::string later = text;
  later.replace(from, old.size(), "9000000000000");
  world.write("deployctl.conf", later);
  world.apply({backend("10.213.176.10")});
  CHECK(generation_in(world.engine.files()) == "9000000000001");
}

TEST_CASE("a refused file is taken back before Nginx is signalled") {
  NginxWorld world;
  world.apply({backend("10.213.176.10")});
  const auto before = world.engine.files();
  world.engine.refused_word = "kepalive";
  auto bad = backend("10.213.176.11");
  bad.settings.directives = {"kepalive 32"};
  const auto error = world.error_of_apply({bad});
  CHECK(error.kind() == ErrorKind::invalid);
  CHECK(error.message() ==
        "nginx -t in container nginx refuses the new upstream files; the previous upstream files are back: nginx: "
        "[emerg] unknown "
        "directive \"kepalive\"\nnginx: configuration file /etc/nginx/nginx.conf test failed");
  CHECK(world.engine.files() == before);
  CHECK(world.engine.count("HUP") == 1);
}

TEST_CASE("a configuration that was broken before is told apart from a refused file") {
  const std::string wanted =
      "the configuration of Nginx in container nginx was broken before this change, and nothing was switched; repair "
      "it until "
      "nginx -t accepts it: nginx: [emerg] unexpected \"}\" in /etc/nginx/nginx.conf:7\n"
      "nginx: configuration file /etc/nginx/nginx.conf test failed";
  NginxWorld world;
  SECTION("before the first change") {
    world.engine.broken = "nginx: [emerg] unexpected \"}\" in /etc/nginx/nginx.conf:7";
    CHECK(world.error_of_apply({backend("10.213.176.10")}).message() == wanted);
    CHECK(world.engine.files().empty());
  }
  SECTION("between two changes") {
    world.apply({backend("10.213.176.10")});
    const auto before = world.engine.files();
    world.engine.broken = "nginx: [emerg] unexpected \"}\" in /etc/nginx/nginx.conf:7";
    CHECK(world.error_of_apply({backend("10.213.176.11")}).message() == wanted);
    CHECK(world.engine.files() == before);
  }
}

TEST_CASE("a folder that is not included is noticed before Nginx is signalled") {
  NginxWorld world;
  world.engine.included = false;
  const auto error = world.error_of_apply({backend("10.213.176.10")});
  CHECK(error.kind() == ErrorKind::invalid);
  CHECK(error.message() ==
        "Nginx in container nginx does not read the folder " + world.folder.path().string() +
            ": mount it into the container (the folder, not single files) and add an include of its *.conf files "
            "inside http {} "
            "of nginx.conf, e.g. \"include /etc/nginx/upstreams/*.conf;\"; the previous upstream files are back");
  CHECK(world.engine.files().empty());
  CHECK(world.engine.count("HUP") == 0);
}

TEST_CASE("without a proof the previous files are put back and proved") {
  NginxWorld world;
  world.apply({backend("10.213.176.10")});
  const auto before = world.engine.files();
  const auto old = generation_in(before).value();
  world.engine.failing_reloads = 1;
  const auto error = world.error_of_apply({backend("10.213.176.11")});
  CHECK(error.kind() == ErrorKind::timed_out);
  CHECK(
      error.message() ==
      "Nginx in container nginx was told to reload and did not prove the new configuration within 10 s: the marker at "
      "10.213.176.2:19010 still answers with generation " +
          old +
          "; the newest emergency in its log: [emerg] bind() to 0.0.0.0:8000 failed; the previous upstream files are "
          "back "
          "and loaded");
  CHECK(world.engine.files() == before);
  CHECK(world.engine.loaded_generation == old);
}

TEST_CASE("a proof that fails for the previous files, too, is said") {
  NginxWorld world;
  world.apply({backend("10.213.176.10")});
  const auto before = world.engine.files();
  world.engine.old_until = std::chrono::seconds(100);
  const auto error = world.error_of_apply({backend("10.213.176.11")});
  CHECK(error.kind() == ErrorKind::in_doubt);
  CHECK(error.message().find(
            "; the previous upstream files are back, but Nginx does not prove that it has loaded them: ") !=
        std::string::npos);
  CHECK(world.engine.files() == before);
}

TEST_CASE("a container that is missing, stopped or not Nginx is refused with what to do") {
  NginxWorld world;
  SECTION("missing") {
    world.engine.missing_container.reset();
    const auto error = world.error_of_apply({});
    CHECK(error.kind() == ErrorKind::not_found);
    CHECK(error.message() ==
          "there is no Nginx container called nginx; start it, or correct proxy.nginx.container in agent.yaml");
  }
  SECTION("stopped") {
    world.engine.container.state = "exited";
    const auto error = world.error_of_apply({});
    CHECK(error.kind() == ErrorKind::unreachable);
    CHECK(error.message() ==
          "the Nginx container nginx is exited, not running; start it with: docker start nginx; if it "
          "ends again, docker logs nginx says why; the newest emergency in its log: [emerg] bind() to 0.0.0.0:8000 "
          "failed");
  }
  SECTION("not Nginx") {
    world.engine.processes_now = {
        {100, 1, "/usr/bin/supervisord"}, {101, 100, "sh"}, {102, 101, "nginx: master process nginx"}};
    CHECK(world.error_of_apply({}).message() ==
          "the first process of container nginx is \"/usr/bin/supervisord\" and not Nginx's master process, so it "
          "cannot be told "
          "to reload; run Nginx as the container's own command (nginx -g \"daemon off;\")");
  }
}

TEST_CASE("upstream files that were removed are written again while Nginx does not start for want of them") {
  NginxWorld world;
  world.apply({backend("10.213.176.10")});
  std::filesystem::remove(world.folder / "backend.conf");
  std::filesystem::remove(world.folder / "deployctl.conf");
  world.engine.container.state = "restarting";
  CHECK(world.error_of_apply({backend("10.213.176.10")}).kind() == ErrorKind::unreachable);
  CHECK(world.read("backend.conf").find("server 10.213.176.10:8080") != std::string::npos);
  CHECK_FALSE(world.exists("deployctl.conf"));
  // What was not proved is replaced, and what is there is left alone.
  world.error_of_apply({backend("10.213.176.11")});
  CHECK(world.read("backend.conf").find("server 10.213.176.11:8080") != std::string::npos);
  world.engine.container.state = "running";
  world.apply({backend("10.213.176.10")});
  CHECK(world.exists("deployctl.conf"));
  // What was written while Nginx could not be asked is not believed, though the files say so already: it may have run.
  std::filesystem::remove(world.folder / "backend.conf");
  world.engine.container.state = "restarting";
  world.error_of_apply({backend("10.213.176.11")});
  world.engine.container.state = "running";
  CHECK(world.apply({backend("10.213.176.11")}).changed);
  CHECK(world.read("backend.conf").find("It was missing") == std::string::npos);
  world.apply({backend("10.213.176.10")});
  world.engine.container.state = "exited";
  world.error_of_apply({backend("10.213.176.12")});
  CHECK(world.read("backend.conf").find("server 10.213.176.10:8080") != std::string::npos);
}

TEST_CASE("an Nginx that does not start is told apart from a container that is not Nginx's") {
  NginxWorld world;
  world.engine.processes_now = {{100, 1, "nginx -g daemon off;"}};
  const auto error = world.error_of_apply({});
  CHECK(error.kind() == ErrorKind::unreachable);
  CHECK(error.message() ==
        "Nginx in container nginx does not start; docker logs nginx says why; the newest emergency in its log: [emerg] "
        "bind() "
        "to 0.0.0.0:8000 failed");
}

TEST_CASE("a container whose nginx cannot be run is refused with what to do") {
  NginxWorld world;
  world.engine.exec_answer = ports::ExecResult{127, "exec: \"nginx\": executable file not found in $PATH\n"};
  CHECK(world.error_of_apply({}).message() ==
        "cannot run nginx -t in container nginx: exec: \"nginx\": executable file not found in $PATH; it must have the "
        "program nginx in its PATH");
}

TEST_CASE("a container that is still starting Nginx is waited for") {
  NginxWorld world;
  world.engine.boots_until = milliseconds(900);
  CHECK(world.apply({backend("10.213.176.10")}).changed);
}

TEST_CASE("Nginx below a small init is Nginx") {
  NginxWorld world;
  world.engine.container.pid = 50;
  world.engine.processes_now[0].parent = 50;
  world.engine.processes_now.push_back({50, 1, "/sbin/docker-init -- nginx"});
  CHECK(world.apply({backend("10.213.176.10")}).changed);
}

TEST_CASE("the test reads the configuration that the running Nginx reads") {
  NginxWorld world;
  world.engine.processes_now[0].title = "nginx: master process nginx -c /srv/n.conf -g daemon off;";
  world.apply({backend("10.213.176.10")});
  CHECK(world.engine.count("nginx -T -q -c /srv/n.conf") == 2);
}

TEST_CASE("what a reload costs here is said") {
  NginxWorld world;
  SECTION("too old for keepalive_min_timeout") {
    world.engine.version_line = "nginx version: nginx/1.22.1";
    CHECK(world.apply({backend("10.213.176.10")}).notes.back() ==
          "nginx/1.22.1 closes idle keep-alive connections at every reload, which can cost a request that is on its "
          "way; Nginx "
          "1.27.4 or later with \"keepalive_min_timeout 5s;\" inside http {} does not");
  }
  SECTION("not set") {
    world.engine.users_config = "http { server { listen 80; location / { proxy_pass http://backend; } } }";
    CHECK(world.apply({backend("10.213.176.10")}).notes.back() ==
          "Nginx closes idle keep-alive connections at every reload, which can cost a request that is on its way; add "
          "\"keepalive_min_timeout 5s;\" inside http {}");
  }
}

TEST_CASE("a switch that no request from outside sees says so, as often as that is so") {
  NginxWorld world;
  const std::string note =
      "no request from outside reaches backend yet: what Nginx in container nginx reads does not name the upstream "
      "backend; write \"proxy_pass http://backend;\" into nginx.conf";
  const auto named = world.engine.users_config;
  world.engine.users_config = "http { keepalive_min_timeout 5s; server { listen 80; } }";
  CHECK(world.apply({backend("10.213.176.10")}).notes.back() == note);
  CHECK(world.apply({backend("10.213.176.11")}).notes == std::vector{note});
  auto nowhere = backend("");
  nowhere.targets.clear();
  CHECK(world.apply({nowhere}).notes.empty());
  world.engine.users_config = named;
  CHECK(world.apply({backend("10.213.176.12")}).notes.empty());
}

TEST_CASE("workers are retired when they are gone") {
  NginxWorld world;
  world.apply({backend("10.213.176.10")});
  const auto start = world.clock.elapsed();
  world.engine.end_old_workers();
  CHECK(world.wait_retired(milliseconds(20000)));
  CHECK(world.clock.elapsed() == start);
}

TEST_CASE("workers are retired when no idle connection of theirs can be left") {
  NginxWorld world;  // keepalive_min_timeout 5s
  world.apply({backend("10.213.176.10")});
  const auto start = world.clock.elapsed();
  CHECK(world.wait_retired(milliseconds(20000)));
  CHECK(world.clock.elapsed() - start >= milliseconds(5900));
  CHECK(world.clock.elapsed() - start <= milliseconds(6200));
}

TEST_CASE("waiting for workers has a limit") {
  NginxWorld world;
  world.apply({backend("10.213.176.10")});
  const auto start = world.clock.elapsed();
  CHECK_FALSE(world.wait_retired(milliseconds(2000)));
  CHECK(world.clock.elapsed() - start == milliseconds(2000));
}

TEST_CASE("a container that does not run has no workers left") {
  NginxWorld world;
  world.engine.container.state = "exited";
  CHECK(world.wait_retired(milliseconds(0)));
}

}  // namespace
}  // namespace deploy::proxy
