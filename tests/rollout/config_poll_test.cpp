// Pushes to the config repo that no webhook told of.
#include <catch2/catch_all.hpp>

#include "tests/rollout/config_host.hpp"

using namespace deploy;
using namespace deploy::tests;
using domain::ConfigPhase;

namespace {

/// A host whose agent looks when it is told to.
struct PolledHost : Host {
  Agent agent{*this};
  std::vector<std::string> told;
  std::vector<std::string> complaints;
  rollout::Poller poller{{engine, source, nullptr, agent.configs.get()},
                         clock,
                         agent.journal,
                         agent.database,
                         services,
                         std::chrono::minutes(5),
                         [] {},
                         [this](const std::string& message) { told.push_back(message); },
                         [this](const std::string& message) { complaints.push_back(message); }};

  void tip(char commit) { source.refs["file:///infra main"] = commit_of(commit); }
  void poll() {
    run_virtual(clock, poller.pass());
    agent.work();
  }
};

}  // namespace

TEST_CASE("a push to the config repo that no webhook told of is found once") {
  PolledHost host;
  host.tip('a');
  host.poll();
  CHECK(host.proxy.reload_calls == 0);
  host.tip('b');
  host.poll();
  CHECK(host.work_tree.head == commit_of('b'));
  CHECK(last_of(host.agent).cause == "poll: main of you/infra is at bbbbbbb");
  CHECK(host.told == std::vector<std::string>{"configuration: poll: main of you/infra is at bbbbbbb"});
  host.poll();
  CHECK(host.proxy.reload_calls == 1);
  CHECK(host.complaints.empty());
}

TEST_CASE("what Nginx refused is not tried again by polling, and what comes after it is") {
  PolledHost host;
  host.proxy.fail_loading.emplace_back(ErrorKind::invalid, "nginx -t refuses");
  host.tip('b');
  host.poll();
  host.poll();
  CHECK(ends(host.agent) == std::vector<std::string>{"rolled back: nginx -t refuses"});
  host.tip('c');
  host.poll();
  CHECK(host.work_tree.head == commit_of('c'));
}

TEST_CASE("what a change made by hand kept out is pulled once that is gone") {
  PolledHost host;
  const Error by_hand(ErrorKind::conflict, "the pull would overwrite what was changed by hand");
  host.work_tree.fail_prepare.assign(3, by_hand);
  host.tip('b');
  host.poll();
  host.poll();
  host.poll();
  CHECK(ends(host.agent) == std::vector<std::string>{"refused: the pull would overwrite what was changed by hand"});
  host.poll();
  CHECK(host.work_tree.head == commit_of('b'));
  CHECK(last_of(host.agent).phase == ConfigPhase::applied);
}

TEST_CASE("a tip of the config repo whose message says so is not pulled") {
  PolledHost host;
  host.source.messages[commit_of('b')] = "notes [skip deploy]";
  host.tip('b');
  host.poll();
  host.poll();
  CHECK(host.agent.journal.configs.history(10).empty());
  host.tip('c');
  host.poll();
  CHECK(host.work_tree.head == commit_of('c'));
}

TEST_CASE("a config repo that is away is a note of polling") {
  PolledHost host;
  const Error away(ErrorKind::unreachable, "cannot fetch file:///infra: cannot reach it");
  host.source.fail_tip.emplace("file:///infra", away);
  host.poll();
  CHECK(host.poller.notes() == std::vector<std::string>{"polling: cannot fetch file:///infra: cannot reach it"});
  CHECK(host.complaints == host.poller.notes());
}
