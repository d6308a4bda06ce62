// rollout and rollback: what is asked of the agent, what is shown while waiting, and every way to end.
#include <catch2/catch_all.hpp>
#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "agent/api/views.hpp"
#include "tests/ctl/scripted_agent.hpp"

using namespace deploy;
using namespace deploy::tests;
using nlohmann::json;

namespace {

const std::string events_path = "GET /v1/events?after=0&release=7&follow=1";

api::RolloutView ended(std::int64_t id, const std::string& service, const std::string& phase,
                       const std::string& reason) {
  api::RolloutView view;
  view.id = id;
  view.release = 7;
  view.service = service;
  view.kind = "deploy";
  view.revision = service + "-3f2a1c9-c0de";
  view.phase = phase;
  view.reason = reason;
  view.started = "2026-07-01T09:30:00.000Z";
  view.finished = "2026-07-01T09:30:12.300Z";
  return view;
}

std::string event(std::int64_t seq, const std::string& service, const std::string& text) {
  return json(api::EventView{seq, "2026-07-01T09:30:00.000Z", 7, 12, service, "note", text}).dump() + "\n";
}

/// Accepts a rollout of backend as number 12.
void accept_backend(ScriptedAgent& agent) {
  agent.on("POST /v1/rollouts", Answer{202, json(api::AcceptedView{7, {{12, "backend"}}}).dump(), {}, {}});
}

Ran rollout_that_ends(const std::string& phase, const std::string& reason) {
  ScriptedAgent agent;
  accept_backend(agent);
  agent.on(events_path, Answer{200, event(1, "backend", "build"), {}, {}});
  agent.on("GET /v1/rollouts/12", json(ended(12, "backend", phase, reason)));
  return deployctl({"--socket", agent.socket(), "rollout", "backend"});
}

}  // namespace

TEST_CASE("a rollout is waited for and its result printed") {
  const auto ran = rollout_that_ends("succeeded", "");
  CHECK(ran.code == 0);
  CHECK(ran.out ==
        "SERVICE  ROLLOUT  RESULT     REVISION              TOOK    REASON\n"
        "backend  12       succeeded  backend-3f2a1c9-c0de  12.3 s  -\n");
  CHECK(ran.err ==
        "backend: queued as rollout 12\n"
        "18:30:00 backend: build\n");
}

TEST_CASE("exit codes tell the ends of a rollout apart") {
  const auto [phase, code] = GENERATE(table<std::string, int>({{"succeeded", 0},
                                                               {"unchanged", 0},
                                                               {"rolled_back", 1},
                                                               {"needs_operator", 3},
                                                               {"cancelled", 4},
                                                               {"superseded", 4}}));
  CAPTURE(phase);
  CHECK(rollout_that_ends(phase, "because").code == code);
}

TEST_CASE("a version that is live already is told so") {
  const auto ran = rollout_that_ends("unchanged", "backend-3f2a1c9-c0de is live already");
  CHECK(ran.out ==
        "SERVICE  ROLLOUT  RESULT     REVISION              TOOK    REASON\n"
        "backend  12       unchanged  backend-3f2a1c9-c0de  12.3 s  backend-3f2a1c9-c0de is live already\n");
}

TEST_CASE("a failed rollout shows the lines that tell why") {
  ScriptedAgent agent;
  accept_backend(agent);
  agent.on(events_path, Answer{200, event(1, "backend", "health check"), {}, {}});
  auto failed = ended(12, "backend", "rolled_back", "HTTP 503 for 120 s");
  failed.log = {"no database", "exiting"};
  agent.on("GET /v1/rollouts/12", json(failed));
  const auto ran = deployctl({"--socket", agent.socket(), "rollout", "backend"});
  CHECK(ran.code == 1);
  CHECK(ran.out ==
        "SERVICE  ROLLOUT  RESULT       REVISION              TOOK    REASON\n"
        "backend  12       rolled back  backend-3f2a1c9-c0de  12.3 s  HTTP 503 for 120 s\n");
  CHECK(ran.err ==
        "backend: queued as rollout 12\n"
        "18:30:00 backend: health check\n"
        "last lines of backend:\n"
        "  no database\n"
        "  exiting\n"
        "deployctl: backend: rolled back: HTTP 503 for 120 s; every step: deployctl show 12\n");
}

