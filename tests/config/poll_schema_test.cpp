// What agent.yaml says about polling: how often, and where GitHub's API and its token are.
#include <catch2/catch_all.hpp>

#include "agent/config/schema.hpp"
#include "tests/config/support.hpp"

using namespace deploy;
using namespace std::chrono_literals;
using deploy::tests::agent_errors;
using deploy::tests::read_agent;

TEST_CASE("polling is off with 0, and never faster than a second") {
  const std::string begin = "network: shared\nproxy: { nginx: { container: nginx, upstreams: /up } }\n";
  CHECK(read_agent(begin + "poll: 0\n").poll == 0s);
  CHECK(read_agent(begin + "poll: 1s\n").poll == 1s);
  CHECK(agent_errors(begin + "poll: 999ms\n") ==
        "agent.yaml:3:7: error: `poll` must be at least 1s, or 0 for never\n"
        "  poll: 999ms\n"
        "        ^\n"
        "  hint: GitHub answers a token 5,000 times an hour\n");
}

TEST_CASE("GitHub's API is asked over https, with a token that stands elsewhere") {
  const std::string begin = "network: shared\nproxy: { nginx: { container: nginx, upstreams: /up } }\ngithub: ";
  const auto github = read_agent(begin + "{ token: { env: GITHUB_TOKEN } }\n").github.value();
  CHECK(github.api == "https://api.github.com");
  CHECK(github.token.env == "GITHUB_TOKEN");
  CHECK(agent_errors(begin + "{ api: \"https://github.com\" }\n") ==
        "agent.yaml:3:9: error: `github` misses the required key `token`\n"
        "  github: { api: \"https://github.com\" }\n"
        "          ^\n"
        "  hint: e.g. token: { env: GITHUB_TOKEN }\n");
  CHECK(agent_errors(begin + "{ token: ghp_secret }\n") ==
        "agent.yaml:3:18: error: `github.token` must be { env: NAME } or { file: /path }\n"
        "  github: { token: ghp_secret }\n"
        "                   ^\n"
        "  hint: a secret never stands in agent.yaml itself\n");
  for (const std::string api : {"http://api.github.com", "https://", "https:///v3", "https://me@host", "https://a?b"}) {
    CHECK(agent_errors(begin + "{ token: { env: T }, api: \"" + api + "\" }\n") ==
          "agent.yaml:3:35: error: `github.api` must be an https:// address without user, query and blanks\n"
          "  github: { token: { env: T }, api: \"" +
              api +
              "\" }\n"
              "                                    ^\n"
              "  hint: https://api.github.com, or https://HOST/api/v3 of a GitHub Enterprise Server\n");
  }
}
