// status, history, show, version and logs against an agent that answers by a script.
#include <catch2/catch_all.hpp>
#include <nlohmann/json.hpp>

#include "agent/api/views.hpp"
#include "tests/ctl/scripted_agent.hpp"

using namespace deploy;
using namespace deploy::tests;
using nlohmann::json;

namespace {

api::StatusView some_status() {
  api::ServiceView backend{
      "backend",
      api::LiveView{"backend-3f2a1c9-c0de", std::string(40, 'a'), "sha256:1", "2026-07-01T09:30:00.000Z"},
      {{"backend-1", "172.30.0.5", 8080, "live"}, {"backend-2", "172.30.0.6", 8080, "planned"}},
      api::ActiveView{13, "running", "health check"},
      api::LastView{12, "rolled_back", "the container never became healthy", "2026-07-01T10:00:00.000Z"},
      api::PauseView{"", "an incident", "maria", "2026-07-01T09:00:00.000Z"}};
  api::ServiceView fresh{"웹", {}, {}, {}, {}, {}};
  return {{backend, fresh},
          {"keepalive_min_timeout is not set"},
          {"the container backend-1 was changed by hand: its name is old"},
          {}};
}

api::RolloutView some_rollout() {
  api::RolloutView view;
  view.id = 12;
  view.release = 7;
  view.service = "backend";
  view.kind = "deploy";
  view.revision = "backend-3f2a1c9-c0de";
  view.previous = "backend-1111111-c0de";
  view.cause = "push 3f2a1c9 to main";
  view.commit = "3f2a1c9000000000000000000000000000000000";
  view.image = "sha256:77";
  view.phase = "rolled_back";
  view.reason = "the container never became healthy: HTTP 503";
  view.log = {"starting", "\x1b[31mno database\x1b[0m"};
  view.created = "2026-07-01T09:29:59.000Z";
  view.started = "2026-07-01T09:30:00.000Z";
  view.finished = "2026-07-01T09:32:05.000Z";
  view.steps = {
      {"build", "build the image", "succeeded", 1, "2026-07-01T09:30:00.000Z", "2026-07-01T09:30:12.300Z", "sha256:77"},
      {"probe", "health check", "failed", 2, "2026-07-01T09:30:12.300Z", "2026-07-01T09:32:05.000Z", "HTTP 503"},
      {"switch_traffic", "switch", "pending", 0, "", "", ""}};
  return view;
}

}  // namespace

TEST_CASE("plan lists the services in order, with what differs, and exits with 10 where something does") {
  ScriptedAgent agent;
  const api::PlanView view{{{"llm", "llm-1111111-c0de", "", "rolling", {"fetch", "build", "create new 1"}, {}, {}},
                            {"backend",
                             "backend-3f2a1c9-c0de",
                             "",
                             "recreate",
                             {"pull", "create new 1"},
                             {"container.environment.DB: changed", "container.mem_limit: not set -> 5"},
                             {"it is paused: deployctl resume backend"}},
                            {"worker", "", "", "rolling", {"pull"}, {}, {}}},
                           {}};
  agent.on("GET /v1/plan?services=llm%2Cbackend%2Cworker", json(view));
  const auto ran = deployctl({"--socket", agent.socket(), "plan", "llm", "backend", "worker"});
  CHECK(ran.err.empty());
  CHECK(ran.code == 10);
  CHECK(ran.out ==
        "1. llm (rolling): llm-1111111-c0de is live\n"
        "   what runs is as configured; a rollout takes a newer commit or image, if there is one\n"
        "   steps: fetch > build > create new 1\n"
        "2. backend (recreate): backend-3f2a1c9-c0de is live\n"
        "   note: it is paused: deployctl resume backend\n"
        "   container.environment.DB: changed\n"
        "   container.mem_limit: not set -> 5\n"
        "   steps: pull > create new 1\n"
        "3. worker (rolling): nothing of it is live\n"
        "   steps: pull\n");
}

TEST_CASE("plan exits with 0 where nothing differs, and prints the agent's JSON") {
  ScriptedAgent agent;
  const api::PlanView view{{{"llm", "llm-1111111-c0de", "", "rolling", {"fetch"}, {}, {}}}, {}};
  agent.on("GET /v1/plan?services=", json(view));
  const auto ran = deployctl({"--socket", agent.socket(), "-o", "json", "plan"});
  CHECK(ran.code == 0);
  CHECK(json::parse(ran.out) == json(view));
}

