// cancel, pause and resume: what is asked of the agent, and what is shown.
#include <catch2/catch_all.hpp>
#include <nlohmann/json.hpp>

#include "agent/api/views.hpp"
#include "tests/ctl/scripted_agent.hpp"

using namespace deploy;
using namespace deploy::tests;
using nlohmann::json;

namespace {

json rollout_as(const std::string& phase, const std::string& reason) {
  api::RolloutView view;
  view.id = 12;
  view.service = "backend";
  view.phase = phase;
  view.reason = reason;
  return view;
}

Answer accepted() { return {202, json(api::AcceptedView{0, {{12, "backend"}}}).dump(), {}, {}}; }

json body_of(const std::string& request) { return json::parse(request.substr(request.find('{'))); }

}  // namespace

TEST_CASE("cancel waits until the rollout is undone, and is done when it was") {
  ScriptedAgent agent;
  agent.on("POST /v1/cancellations", accepted());
  agent.on("GET /v1/rollouts/12", rollout_as("undoing", "cancelled by root"));
  agent.on("GET /v1/rollouts/12", rollout_as("cancelled", "cancelled by root"));
  const auto ran = deployctl({"--socket", agent.socket(), "cancel", "backend"});
  CHECK(ran.code == 0);
  CHECK(ran.err.empty());
  CHECK(ran.out ==
        "SERVICE  ROLLOUT  RESULT     REVISION  TOOK  REASON\n"
        "backend  12       cancelled  -         -     cancelled by root\n");
  CHECK(body_of(agent.requests()[0]) == json{{"service", "backend"}, {"rollout", 0}});
}

TEST_CASE("cancel of a number means that rollout, and one that could not be undone needs a person") {
  ScriptedAgent agent;
  agent.on("POST /v1/cancellations", accepted());
  agent.on("GET /v1/rollouts/12",
           rollout_as("needs_operator", "cancelled by root; and undoing \"create\" failed: busy"));
  const auto ran = deployctl({"--socket", agent.socket(), "cancel", "12"});
  CHECK(ran.code == 3);
  CHECK(body_of(agent.requests()[0]) == json{{"service", ""}, {"rollout", 12}});
}

TEST_CASE("cancel that waits too long says that the undo goes on") {
  ScriptedAgent agent;
  agent.on("POST /v1/cancellations", accepted());
  agent.on("GET /v1/rollouts/12", rollout_as("undoing", "cancelled by root"));
  const auto ran = deployctl({"--socket", agent.socket(), "cancel", "backend", "--timeout", "1s"});
  CHECK(ran.code == 5);
  CHECK(ran.err ==
        "deployctl: stopped waiting; what was done is being undone. `deployctl status` shows how far it is\n");
}

TEST_CASE("what the agent refuses to cancel is said in its words") {
  ScriptedAgent agent;
  const std::string why = R"({"error":{"kind":"conflict","message":"no rollout of backend is queued or under way"}})";
  agent.on("POST /v1/cancellations", Answer{409, why, {}, {}});
  const auto ran = deployctl({"--socket", agent.socket(), "cancel", "backend"});
  CHECK(ran.code == 2);
  CHECK(ran.err == "deployctl: no rollout of backend is queued or under way\n");
}

TEST_CASE("a pause of everything says so") {
  ScriptedAgent agent;
  agent.on("POST /v1/pauses", json(api::PauseView{"", "", "root", "2026-07-01T09:30:00.000Z"}));
  const auto paused = deployctl({"--socket", agent.socket(), "pause", "--all"});
  CHECK(paused.code == 0);
  CHECK(paused.out == "no rollout of any service begins until: deployctl resume --all\n");
}

TEST_CASE("pause and resume say what was done and how it ends") {
  ScriptedAgent agent;
  agent.on("POST /v1/pauses", json(api::PauseView{"backend", "a holiday", "root", "2026-07-01T09:30:00.000Z"}));
  const auto paused = deployctl({"--socket", agent.socket(), "pause", "backend", "--reason", "a holiday"});
  CHECK(paused.code == 0);
  CHECK(paused.out == "no rollout of backend begins until: deployctl resume backend\n");
  agent.on("POST /v1/resumptions", json(api::PauseView{"", "", "root", "2026-07-01T09:30:00.000Z"}));
  const auto resumed = deployctl({"--socket", agent.socket(), "resume", "--all"});
  CHECK(resumed.code == 0);
  CHECK(resumed.out == "rollouts of every service begin again\n");
  const auto requests = agent.requests();
  CHECK(body_of(requests[0]) == json{{"service", "backend"}, {"reason", "a holiday"}});
  CHECK(body_of(requests[1]) == json{{"service", ""}, {"reason", ""}});
}

TEST_CASE("pause and resume want to know whom") {
  const auto nobody = deployctl({"pause"});
  CHECK(nobody.code == 2);
  CHECK(nobody.err == "deployctl: name a service, or all of them with --all; see deployctl --help\n");
  CHECK(deployctl({"resume", "backend", "--all"}).code == 2);
}
