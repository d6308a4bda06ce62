// Config changes that the end of deployd, or a full disk, cuts short.
#include <catch2/catch_all.hpp>

#include "tests/rollout/config_host.hpp"

using namespace deploy;
using namespace deploy::tests;
using domain::ConfigPhase;

namespace {

/// deployd ends where it writes the files of a push.
void die_while_writing(Host& host) {
  Agent agent(host);
  host.work_tree.on_point = [](std::string_view at) {
    if (at == "tree.write") throw std::runtime_error("killed");
  };
  agent.push_configuration('b');
  agent.work(std::chrono::seconds(1));
  host.work_tree.on_point = nullptr;
}

}  // namespace

TEST_CASE("killed at any point of a config change, it is made to its end after the next start") {
  const std::string point = GENERATE("tree.prepare", "tree.write.torn", "tree.write", "tree.put_back",
                                     "proxy.reload.written", "proxy.reload.after", "tree.keep");
  const bool works = GENERATE(true, false);
  CAPTURE(point, works);
  Host host;
  host.services = {service_named("backend")};
  host.proxy.refuses = [&]() -> std::optional<Error> {
    if (works || host.work_tree.files_of == before_it) return std::nullopt;
    return Error(ErrorKind::invalid, "nginx -t refuses the new files; the earlier files are back");
  };
  bool killed = false;
  {
    Agent first(host);
    first.push({"backend"}, 'a');
    first.work();
    const auto kill = [&](std::string_view at) {
      if (at != point) return;
      killed = true;
      throw std::runtime_error("killed");
    };
    host.work_tree.on_point = kill;
    host.proxy.on_point = kill;
    first.push_configuration('b');
    first.start();
    const auto end = host.clock.elapsed() + std::chrono::minutes(1);
    while (!killed && !first.journal.configs.unfinished().empty()) {
      first.context.restart();
      if (first.context.poll() == 0 && !host.clock.advance_to_next(end)) break;
    }
    first.context.kill();
  }
  const bool reached = works ? point != "tree.put_back" : point != "proxy.reload.after" && point != "tree.keep";
  REQUIRE(killed == reached);
  // Before anybody asks Nginx again, no file is half-written.
  host.work_tree.on_point = nullptr;
  host.proxy.on_point = [&](std::string_view at) {
    if (at == "proxy.apply.before") CHECK(host.work_tree.files_of != "torn");
  };
  Agent second(host);
  second.work();
  const auto change = last_of(second);
  CHECK(change.phase == (works ? ConfigPhase::applied : ConfigPhase::rolled_back));
  CHECK(host.work_tree.files_of == (works ? commit_of('b') : before_it));
  CHECK(host.work_tree.head == host.work_tree.files_of);
  // An attempt that was cut short may have been loaded: what is in the files is loaded before it is made again.
  const bool begun = killed && point != "tree.prepare" && point != "tree.keep";
  CHECK(change.attempts == (begun ? 2 : 1));
}

TEST_CASE("a config change in which deployd ends again and again is given up") {
  Host host;
  for (int life = 0; life < 3; ++life) {
    Agent agent(host);
    host.work_tree.on_point = [](std::string_view at) {
      if (at == "tree.write") throw std::runtime_error("killed");
    };
    if (life == 0) agent.push_configuration('b');
    agent.work(std::chrono::seconds(1));
  }
  host.work_tree.on_point = nullptr;
  Agent agent(host);
  agent.work();
  CHECK(host.work_tree.files_of == before_it);
  CHECK(ends(agent) == std::vector<std::string>{
                           "rolled back: deployd ended in the middle of it 3 times; the earlier files are back and "
                           "loaded; its log says why it ended"});
}

TEST_CASE("files that somebody else wrote while deployd was away are left to a person") {
  Host host;
  die_while_writing(host);
  host.work_tree.fail_put_back.emplace_back(ErrorKind::conflict, "somebody changed in /srv/app what bbbbbbb changes");
  Agent agent(host);
  agent.work();
  CHECK(ends(agent) ==
        std::vector<std::string>{"needs operator: deployd ended in the middle of it, and somebody changed "
                                 "in /srv/app what bbbbbbb changes"});
}

TEST_CASE("an Nginx that does not load the earlier files after a cut-short change needs a person") {
  Host host;
  die_while_writing(host);
  host.proxy.fail_loading.emplace_back(ErrorKind::invalid, "nginx -t refuses them");
  Agent agent(host);
  agent.work();
  CHECK(ends(agent) ==
        std::vector<std::string>{"needs operator: deployd ended in the middle of it; the earlier files are back, and "
                                 "Nginx cannot be made to load them: nginx -t refuses them"});
}

TEST_CASE("what cannot be put back at the start is tried again, and no rollout begins meanwhile") {
  Host host;
  die_while_writing(host);
  host.work_tree.fail_put_back.emplace_back(ErrorKind::disk_full, "cannot write /srv/app/nginx.conf");
  Agent agent(host);
  agent.work();
  CHECK(host.work_tree.head == commit_of('b'));
  CHECK(last_of(agent).phase == ConfigPhase::applied);
}

TEST_CASE("what could not be written down is made again") {
  Host host;
  Agent agent(host);
  agent.push_configuration('b');
  int commits = 0;
  agent.database.on_commit([&](bool committed) {
    if (!committed && ++commits == 2) throw Error(ErrorKind::disk_full, "the disk is full");
  });
  agent.work();
  CHECK(agent.complaints == std::vector<std::string>{"the disk is full"});
  CHECK(last_of(agent).phase == ConfigPhase::applied);
  CHECK(host.work_tree.head == commit_of('b'));
}