TEST_CASE("a rollback's plan shows from where to where it goes, and exits with 10") {
  ScriptedAgent agent;
  const api::PlanView view{{{"backend",
                             "backend-2-c0de",
                             "backend-1-c0de",
                             "rolling",
                             {"image", "create new 1"},
                             {"replicas: 2 -> 1"},
                             {"x"}},
                            {"llm", "llm-2-c0de", "llm-1-c0de", "recreate", {"image"}, {}, {}}},
                           {"not taken back: worker had no revision before"}};
  agent.on("GET /v1/rollback-plan?service=&to=&release=7", json(view));
  const auto ran = deployctl({"--socket", agent.socket(), "rollback", "--release", "7", "--plan"});
  CHECK(ran.err.empty());
  CHECK(ran.code == 10);
  CHECK(ran.out ==
        "1. backend (rolling): backend-2-c0de is live, back to backend-1-c0de\n"
        "   note: x\n"
        "   replicas: 2 -> 1\n"
        "   steps: image > create new 1\n"
        "2. llm (recreate): llm-2-c0de is live, back to llm-1-c0de\n"
        "   its configuration is that of what runs\n"
        "   steps: image\n"
        "note: not taken back: worker had no revision before\n");
}

TEST_CASE("a rollback's plan exits with 0 where nothing would change") {
  ScriptedAgent agent;
  const api::PlanView view{{{"backend", "backend-1-c0de", "backend-1-c0de", "rolling", {}, {}, {"it is live already"}}},
                           {}};
  agent.on("GET /v1/rollback-plan?service=backend&to=backend-1-c0de&release=0", json(view));
  const std::vector<std::string> asked{"--socket", agent.socket(),   "rollback", "backend",
                                       "--to",     "backend-1-c0de", "--plan"};
  const auto ran = deployctl(asked);
  CHECK(ran.code == 0);
  CHECK(ran.out == "1. backend (rolling): backend-1-c0de is live\n   note: it is live already\n");
  auto detached = asked;
  detached.emplace_back("--detach");
  const auto both = deployctl(detached);
  CHECK(both.code == 2);
  CHECK(both.err == "deployctl: --plan excludes --detach; see deployctl --help\n");
  CHECK(agent.requests().size() == 1);
}

TEST_CASE("status is a table of services and the notes") {
  ScriptedAgent agent;
  agent.on("GET /v1/status", json(some_status()));
  const auto ran = deployctl({"--socket", agent.socket(), "status"});
  CHECK(ran.err.empty());
  CHECK(ran.code == 0);
  CHECK(ran.out ==
        "SERVICE  LIVE                  SINCE                TARGETS                                     NOW           "
        "            "
        "LAST\n"
        "backend  backend-3f2a1c9-c0de  2026-07-01 18:30:00  172.30.0.5:8080, 172.30.0.6:8080 (planned)  13 running: "
        "health check  "
        "12 rolled back: the container never became healthy\n"
        "웹       -                     -                    -                                           -             "
        "            "
        "-\n"
        "paused: backend since 2026-07-01 18:00:00 by maria (an incident); resume with: deployctl resume --all\n"
        "\n"
        "note: keepalive_min_timeout is not set\n"
        "drift: the container backend-1 was changed by hand: its name is old\n");
}

TEST_CASE("status says what the host's own configuration is at, and what became of the last change") {
  api::StatusView view;
  auto& config = view.config_repo.emplace();
  config.repo = "you/infra";
  config.branch = "main";
  config.folder = "/srv/app";
  const auto status = [&] {
    ScriptedAgent agent;
    agent.on("GET /v1/status", json(view));
    return deployctl({"--socket", agent.socket(), "status"}).out;
  };
  CHECK(status() == "no services\n\nconfig: main of you/infra in /srv/app; no change yet\n");
  config.now = api::ConfigChangeView{4, std::string(40, 'b'), "push", "running", "", ""};
  CHECK(status() == "no services\n\nconfig: main of you/infra in /srv/app; change 4 (bbbbbbb) is running\n");
  config.last = api::ConfigChangeView{
      3, std::string(40, 'a'), "push", "rolled_back", "nginx -t refuses", "2026-07-01T09:30:00.000Z"};
  CHECK(
      status() ==
      "no services\n\nconfig: main of you/infra in /srv/app; change 4 (bbbbbbb) is running; change 3 (aaaaaaa) rolled "
      "back 2026-07-01 18:30:00: nginx -t refuses\n");
}

