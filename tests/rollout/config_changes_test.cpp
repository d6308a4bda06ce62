// A push to the repository of this host's own files, up to what Nginx serves with and what the services get.
#include <catch2/catch_all.hpp>
#include <nlohmann/json.hpp>

#include "agent/api/queries.hpp"
#include "tests/rollout/config_host.hpp"

using namespace deploy;
using namespace deploy::tests;
using domain::ConfigPhase;

namespace {

/// The value that env files give a service's variable.
rollout::Resolve with_value(const std::string& value) {
  return [value](const domain::Service& service) {
    auto settings = as_written(service);
    settings.container.environment["DB_PASS"] = value;
    return settings;
  };
}

}  // namespace

TEST_CASE("a push to the config repo is pulled, loaded and kept") {
  Host host;
  Agent agent(host);
  host.work_tree.files[commit_of('b')] = {".env", "nginx.conf"};
  agent.push_configuration('b');
  agent.work();
  CHECK(host.proxy.reload_calls == 1);
  CHECK(host.work_tree.files_of == commit_of('b'));
  CHECK(host.work_tree.head == commit_of('b'));
  const auto change = last_of(agent);
  CHECK(change.phase == ConfigPhase::applied);
  CHECK(change.cause == "push of you/infra, commit bbbbbbb");
  CHECK(change.from == before_it);
  CHECK(change.to == commit_of('b'));
  CHECK(change.reason == "/srv/app is at bbbbbbb, which changes 2 files; Nginx serves with it");
  CHECK(ends(agent) == std::vector<std::string>{"applied: " + change.reason});
  CHECK(agent.complaints.empty());
}

TEST_CASE("what is there already is loaded all the same") {
  Host host;
  Agent agent(host);
  agent.push_configuration('a');
  agent.work();
  CHECK(host.proxy.reload_calls == 1);
  CHECK(last_of(agent).reason == "/srv/app was at aaaaaaa already; Nginx was tested and reloaded");
}

TEST_CASE("where there is no Nginx nothing is loaded, and it is said") {
  Host host;
  host.proxy.proxied = false;
  Agent agent(host);
  agent.push_configuration('b');
  agent.work();
  CHECK(last_of(agent).reason == "/srv/app is at bbbbbbb, which changes 1 file; there is no Nginx to load it");
}

TEST_CASE("what Nginx refuses is put back, and stays on the status until a later change is applied") {
  Host host;
  Agent agent(host);
  const Error refused(ErrorKind::invalid, "nginx -t refuses the new files: nginx.conf:3; the earlier files are back");
  host.proxy.fail_loading.push_back(refused);
  agent.push_configuration('b');
  agent.work();
  CHECK(host.work_tree.files_of == before_it);
  CHECK(host.work_tree.head == before_it);
  CHECK(last_of(agent).phase == ConfigPhase::rolled_back);
  CHECK(last_of(agent).reason == refused.message());
  api::Queries queries(agent.journal, host.services, host.config_repo);
  auto shown = queries.status({}, {}).config_repo.value();
  CHECK(shown.last->phase == "rolled_back");
  CHECK(shown.last->commit == commit_of('b'));
  CHECK_FALSE(shown.now);
  agent.push_configuration('c');
  shown = queries.status({}, {}).config_repo.value();
  CHECK(shown.now->phase == "queued");
  CHECK(shown.last->phase == "rolled_back");
  agent.work();
  CHECK(queries.status({}, {}).config_repo->last->phase == "applied");
  CHECK(host.work_tree.head == commit_of('c'));
}

TEST_CASE("what cannot be put back needs a person") {
  Host host;
  Agent agent(host);
  const Error doubt(ErrorKind::in_doubt, "no proof; putting the earlier files back failed, too: the disk is full");
  host.proxy.fail_loading.push_back(doubt);
  agent.push_configuration('b');
  agent.work();
  CHECK(ends(agent) == std::vector<std::string>{"needs operator: " + doubt.message()});
}

TEST_CASE("a folder that cannot be brought forward is left alone, and so is Nginx") {
  Host host;
  Agent agent(host);
  host.work_tree.fail_prepare.emplace_back(ErrorKind::conflict, "the pull would overwrite what was changed by hand");
  agent.push_configuration('b');
  agent.work();
  CHECK(host.proxy.reload_calls == 0);
  CHECK(ends(agent) == std::vector<std::string>{"refused: the pull would overwrite what was changed by hand"});
  CHECK(last_of(agent).to == commit_of('b'));
}