TEST_CASE("of several rollouts the worst decides") {
  const auto [first, second, code] = GENERATE(table<std::string, std::string, int>({
      {"needs_operator", "rolled_back", 3},
      {"rolled_back", "cancelled", 1},
      {"superseded", "succeeded", 4},
      {"succeeded", "unchanged", 0},
  }));
  CAPTURE(first, second);
  ScriptedAgent agent;
  agent.on("POST /v1/rollouts", json(api::AcceptedView{7, {{12, "llm"}, {13, "backend"}}}));
  agent.on(events_path, Answer{200, "", {}, {}});
  agent.on("GET /v1/rollouts/12", json(ended(12, "llm", first, "")));
  agent.on("GET /v1/rollouts/13", json(ended(13, "backend", second, "")));
  const auto ran = deployctl({"--socket", agent.socket(), "rollout", "backend", "llm", "-o", "json"});
  CHECK(ran.code == code);
  CHECK(ran.out ==
        json(api::HistoryView{{ended(12, "llm", first, ""), ended(13, "backend", second, "")}}).dump(2) + "\n");
}

TEST_CASE("the request says what is wanted") {
  ScriptedAgent agent;
  accept_backend(agent);
  const auto asked = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"--socket", agent.socket(), "rollout", "--detach"});
    const auto ran = deployctl(arguments);
    CHECK(ran.code == 0);
    CHECK(ran.err.empty());
    CHECK(ran.out == "SERVICE  ROLLOUT\nbackend  12\n");
    return agent.requests().back();
  };
  CHECK(asked({"backend", "llm"}) == R"(POST /v1/rollouts {"image":"","ref":"","services":["backend","llm"]})");
  CHECK(asked({"backend", "--ref", "v2"}) == R"(POST /v1/rollouts {"image":"","ref":"v2","services":["backend"]})");
  CHECK(asked({"backend", "--image", "b:2"}) == R"(POST /v1/rollouts {"image":"b:2","ref":"","services":["backend"]})");
  // Names of commands are names of services, too.
  CHECK(asked({"status"}) == R"(POST /v1/rollouts {"image":"","ref":"","services":["status"]})");
  CHECK(agent.requests().size() == 4);
}

TEST_CASE("a detached rollout in JSON is the agent's answer") {
  ScriptedAgent agent;
  accept_backend(agent);
  const auto ran = deployctl({"--socket", agent.socket(), "rollout", "backend", "--detach", "-o", "json"});
  CHECK(ran.out == json(api::AcceptedView{7, {{12, "backend"}}}).dump(2) + "\n");
}

TEST_CASE("rollback asks for a revision and waits as rollout does") {
  ScriptedAgent agent;
  agent.on("POST /v1/rollbacks", json(api::AcceptedView{7, {{12, "backend"}}}));
  agent.on(events_path, Answer{200, "", {}, {}});
  agent.on("GET /v1/rollouts/12", json(ended(12, "backend", "succeeded", "")));
  const auto ran = deployctl({"--socket", agent.socket(), "rollback", "backend", "--to", "backend-1-c0de"});
  CHECK(ran.code == 0);
  CHECK(agent.requests().front() ==
        R"(POST /v1/rollbacks {"confirmed":false,"release":0,"service":"backend","to":"backend-1-c0de"})");
}

TEST_CASE("a whole release is rolled back in place of a service, once that is confirmed where it has to be") {
  ScriptedAgent agent;
  agent.on("POST /v1/rollbacks", json(api::AcceptedView{8, {{12, "backend"}}}));
  const auto ran =
      deployctl({"--socket", agent.socket(), "rollback", "--release", "7", "--yes", "--detach", "-o", "json"});
  CHECK(ran.code == 0);
  CHECK(agent.requests().front() == R"(POST /v1/rollbacks {"confirmed":true,"release":7,"service":"","to":""})");
  const auto neither = deployctl({"--socket", agent.socket(), "rollback"});
  CHECK(neither.code == 2);
  CHECK(neither.err.find("name a service, or a release with --release") != std::string::npos);
  CHECK(deployctl({"--socket", agent.socket(), "rollback", "llm", "--release", "7"}).code == 2);
}

TEST_CASE("a revision that the agent does not have is the user's mistake") {
  ScriptedAgent agent;
  agent.on("POST /v1/rollbacks",
           Answer{404,
                  R"({"error":{"kind":"not_found","message":"backend has no revision `x`; kept are: backend-1"}})",
                  {},
                  {}});
  const auto ran = deployctl({"--socket", agent.socket(), "rollback", "backend", "--to", "x"});
  CHECK(ran.code == 2);
  CHECK(ran.err == "deployctl: backend has no revision `x`; kept are: backend-1\n");
}

