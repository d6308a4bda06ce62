// What agent.yaml says about the repository of the host's own files.
#include <catch2/catch_all.hpp>

#include "agent/config/schema.hpp"
#include "tests/config/support.hpp"

using namespace deploy;
using deploy::tests::agent_errors;
using deploy::tests::read_agent;

namespace {
const std::string config_repo_is = "network: shared\nconfig_repo: ";
}

TEST_CASE("a config repo has its defaults, and everything of its own") {
  CHECK_FALSE(read_agent("network: shared\n").config_repo);
  const auto least =
      read_agent(config_repo_is + "{ repo: you/infra, folder: app, url: \"https://github.com/you/infra.git\" }\n",
                 "/etc/deployctl/agent.yaml")
          .config_repo.value();
  CHECK(least.repo == "you/infra");
  CHECK(least.branch == "main");
  CHECK(least.folder == "/etc/deployctl/app");
  CHECK(least.git.url == "https://github.com/you/infra.git");
  CHECK_FALSE(least.rolls_out);
  const auto whole = read_agent(config_repo_is +
                                "{ repo: you/infra, branch: live, folder: /srv/app, url: \"git@github.com:you/infra\", "
                                "ssh_key: /k, ssh_known_hosts: /h, apply: rollout }\n")
                         .config_repo.value();
  CHECK(whole.branch == "live");
  CHECK(whole.git.ssh_key == "/k");
  CHECK(whole.git.ssh_known_hosts == "/h");
  CHECK(whole.rolls_out);
  const std::string https = "url: \"https://h/r.git\", token_env: T";
  CHECK_FALSE(
      read_agent(config_repo_is + "{ repo: a/b, folder: /f, " + https + ", apply: ask }\n").config_repo->rolls_out);
  CHECK(read_agent(config_repo_is + "{ repo: a/b, folder: /f, " + https + " }\n").config_repo->git.token_env == "T");
}

TEST_CASE("what a config repo lacks, or has wrong, is said") {
  CHECK(agent_errors(config_repo_is + "{ apply: always }\n") ==
        "agent.yaml:2:14: error: `config_repo` misses the required key `repo`\n"
        "  config_repo: { apply: always }\n"
        "               ^\n"
        "  hint: owner/name as GitHub names the repository, e.g. you/infra\n"
        "agent.yaml:2:14: error: `config_repo` misses the required key `folder`\n"
        "  config_repo: { apply: always }\n"
        "               ^\n"
        "  hint: the work tree of it on this host, e.g. /srv/app\n"
        "agent.yaml:2:14: error: `config_repo` misses the required key `url`\n"
        "  config_repo: { apply: always }\n"
        "               ^\n"
        "  hint: e.g. url: https://github.com/owner/name.git\n"
        "agent.yaml:2:23: error: `config_repo.apply` must be one of ask, rollout, not `always`\n"
        "  config_repo: { apply: always }\n"
        "                        ^\n");
  CHECK(
      agent_errors(config_repo_is + "{ repo: infra, branch: \"v*\", folder: /f, url: \"ssh://h/r\", context: . }\n") ==
      "agent.yaml:2:14: error: `config_repo` misses the required key `ssh_key`\n"
      "  config_repo: { repo: infra, branch: \"v*\", folder: /f, url: \"ssh://h/r\", context: . }\n"
      "               ^\n"
      "  hint: the path of the repository's deploy key: ed25519 or ECDSA, readable by the agent only\n"
      "agent.yaml:2:14: error: `config_repo` misses the required key `ssh_known_hosts`\n"
      "  config_repo: { repo: infra, branch: \"v*\", folder: /f, url: \"ssh://h/r\", context: . }\n"
      "               ^\n"
      "  hint: a file with the host's key, made by ssh-keyscan and compared with what the host publishes\n"
      "agent.yaml:2:22: error: `config_repo.repo` must be owner/name as GitHub names the repository\n"
      "  config_repo: { repo: infra, branch: \"v*\", folder: /f, url: \"ssh://h/r\", context: . }\n"
      "                       ^\n"
      "  hint: e.g. behindy3359/behindy-back\n"
      "agent.yaml:2:37: error: `config_repo.branch` must be the name of a branch, without patterns\n"
      "  config_repo: { repo: infra, branch: \"v*\", folder: /f, url: \"ssh://h/r\", context: . }\n"
      "                                      ^\n"
      "agent.yaml:2:73: error: `config_repo.context` is not a known key\n"
      "  config_repo: { repo: infra, branch: \"v*\", folder: /f, url: \"ssh://h/r\", context: . }\n"
      "                                                                          ^\n");
}
