// `rebuilt_by` of a service's file: the other repositories that make it be built or pulled again.
#include <catch2/catch_all.hpp>
#include <nlohmann/json.hpp>

#include "agent/config/missing.hpp"
#include "tests/config/support.hpp"

using namespace deploy;
using deploy::tests::read_service;
using deploy::tests::service_errors;

namespace {

const std::string built_service =
    "service: web\nrepo: you/web\nsource: { git: { url: \"https://github.com/you/web.git\" } }\n";

}  // namespace

TEST_CASE("another repository needs nothing but its name") {
  const auto service = read_service(built_service + "rebuilt_by: [ { repo: you/shared } ]\n");
  REQUIRE(service.rebuilt_by.size() == 1);
  domain::OtherRepository wanted;
  wanted.repo = "you/shared";
  CHECK(service.rebuilt_by[0] == wanted);
}

TEST_CASE("another repository has a branch, an event, paths and an address of its own") {
  const auto service = read_service(built_service +
                                        "rebuilt_by:\n"
                                        "  - repo: you/shared\n"
                                        "    branch: stable\n"
                                        "    on: workflow_run\n"
                                        "    workflows: [.github/workflows/ci.yml]\n"
                                        "    url: git@github.com:you/shared.git\n"
                                        "    ssh_key: keys/shared\n"
                                        "    ssh_known_hosts: known_hosts\n"
                                        "    paths: [src/, api.proto]\n"
                                        "  - { repo: you/base }\n",
                                    "/etc/deploy.d/web.yaml");
  REQUIRE(service.rebuilt_by.size() == 2);
  const auto& other = service.rebuilt_by[0];
  CHECK(other.branch == "stable");
  CHECK(other.trigger == domain::Trigger::workflow_run);
  CHECK(other.workflows == std::vector<std::string>{".github/workflows/ci.yml"});
  CHECK(other.git.value().url == "git@github.com:you/shared.git");
  CHECK(other.git->ssh_key == "/etc/deploy.d/keys/shared");
  CHECK(other.git->ssh_known_hosts == "/etc/deploy.d/known_hosts");
  CHECK(other.paths == std::vector<std::string>{"src", "api.proto"});
  // A revision keeps it.
  CHECK(domain::service_from_json(domain::to_json_value(service)) == service);
  config::Configuration configuration;
  configuration.services = {service};
  CHECK(config::missing_here(configuration) ==
        std::vector<std::string>{
            "service web: there is no file /etc/deploy.d/keys/shared: make it, or correct rebuilt_by.ssh_key",
            "service web: there is no file /etc/deploy.d/known_hosts: make it, or correct rebuilt_by.ssh_known_hosts"});
}

TEST_CASE("what is wrong with another repository is said with its place") {
  CHECK(service_errors(built_service + "rebuilt_by:\n"
                                       "  - { repo: shared, brunch: x, on: manual }\n"
                                       "  - { repo: you/web }\n"
                                       "  - { repo: you/a, paths: [src], token_env: T, workflows: [ci.yml] }\n"
                                       "  - { repo: you/a }\n"
                                       "  - { url: \"http://x/y\" }\n"
                                       "  - you/b\n") ==
        R"(s.yaml:5:13: error: `rebuilt_by[0].repo` must be owner/name as GitHub names the repository
    - { repo: shared, brunch: x, on: manual }
              ^
  hint: e.g. behindy3359/behindy-back
s.yaml:5:21: error: `rebuilt_by[0].brunch` is not a known key
    - { repo: shared, brunch: x, on: manual }
                      ^
  hint: did you mean `branch`?
s.yaml:5:36: error: `rebuilt_by[0].on` must be one of push, workflow_run, not `manual`
    - { repo: shared, brunch: x, on: manual }
                                     ^
s.yaml:6:13: error: `rebuilt_by[1].repo` is the service's own repository
    - { repo: you/web }
              ^
  hint: name the others here; `branch` and `on` say what its own does
s.yaml:7:27: error: `rebuilt_by[2].paths` needs `url`
    - { repo: you/a, paths: [src], token_env: T, workflows: [ci.yml] }
                            ^
  hint: without it nobody can compare two of its commits
s.yaml:7:45: error: `rebuilt_by[2].token_env` needs `url`
    - { repo: you/a, paths: [src], token_env: T, workflows: [ci.yml] }
                                              ^
s.yaml:7:59: error: `rebuilt_by[2].workflows` needs `on: workflow_run`
    - { repo: you/a, paths: [src], token_env: T, workflows: [ci.yml] }
                                                            ^
s.yaml:7:60: error: `rebuilt_by[2].workflows[0]` must be a workflow's path
    - { repo: you/a, paths: [src], token_env: T, workflows: [ci.yml] }
                                                             ^
  hint: did you mean `.github/workflows/ci.yml`?
s.yaml:8:13: error: `rebuilt_by[3].repo` names `you/a` a second time
    - { repo: you/a }
              ^
  hint: remove one
s.yaml:9:5: error: `rebuilt_by[4]` misses the required key `repo`
    - { url: "http://x/y" }
      ^
  hint: owner/name as GitHub names it
s.yaml:9:12: error: `rebuilt_by[4].url` must be a git URL that is safe to fetch from
    - { url: "http://x/y" }
             ^
  hint: write https:// for http://
s.yaml:10:5: error: `rebuilt_by[5]` must be a map, not a single value
    - you/b
      ^
  hint: write keys and values below it, or remove the key
)");
  CHECK(service_errors("service: web\non: manual\nsource: { image: \"you/web:main\" }\n"
                       "rebuilt_by: [ { repo: you/a, url: \"https://x/y\", paths: [src] } ]\n") ==
        "s.yaml:4:15: error: `rebuilt_by[0]` has `paths`, which needs `source.git` alone\n"
        "  rebuilt_by: [ { repo: you/a, url: \"https://x/y\", paths: [src] } ]\n"
        "                ^\n"
        "  hint: an image that is pulled is compared by its digest, whatever a commit changed\n");
}