TEST_CASE("status in JSON is the agent's view") {
  ScriptedAgent agent;
  agent.on("GET /v1/status", json(some_status()));
  const auto ran = deployctl({"--socket", agent.socket(), "status", "-o", "json"});
  CHECK(ran.code == 0);
  CHECK(ran.out == json(some_status()).dump(2) + "\n");
}

TEST_CASE("the socket can come from the environment") {
  ScriptedAgent agent;
  agent.on("GET /v1/status", json(api::StatusView{}));
  const auto ran = deployctl({"status"}, test_environment({{"DEPLOYCTL_SOCKET", agent.socket()}}));
  CHECK(ran.code == 0);
  CHECK(ran.out == "no services\n");
}

TEST_CASE("colours are for terminals whose user wants them") {
  ScriptedAgent agent;
  agent.on("GET /v1/status", json(some_status()));
  auto environment = test_environment({{"DEPLOYCTL_SOCKET", agent.socket()}});
  environment.out_is_terminal = true;
  CHECK(deployctl({"status"}, environment).out.find("\x1b[31m12 rolled back") != std::string::npos);
  environment = test_environment({{"DEPLOYCTL_SOCKET", agent.socket()}, {"NO_COLOR", "1"}});
  environment.out_is_terminal = true;
  CHECK(deployctl({"status"}, environment).out.find('\x1b') == std::string::npos);
}

TEST_CASE("history names every rollout") {
  ScriptedAgent agent;
  auto running = some_rollout();
  running.id = 13;
  running.phase = "running";
  running.revision.clear();
  running.finished.clear();
  agent.on("GET /v1/rollouts?limit=20", json(api::HistoryView{{running, some_rollout()}}));
  const auto ran = deployctl({"--socket", agent.socket(), "history"});
  CHECK(ran.code == 0);
  CHECK(ran.out ==
        "ROLLOUT  SERVICE  KIND    RESULT       REVISION              CREATED              TOOK       CAUSE\n"
        "13       backend  deploy  running      -                     2026-07-01 18:29:59  -          push 3f2a1c9 to "
        "main\n"
        "12       backend  deploy  rolled back  backend-3f2a1c9-c0de  2026-07-01 18:29:59  2 min 5 s  push 3f2a1c9 to "
        "main\n");
}

TEST_CASE("history asks for one service and a number of rollouts") {
  ScriptedAgent agent;
  agent.on("GET /v1/rollouts?limit=3&service=a%2Fb%20c", json(api::HistoryView{}));
  const auto ran = deployctl({"--socket", agent.socket(), "history", "a/b c", "--limit", "3"});
  CHECK(ran.code == 0);
  CHECK(ran.out == "no rollouts\n");
}

TEST_CASE("show tells everything about a rollout") {
  ScriptedAgent agent;
  agent.on("GET /v1/rollouts/12", json(some_rollout()));
  const auto ran = deployctl({"--socket", agent.socket(), "show", "12"});
  CHECK(ran.code == 0);
  CHECK(ran.out ==
        "rollout   12 (release 7)\n"
        "service   backend\n"
        "kind      deploy\n"
        "result    rolled back\n"
        "reason    the container never became healthy: HTTP 503\n"
        "cause     push 3f2a1c9 to main\n"
        "revision  backend-3f2a1c9-c0de\n"
        "previous  backend-1111111-c0de\n"
        "commit    3f2a1c9000000000000000000000000000000000\n"
        "image     sha256:77\n"
        "created   2026-07-01 18:29:59\n"
        "started   2026-07-01 18:30:00\n"
        "finished  2026-07-01 18:32:05 (took 2 min 5 s)\n"
        "\n"
        "STEP             STATE      TRIES  TOOK        DETAIL\n"
        "build the image  succeeded  1      12.3 s      sha256:77\n"
        "health check     failed     2      1 min 53 s  HTTP 503\n"
        "switch           pending    0      -           -\n"
        "\n"
        "last lines:\n"
        "  starting\n"
        "  ?[31mno database?[0m\n");
}

TEST_CASE("version shows both sides and the engine") {
  ScriptedAgent agent;
  agent.on("GET /v1/version", json(api::VersionView{"0.1.0", 1, "20.10.24", "1.41"}));
  const auto ran = deployctl({"--socket", agent.socket(), "version"});
  CHECK(ran.code == 0);
  CHECK(ran.out == "deployctl " DEPLOYCTL_VERSION
                   "\n"
                   "deployd   0.1.0 (API 1)\n"
                   "engine    20.10.24 (API 1.41)\n");
}