TEST_CASE("a wait goes on where it was when the agent restarts") {
  ScriptedAgent agent;
  accept_backend(agent);
  agent.on(events_path, Answer{200, event(4, "backend", "build") + event(5, "backend", "probe"), BodyEnd::cut, {}});
  // The first stream of the new agent ends early, too, because that one is stopped properly.
  agent.on("GET /v1/events?after=5&release=7&follow=1", Answer{200, "", {}, {}});
  agent.on("GET /v1/events?after=5&release=7&follow=1", Answer{200, event(6, "backend", "switch"), {}, {}});
  agent.on("GET /v1/rollouts/12", json(ended(12, "backend", "running", "")));
  agent.on("GET /v1/rollouts/12", json(ended(12, "backend", "succeeded", "")));
  auto environment = test_environment();
  environment.unreachable_limit = std::chrono::seconds(60);
  const auto ran = deployctl({"--socket", agent.socket(), "rollout", "backend"}, environment);
  CHECK(ran.code == 0);
  std::istringstream lines(ran.err);
  std::vector<std::string> told;
  for (std::string line; std::getline(lines, line);) told.push_back(line);
  REQUIRE(told.size() == 5);
  CHECK(told[0] == "backend: queued as rollout 12");
  CHECK(told[1] == "18:30:00 backend: build");
  CHECK(told[2] == "18:30:00 backend: probe");
  CHECK(told[3].starts_with("deployd at " + agent.socket() + " went away: "));
  CHECK(told[3].ends_with("; trying again for up to 1 min 0 s"));
  CHECK(told[4] == "18:30:00 backend: switch");
}

TEST_CASE("a wait gives up when the agent stays away") {
  ScriptedAgent agent;
  accept_backend(agent);
  const auto socket = agent.socket();
  agent.on(events_path, Answer{200, "", BodyEnd::cut, [socket] { std::filesystem::remove(socket); }});
  const auto ran = deployctl({"--socket", socket, "rollout", "backend"});
  CHECK(ran.code == 6);
  CHECK(ran.err.ends_with(
      "deployctl: gave up after 50 ms without the agent: cannot reach deployd at " + socket +
      ": No such file or directory; is it running? (systemctl status deployd, or --socket); the rollout "
      "goes on when it is back\n"));
}

TEST_CASE("a wait ends at its timeout and the rollout does not") {
  ScriptedAgent agent;
  accept_backend(agent);
  agent.on(events_path, Answer{200, "", BodyEnd::hang, {}});
  const auto ran = deployctl({"--socket", agent.socket(), "rollout", "backend", "--timeout", "20ms"});
  CHECK(ran.code == 5);
  CHECK(ran.out.empty());
  CHECK(ran.err ==
        "backend: queued as rollout 12\n"
        "deployctl: stopped waiting after 20ms; the rollout goes on in the agent. Look at it with:\n"
        "  deployctl show 12\n");
}

TEST_CASE("whoever waits is told what keeps rollouts from beginning") {
  ScriptedAgent agent;
  accept_backend(agent);
  api::ServiceView backend;
  backend.service = "backend";
  backend.paused = api::PauseView{"", "a holiday", "maria", "2026-07-01T09:00:00.000Z"};
  api::ServiceView llm;  // not asked for here
  llm.service = "llm";
  llm.paused = api::PauseView{"llm", "", "", "2026-07-01T09:00:00.000Z"};
  agent.on("GET /v1/status", json(api::StatusView{{backend, llm}, {"the Docker Engine does not answer"}, {}, {}}));
  agent.on(events_path, Answer{200, event(1, "backend", "queued"), BodyEnd::hang, {}});
  const auto ran = deployctl({"--socket", agent.socket(), "rollout", "backend", "--timeout", "200ms"});
  CHECK(ran.code == 5);
  CHECK(ran.err ==
        "backend: queued as rollout 12\n"
        "paused: backend since 2026-07-01 18:00:00 by maria (a holiday); resume with: deployctl resume --all\n"
        "note: the Docker Engine does not answer\n"
        "18:30:00 backend: queued\n"
        "deployctl: stopped waiting after 200ms; the rollout goes on in the agent. Look at it with:\n"
        "  deployctl show 12\n");
}

TEST_CASE("Ctrl-C ends the wait and says how to go on") {
  ScriptedAgent agent;
  accept_backend(agent);
  agent.on(events_path, Answer{200, event(1, "backend", "build"), BodyEnd::hang, [] { ::kill(::getpid(), SIGINT); }});
  const auto ran = deployctl({"--socket", agent.socket(), "rollout", "backend"});
  CHECK(ran.code == 130);
  CHECK(ran.out.empty());
  CHECK(ran.err.starts_with("backend: queued as rollout 12\n"));
  CHECK(
      ran.err.ends_with("deployctl: stopped waiting; the rollout goes on in the agent. Look at it with:\n"
                        "  deployctl show 12\n"));
}