TEST_CASE("a remote that does not answer is tried again for a while") {
  Host host;
  Agent agent(host);
  host.source.fail_fetch.emplace(ErrorKind::unreachable, "cannot fetch file:///infra: cannot reach it");
  SECTION("and answers") {
    int fetches = 0;
    host.source.on_point = [&](std::string_view point) {
      if (point == "source.fetch" && ++fetches == 3) host.source.fail_fetch.reset();
    };
    agent.push_configuration('b');
    agent.work();
    CHECK(last_of(agent).phase == ConfigPhase::applied);
    CHECK(fetches == 3);
  }
  SECTION("and does not") {
    agent.push_configuration('b');
    const auto start = host.clock.elapsed();
    agent.work();
    CHECK(ends(agent) == std::vector<std::string>{"refused: cannot fetch file:///infra: cannot reach it"});
    CHECK(host.clock.elapsed() - start >= std::chrono::minutes(2));
  }
}

TEST_CASE("an Nginx that is away is waited for, and nothing is written without it") {
  Host host;
  Agent agent(host);
  SECTION("it comes back") {
    host.proxy.fail_before_writing.emplace_back(ErrorKind::unreachable, "the Nginx container nginx is restarting");
    agent.push_configuration('b');
    agent.work();
    CHECK(host.proxy.reload_calls == 2);
    CHECK(last_of(agent).phase == ConfigPhase::applied);
  }
  SECTION("there is none") {
    host.proxy.fail_before_writing.emplace_back(ErrorKind::not_found, "there is no Nginx container called nginx");
    agent.push_configuration('b');
    agent.work();
    CHECK(host.proxy.reload_calls == 1);
    CHECK(host.work_tree.files_of == before_it);
    CHECK(ends(agent) ==
          std::vector<std::string>{"refused: there is no Nginx container called nginx; nothing was changed"});
  }
}

TEST_CASE("files that were written, and a proof that did not come, are not tried again") {
  Host host;
  Agent agent(host);
  host.proxy.fail_loading.emplace_back(ErrorKind::timed_out,
                                       "no proof within 10 s; the earlier files are back and loaded");
  agent.push_configuration('b');
  agent.work();
  CHECK(host.proxy.reload_calls == 1);
  CHECK(last_of(agent).phase == ConfigPhase::rolled_back);
}

TEST_CASE("a branch that does not follow needs a person, and Nginx serves with the new files") {
  Host host;
  Agent agent(host);
  host.work_tree.fail_keep.emplace_back(ErrorKind::conflict, "/srv/app has another commit on \"main\" now");
  agent.push_configuration('b');
  agent.work();
  CHECK(host.work_tree.files_of == commit_of('b'));
  CHECK(ends(agent) == std::vector<std::string>{
                           "needs operator: the files of bbbbbbb are there and Nginx serves with it, but "
                           "the work tree's branch does not follow: /srv/app has another commit on \"main\" now"});
}

TEST_CASE("somebody's git that is at work in the folder is waited for") {
  Host host;
  Agent agent(host);
  host.work_tree.fail_keep.assign(3, Error(ErrorKind::unreachable, "the index is locked"));
  agent.push_configuration('b');
  agent.work();
  CHECK(last_of(agent).phase == ConfigPhase::applied);
  CHECK(host.work_tree.head == commit_of('b'));
}

TEST_CASE("a newer push takes the place of one that waits") {
  Host host;
  Agent agent(host);
  agent.push_configuration('b');
  agent.push_configuration('c');
  agent.work();
  CHECK(host.proxy.reload_calls == 1);
  CHECK(host.work_tree.head == commit_of('c'));
  CHECK(ends(agent) ==
        std::vector<std::string>{"superseded: a newer push took its place",
                                 "applied: /srv/app is at ccccccc, which changes 1 file; Nginx serves with it"});
}

TEST_CASE("no switch of a service takes place beside a config change") {
  Host host;
  host.services = {service_named("backend")};
  Agent agent(host);
  host.proxy.clock = &host.clock;
  host.proxy.takes = std::chrono::seconds(1);
  int inside = 0;
  int most = 0;
  host.proxy.on_point = [&](std::string_view point) {
    if (point == "proxy.apply.before" || point == "proxy.reload.before") most = std::max(most, ++inside);
    if (point == "proxy.apply.after" || point == "proxy.reload.after") --inside;
  };
  agent.push({"backend"}, 'a');
  agent.push_configuration('b');
  agent.work();
  CHECK(agent.outcomes() == "backend succeeded");
  CHECK(last_of(agent).phase == ConfigPhase::applied);
  CHECK(most == 1);
}

