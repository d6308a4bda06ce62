#include "webhook/gate.hpp"

#include <catch2/catch_all.hpp>
#include <functional>

using namespace deploy;
using namespace deploy::webhook;
using domain::Service;
using domain::Trigger;

namespace {

const std::string commit = "6113728f27ae82c7b1a177c8d03f9e96e0adf246";

Service service(const std::string& name, const std::string& repo, const std::string& branch, Trigger trigger) {
  Service made;
  made.name = name;
  made.repo = repo;
  made.branch = branch;
  made.trigger = trigger;
  return made;
}

PushEvent push() {
  PushEvent event;
  event.repository = {1, "shop/backend"};
  event.ref = "refs/heads/main";
  event.after = commit;
  return event;
}

WorkflowRunEvent successful_run() {
  WorkflowRunEvent event;
  event.repository = {1, "shop/backend"};
  event.action = "completed";
  event.conclusion = "success";
  event.event = "push";
  event.head_branch = "main";
  event.head_sha = commit;
  event.path = ".github/workflows/ci.yml";
  event.head_repository = Repository{1, "shop/backend"};
  return event;
}

std::vector<std::string> deployed(const Decision& decision) {
  std::vector<std::string> names;
  for (const auto& change : decision.changes) names.push_back(change.service);
  return names;
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("a push to its branch deploys a service at the pushed commit") {
  const auto decision = decide(push(), {service("backend", "shop/backend", "main", Trigger::push)});
  REQUIRE(decision.changes.size() == 1);
  CHECK(decision.changes[0].service == "backend");
  CHECK(decision.changes[0].commit == commit);
  CHECK(decision.changes[0].ref == "main");
  CHECK(decision.changes[0].image.empty());
  CHECK(decision.reason.empty());
}

TEST_CASE("a successful run for a push deploys a service at the run's commit") {
  const auto decision = decide(successful_run(), {service("backend", "shop/backend", "main", Trigger::workflow_run)});
  REQUIRE(decision.changes.size() == 1);
  CHECK(decision.changes[0].service == "backend");
  CHECK(decision.changes[0].commit == commit);
  CHECK(decision.changes[0].ref == "main");
  CHECK(decision.reason.empty());
}

TEST_CASE("a push deploys nothing, and says why") {
  const std::vector<Service> one{service("backend", "shop/backend", "main", Trigger::push)};
  struct Case {
    std::function<void(PushEvent&)> change;
    std::vector<Service> services;
    std::string reason;
  };
  const std::vector<Case> cases{
      {[](PushEvent& event) { event.repository.full_name = "shop/other"; }, one,
       "no service is deployed from repository \"shop/other\""},
      {[](PushEvent&) {}, {}, "no service is deployed from repository \"shop/backend\""},
      {[](PushEvent& event) { event.repository.full_name = ""; },
       {service("by-hand", "", "main", Trigger::manual)},
       "no service is deployed from repository \"\""},
      {[](PushEvent& event) { event.ref = "refs/tags/v1"; }, one,
       "\"refs/tags/v1\" is not a branch, and only branches are deployed"},
      {[](PushEvent& event) { event.ref = "refs/tags/main"; }, one,
       "\"refs/tags/main\" is not a branch, and only branches are deployed"},
      {[](PushEvent& event) { event.ref = "main"; }, one, "\"main\" is not a branch, and only branches are deployed"},
      {[](PushEvent& event) { event.deleted = true; }, one, "the branch \"main\" was deleted"},
      {[](PushEvent& event) { event.after = std::string(40, '0'); }, one, "the branch \"main\" was deleted"},
      {[](PushEvent& event) { event.ref = "refs/heads/dev"; }, one,
       "branch \"dev\" is not deployed; backend is deployed from \"main\""},
      // Branches, unlike repositories, differ by case.
      {[](PushEvent& event) { event.ref = "refs/heads/Main"; }, one,
       "branch \"Main\" is not deployed; backend is deployed from \"main\""},
      {[](PushEvent& event) { event.ref = "refs/heads/feature/main"; }, one,
       "branch \"feature/main\" is not deployed; backend is deployed from \"main\""},
      {[](PushEvent& event) { event.ref = "refs/heads/dev"; },
       {one[0], service("worker", "shop/backend", "release", Trigger::manual)},
       "branch \"dev\" is not deployed; backend is deployed from \"main\", worker from \"release\""},
      {[](PushEvent&) {},
       {service("backend", "shop/backend", "main", Trigger::workflow_run)},
       "nothing is deployed on push; backend is deployed on workflow_run"},
      {[](PushEvent&) {},
       {service("backend", "shop/backend", "main", Trigger::workflow_run),
        service("worker", "shop/backend", "main", Trigger::manual)},
       "nothing is deployed on push; backend is deployed on workflow_run, worker on manual"},
      {[](PushEvent& event) { event.message = "Update the notes\n\n[skip deploy]"; }, one,
       "the head commit's message says [skip deploy]"},
  };
  for (const auto& item : cases) {
    CAPTURE(item.reason);
    auto event = push();
    item.change(event);
    const auto decision = decide(event, item.services);
    CHECK(decision.changes.empty());
    CHECK(decision.reason == item.reason);
  }
}

TEST_CASE("a workflow run deploys nothing, and says why") {
  const std::vector<Service> one{service("backend", "shop/backend", "main", Trigger::workflow_run)};
  auto picky = one;
  picky[0].workflows = {".github/workflows/release.yml", ".github/workflows/hotfix.yml"};
  struct Case {
    std::function<void(WorkflowRunEvent&)> change;
    std::vector<Service> services;
    std::string reason;
  };
  const std::vector<Case> cases{
      {[](WorkflowRunEvent& event) { event.message = "[skip deploy] Update the notes"; }, one,
       "the head commit's message says [skip deploy]"},
      {[](WorkflowRunEvent& event) { event.repository.full_name = "shop/other"; }, one,
       "no service is deployed from repository \"shop/other\""},
      {[](WorkflowRunEvent& event) { event.action = "requested"; }, one,
       "the workflow run has not completed; its state is \"requested\""},
      {[](WorkflowRunEvent& event) { event.conclusion = "failure"; }, one, "the workflow run ended with \"failure\""},
      {[](WorkflowRunEvent& event) { event.conclusion = "cancelled"; }, one,
       "the workflow run ended with \"cancelled\""},
      {[](WorkflowRunEvent& event) { event.event = "pull_request"; }, one,
       "the workflow run was started by \"pull_request\" and not by a push"},
      {[](WorkflowRunEvent& event) {
         event.head_repository = Repository{2, "thief/backend"};
       },
       one, "the run belongs to a fork (thief/backend)"},
      // The name proves nothing: it can be given to another repository.
      {[](WorkflowRunEvent& event) { event.head_repository->id = 2; }, one, "the run belongs to a fork (shop/backend)"},
      {[](WorkflowRunEvent& event) { event.head_repository.reset(); }, one,
       "the run belongs to a fork that was deleted"},
      {[](WorkflowRunEvent& event) { event.head_branch = "dev"; }, one,
       "branch \"dev\" is not deployed; backend is deployed from \"main\""},
      {[](WorkflowRunEvent& event) { event.head_branch = ""; }, one,
       "branch \"\" is not deployed; backend is deployed from \"main\""},
      {[](WorkflowRunEvent&) {},
       {service("backend", "shop/backend", "main", Trigger::push)},
       "nothing is deployed on workflow_run; backend is deployed on push"},
      {[](WorkflowRunEvent&) {}, picky,
       "workflow \".github/workflows/ci.yml\" deploys nothing; backend is deployed by "
       "\".github/workflows/release.yml\" or "
       "\".github/workflows/hotfix.yml\""},
  };
  for (const auto& item : cases) {
    CAPTURE(item.reason);
    auto event = successful_run();
    item.change(event);
    const auto decision = decide(event, item.services);
    CHECK(decision.changes.empty());
    CHECK(decision.reason == item.reason);
  }
}

TEST_CASE("repositories match without regard to case, and only as a whole") {
  CHECK(deployed(decide(push(), {service("backend", "Shop/BackEnd", "main", Trigger::push)})) == Names{"backend"});
  CHECK(decide(push(), {service("backend", "shop/backend2", "main", Trigger::push)}).changes.empty());
  CHECK(decide(push(), {service("backend", "backend", "main", Trigger::push)}).changes.empty());
}

TEST_CASE("all services of a repository that the push concerns are deployed, in their order") {
  const std::vector<Service> services{
      service("worker", "shop/backend", "main", Trigger::push),
      service("frontend", "shop/frontend", "main", Trigger::push),
      service("backend", "shop/backend", "main", Trigger::push),
      service("staging", "shop/backend", "dev", Trigger::push),
      service("cron", "shop/backend", "main", Trigger::workflow_run),
  };
  CHECK(deployed(decide(push(), services)) == Names{"worker", "backend"});
  CHECK(deployed(decide(successful_run(), services)) == Names{"cron"});
}

TEST_CASE("a run deploys those services that allow its workflow") {
  auto backend = service("backend", "shop/backend", "main", Trigger::workflow_run);
  backend.workflows = {".github/workflows/lint.yml", ".github/workflows/ci.yml"};
  auto worker = service("worker", "shop/backend", "main", Trigger::workflow_run);
  worker.workflows = {".github/workflows/worker.yml"};
  CHECK(deployed(decide(successful_run(), {backend, worker})) == Names{"backend"});
}

TEST_CASE("pings and other events deploy nothing") {
  const std::vector<Service> services{service("backend", "shop/backend", "main", Trigger::push)};
  CHECK(decide(PingEvent{"shop/backend"}, services).reason == "a ping deploys nothing");
  const auto other = decide(OtherEvent{"deployment", "shop/backend"}, services);
  CHECK(other.changes.empty());
  CHECK(other.reason == "events of type \"deployment\" deploy nothing");
}

TEST_CASE("a push of a repository that services are rebuilt by makes them again, without a commit of their own") {
  auto backend = service("backend", "shop/api", "main", Trigger::workflow_run);
  backend.rebuilt_by.resize(1);
  backend.rebuilt_by[0].repo = "Shop/Backend";
  auto staging = backend;
  staging.name = "staging";
  staging.rebuilt_by[0].branch = "dev";
  auto other = service("other", "shop/backend", "main", Trigger::push);
  const auto decision = decide(push(), {backend, staging, other});
  CHECK(deployed(decision) == Names{"backend", "other"});
  CHECK(decision.changes[0].commit.empty());
  CHECK(decision.changes[0].ref.empty());
  CHECK(decision.changes[0].others == domain::Commits{{"Shop/Backend", commit}});
  CHECK(decision.changes[1].commit == commit);
  CHECK(decision.changes[1].others.empty());
}

TEST_CASE("a repository that services are rebuilt by may ask for a green run of a workflow") {
  auto backend = service("backend", "", "main", Trigger::manual);
  backend.rebuilt_by.resize(1);
  backend.rebuilt_by[0].repo = "shop/backend";
  backend.rebuilt_by[0].trigger = Trigger::workflow_run;
  backend.rebuilt_by[0].workflows = {".github/workflows/ci.yml"};
  CHECK(deployed(decide(successful_run(), {backend})) == Names{"backend"});
  CHECK(decide(push(), {backend}).reason == "nothing is deployed on push; backend is deployed on workflow_run");
  backend.rebuilt_by[0].workflows = {".github/workflows/release.yml"};
  CHECK(decide(successful_run(), {backend}).reason ==
        "workflow \".github/workflows/ci.yml\" deploys nothing; backend is deployed by "
        "\".github/workflows/release.yml\"");
  backend.rebuilt_by[0].branch = "dev";
  CHECK(decide(successful_run(), {backend}).reason ==
        "branch \"main\" is not deployed; backend is deployed from \"dev\"");
  auto skipped = push();
  skipped.message = "Notes [skip deploy]";
  backend.rebuilt_by.front() = {};
  backend.rebuilt_by.front().repo = "shop/backend";
  CHECK(decide(skipped, {backend}).reason == "the head commit's message says [skip deploy]");
}

TEST_CASE("a push to the branch of the config repo is a config change, beside what else it deploys") {
  domain::ConfigRepo config;
  config.repo = "Shop/Backend";  // GitHub's names ignore case
  const std::vector<Service> none;
  const std::vector<Service> one{service("backend", "shop/backend", "main", Trigger::push)};
  const auto alone = decide(push(), none, &config);
  CHECK(alone.config_commit == commit);
  CHECK(alone.changes.empty());
  CHECK(alone.reason.empty());
  const auto beside = decide(push(), one, &config);
  CHECK(beside.config_commit == commit);
  CHECK(deployed(beside) == Names{"backend"});
  CHECK(decide(push(), one).config_commit.empty());
  config.branch = "live";
  CHECK(decide(push(), one, &config).config_commit.empty());
  CHECK(deployed(decide(push(), one, &config)) == Names{"backend"});
}

TEST_CASE("a push to the config repo changes nothing, and says why") {
  domain::ConfigRepo config;
  config.repo = "shop/backend";
  const auto reason = [&](const std::function<void(PushEvent&)>& change, const std::vector<Service>& services) {
    auto event = push();
    change(event);
    const auto decision = decide(event, services, &config);
    CHECK(decision.config_commit.empty());
    CHECK(decision.changes.empty());
    return decision.reason;
  };
  const auto on_dev = [](PushEvent& event) { event.ref = "refs/heads/dev"; };
  CHECK(reason(on_dev, {}) == "branch \"dev\" is not pulled; this host's configuration is pulled from \"main\"");
  CHECK(
      reason(on_dev, {service("backend", "shop/backend", "release", Trigger::push)}) ==
      "branch \"dev\" is not deployed; backend is deployed from \"release\"; this host's configuration is pulled from "
      "\"main\"");
  CHECK(reason([](PushEvent& event) { event.ref = "refs/tags/v1"; }, {}) ==
        "\"refs/tags/v1\" is not a branch, and only branches are deployed");
  CHECK(reason([](PushEvent& event) { event.deleted = true; }, {}) == "the branch \"main\" was deleted");
  CHECK(reason([](PushEvent& event) { event.message = "[skip deploy]"; }, {}) ==
        "the head commit's message says [skip deploy]");
  CHECK(reason([](PushEvent& event) { event.repository.full_name = "shop/other"; }, {}) ==
        "no service is deployed from repository \"shop/other\"");
}