TEST_CASE("version shows its own where no agent is, and says so") {
  const TempDir folder;
  const std::string socket = folder / "none.sock";
  const auto table = deployctl({"--socket", socket, "version"});
  CHECK(table.code == 6);
  CHECK(table.out == "deployctl " DEPLOYCTL_VERSION "\n");
  CHECK(table.err == "deployctl: cannot reach deployd at " + socket +
                         ": No such file or directory; is it running? (systemctl status deployd, or --socket)\n");
  const auto as_json = deployctl({"--socket", socket, "version", "-o", "json"});
  CHECK(as_json.code == 6);
  CHECK(json::parse(as_json.out) == json{{"deployctl", DEPLOYCTL_VERSION}, {"deployd", nullptr}});
}

TEST_CASE("logs go out as they come") {
  ScriptedAgent agent;
  agent.on("GET /v1/services/backend/logs?tail=100", Answer{200, "one\n\x1b[31mtwo\x1b[0m\n", {}, {}});
  agent.on("GET /v1/services/backend/logs?tail=5&follow=1", Answer{200, "followed\n", {}, {}});
  agent.on("GET /v1/rollouts/12/log", Answer{200, "built\n", {}, {}});
  agent.on("GET /v1/rollouts/12/log?follow=1", Answer{200, "building\n", {}, {}});
  CHECK(deployctl({"--socket", agent.socket(), "logs", "backend"}).out == "one\n\x1b[31mtwo\x1b[0m\n");
  CHECK(deployctl({"--socket", agent.socket(), "logs", "backend", "-f", "--tail", "5"}).out == "followed\n");
  CHECK(deployctl({"--socket", agent.socket(), "logs", "12"}).out == "built\n");
  CHECK(deployctl({"--socket", agent.socket(), "logs", "12", "-f"}).out == "building\n");
}

TEST_CASE("logs that break off say so after what came") {
  ScriptedAgent agent;
  agent.on("GET /v1/services/backend/logs?tail=100&follow=1", Answer{200, "one\n", BodyEnd::cut, {}});
  const auto ran = deployctl({"--socket", agent.socket(), "logs", "-f", "backend"});
  CHECK(ran.code == 6);
  CHECK(ran.out == "one\n");
  CHECK(ran.err.starts_with("deployctl: deployd at " + agent.socket() + " went away: "));
}

TEST_CASE("what logs cannot do is refused") {
  const auto as_json = deployctl({"logs", "backend", "-o", "json"});
  CHECK(as_json.code == 2);
  CHECK(as_json.err == "deployctl: logs are text and have no JSON form; leave out -o json\n");
  const auto tail = deployctl({"logs", "12", "--tail", "5"});
  CHECK(tail.code == 2);
  CHECK(tail.err == "deployctl: --tail is for a service's lines; a rollout's log is printed from its start\n");
}

TEST_CASE("the agent's refusals are printed as they are") {
  ScriptedAgent agent;
  agent.on("GET /v1/rollouts/99",
           Answer{404, R"({"error":{"kind":"not_found","message":"there is no rollout 99"}})", {}, {}});
  agent.on("GET /v1/status",
           Answer{503, R"({"error":{"kind":"unreachable","message":"cannot reach the container engine"}})", {}, {}});
  const auto unknown = deployctl({"--socket", agent.socket(), "show", "99"});
  CHECK(unknown.code == 2);
  CHECK(unknown.err == "deployctl: there is no rollout 99\n");
  const auto engine = deployctl({"--socket", agent.socket(), "status"});
  CHECK(engine.code == 1);
  CHECK(engine.err == "deployctl: cannot reach the container engine\n");
}

TEST_CASE("answers that are not the agent's are told apart") {
  ScriptedAgent agent;
  agent.on("GET /v1/status", Answer{404, "<h1>nothing here</h1>", {}, {}});
  agent.on("GET /v1/rollouts?limit=20", Answer{200, "[]", {}, {}});
  const auto other = deployctl({"--socket", agent.socket(), "status"});
  CHECK(other.code == 1);
  CHECK(other.err == "deployctl: " + agent.socket() +
                         " answered with status 404 and not as deployd does; is another program behind the socket?\n");
  const auto unreadable = deployctl({"--socket", agent.socket(), "history"});
  CHECK(unreadable.code == 1);
  CHECK(unreadable.err == "deployctl: the answer of deployd at " + agent.socket() +
                              " cannot be read: [json.exception.type_error.303] incompatible ReferenceType for "
                              "get_ref, actual type is array; "
                              "are deployctl and deployd of the same version? (deployctl version)\n");
}