TEST_CASE("settings that are others now are left to a person, or rolled out at the live commit") {
  Host host;
  host.services = {service_named("backend", {"llm"}), service_named("llm"), service_named("fresh")};
  host.config_repo->rolls_out = GENERATE(false, true);
  std::string value = "old";
  host.resolve = [&value](const domain::Service& service) { return with_value(value)(service); };
  Agent agent(host);
  agent.push({"backend", "llm"}, 'a');
  agent.work();
  host.work_tree.on_point = [&](std::string_view point) {
    if (point == "tree.write") value = "new";
  };
  agent.push_configuration('b');
  agent.work();
  const std::vector<std::string> names{"backend"};
  const auto plan = run(agent.previews.of(names));
  const std::string begin = "/srv/app is at bbbbbbb, which changes 1 file; Nginx serves with it; ";
  if (!host.config_repo->rolls_out) {
    CHECK(last_of(agent).reason == begin +
                                       "`deployctl plan` shows other settings of llm, backend, and this brings them: "
                                       "deployctl rollout llm backend");
    CHECK(agent.outcomes() == "llm succeeded, backend succeeded");
    CHECK(plan[0].differences == std::vector<std::string>{"a variable that the file names has another value"});
    return;
  }
  CHECK(last_of(agent).reason == begin + "with other settings these are rolled out: llm, backend");
  CHECK(agent.outcomes() == "llm succeeded, backend succeeded, llm succeeded, backend succeeded");
  CHECK(agent.last().commit == commit_of('a'));
  CHECK(agent.last().cause == "config change 1, commit bbbbbbb");
  CHECK(plan[0].differences.empty());
}

TEST_CASE("what a service takes from a Compose file is a setting, too") {
  Host host;
  host.services = {service_named("backend")};
  host.config_repo->rolls_out = true;
  std::string user = "1000";
  host.complete = [&user](domain::Service service) -> Task<domain::Service> {
    service.container.user = user;
    co_return service;
  };
  Agent agent(host);
  agent.push({"backend"}, 'a');
  agent.work();
  user = "2000";
  agent.push_configuration('b');
  agent.work();
  CHECK(agent.outcomes() == "backend succeeded, backend succeeded");
  const auto config = nlohmann::json::parse(agent.journal.revisions.get(*agent.last().revision).config);
  CHECK(domain::service_from_json(config).container.user == "2000");
}

TEST_CASE("what cannot be rolled out with the new files, and what deployd itself has to read again, is said") {
  Host host;
  host.services = {service_named("backend")};
  bool known = true;
  host.resolve = [&known](const domain::Service& service) {
    if (!known) throw Error(ErrorKind::invalid, "service backend: DB_PASS is not set");
    return as_written(service);
  };
  Agent agent(host);
  agent.push({"backend"}, 'a');
  agent.work();
  known = false;
  host.own_files_changed = {"/srv/app/deploy.d/backend.yaml"};
  agent.push_configuration('b');
  agent.work();
  CHECK(last_of(agent).reason ==
        "/srv/app is at bbbbbbb, which changes 1 file; Nginx serves with it; it cannot be rolled out: "
        "service backend: DB_PASS is not set; restart deployd, which read these when it started: "
        "/srv/app/deploy.d/backend.yaml");
}

TEST_CASE("an image that is not built is rolled out with the same digest") {
  Host host;
  auto backend = service_named("backend");
  backend.source.git.reset();
  backend.source.image = "registry/backend:stable";
  host.engine.registry[backend.source.image] = {};
  host.services = {backend};
  host.config_repo->rolls_out = true;
  std::string value = "old";
  host.resolve = [&value](const domain::Service& service) { return with_value(value)(service); };
  Agent agent(host);
  agent.push({"backend"}, 'a');
  agent.work();
  REQUIRE(agent.outcomes() == "backend succeeded");
  const auto live = agent.journal.revisions.get(*agent.last().revision);
  value = "new";
  agent.push_configuration('b');
  agent.work();
  REQUIRE(agent.outcomes() == "backend succeeded, backend succeeded");
  CHECK(agent.last().image == live.image);
  CHECK(agent.journal.revisions.get(*agent.last().revision).image == live.image);
}
