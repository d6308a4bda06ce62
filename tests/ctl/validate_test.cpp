#include <catch2/catch_all.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/ctl/scripted_agent.hpp"

using namespace deploy;
using namespace deploy::tests;
using nlohmann::json;

namespace {

/// A folder with an agent.yaml and services.
struct Files {
  TempDir folder;
  std::string agent = folder / "agent.yaml";

  Files() {
    std::filesystem::create_directory(folder / "deploy.d");
    write("agent.yaml",
          "network: internal\n"
          "proxy: { nginx: { container: nginx, upstreams: /srv/nginx/upstreams } }\n");
    write("deploy.d/llm.yaml",
          "service: llm\n"
          "on: manual\n"
          "source: { image: \"llm:1\" }\n"
          "health: { http: /health, port: 8000 }\n"
          "proxy: { port: 8000 }\n");
  }

  std::string path(const std::string& name) const { return folder / name; }
  void write(const std::string& name, const std::string& text) const { std::ofstream(folder / name) << text; }
};

}  // namespace

TEST_CASE("a valid configuration is told so, without an agent") {
  const Files files;
  const auto table = deployctl({"validate", "--config", files.agent});
  CHECK(table.err.empty());
  CHECK(table.out == files.agent + " is valid: 1 service: llm\n");
  CHECK(table.code == 0);
  const auto as_json = deployctl({"validate", "--config", files.agent, "-o", "json"});
  CHECK(as_json.code == 0);
  CHECK(json::parse(as_json.out) ==
        json{{"valid", true}, {"services", {"llm"}}, {"diagnostics", json::array()}, {"notes", json::array()}});
}

TEST_CASE("the JSON Schemas are printed without a configuration") {
  for (const auto& [which, title] :
       {std::pair("agent", "agent.yaml of deployctl"), {"service", "A service of deployctl"}}) {
    const auto answer = deployctl({"validate", "--schema", which, "--config", "/nowhere/agent.yaml"});
    CHECK(answer.code == 0);
    CHECK(answer.err.empty());
    CHECK(json::parse(answer.out).at("title") == title);
  }
  const auto wrong = deployctl({"validate", "--schema", "deploy.d"});
  CHECK(wrong.code == 2);
  CHECK(wrong.err == "deployctl: --schema: deploy.d not in {agent,service}; see deployctl --help\n");
}

TEST_CASE("doctor looks at nothing before the configuration is valid") {
  const auto answer = deployctl({"doctor", "--config", "/nowhere/agent.yaml"});
  CHECK(answer.code == 2);
  CHECK(answer.out.empty());
  CHECK(answer.err ==
        "/nowhere/agent.yaml: error: there is no such file\n  hint: check the path, or pass --config\n"
        "deployctl: /nowhere/agent.yaml is not valid; correct it first\n");
}

TEST_CASE("what the agent would miss on this machine is noted, and is no error") {
  const Files files;
  files.write("agent.yaml",
              "network: internal\n"
              "proxy: { nginx: { container: nginx, upstreams: /srv/nginx/upstreams } }\n"
              "webhook: { listen: 127.0.0.1:1, secrets: [ { file: webhook-secret }, { env: NOT_SET_HERE } ] }\n");
  files.write(
      "deploy.d/backend.yaml",
      "service: backend\n"
      "on: manual\n"
      "source: { git: { url: \"git@github.com:you/backend.git\", ssh_key: ../key, ssh_known_hosts: ../hosts } }\n"
      "vars: [ ../.env ]\n"
      "container: { environment: { PASSWORD: \"${PASSWORD}\" } }\n"
      "health: { http: /health, port: 8080 }\n"
      "proxy: { port: 8080 }\n");
  files.write(".env", "");
  files.write("key", "a key");
  const auto table = deployctl({"validate", "--config", files.agent});
  CHECK(table.code == 0);
  CHECK(table.out == files.agent + " is valid: 2 services: backend, llm\n");
  const std::vector<std::string> notes{
      "the secret file " + files.path("webhook-secret") +
          " cannot be read: No such file or directory: check the path under `webhook.secrets` and the file's "
          "permissions",
      "service backend: container.environment.PASSWORD needs the variable PASSWORD, which is not set in " +
          files.path(".env") + ": set it there, or give a default with ${PASSWORD:-…}",
      "service backend: there is no file " + files.path("hosts") + ": make it, or correct source.git.ssh_known_hosts"};
  CHECK(table.err == "note: " + notes[0] + "\nnote: " + notes[1] + "\nnote: " + notes[2] + "\n");
  const auto as_json = deployctl({"validate", "--config", files.agent, "-o", "json"});
  CHECK(json::parse(as_json.out)["notes"] == json(notes));
}

TEST_CASE("a config repo that is not cloned here, and a key that is not there, are notes") {
  const Files files;
  files.write("agent.yaml",
              "network: internal\n"
              "config_repo: { repo: you/infra, folder: app, url: \"git@github.com:you/infra.git\", ssh_key: key, "
              "ssh_known_hosts: hosts }\n");
  files.write("hosts", "");
  CHECK(deployctl({"validate", "--config", files.agent}).err ==
        "note: there is no file " + files.path("key") + ": make it, or correct config_repo.ssh_key\n" +
            "note: there is no git work tree in " + files.path("app") +
            ": clone you/infra there, or correct config_repo.folder\n");
  std::filesystem::create_directories(files.path("app/.git"));
  files.write("key", "");
  CHECK(deployctl({"validate", "--config", files.agent}).err == "");
}

TEST_CASE("a broken configuration shows every error and exits 2") {
  const Files files;
  files.write("deploy.d/backend.yaml",
              "service: backend\n"
              "on: manual\n"
              "source: { image: \"backend:1\" }\n"
              "depends_on: [lm]\n"
              "helth: { http: /health }\n"
              "proxy: { port: 8080 }\n");
  const std::string backend = files.path("deploy.d/backend.yaml");
  const auto table = deployctl({"validate", "--config", files.agent});
  CHECK(table.code == 2);
  CHECK(table.out.empty());
  CHECK(table.err == backend + ":4:14: error: `depends_on` names the service `lm`, which does not exist\n" +
                         "  depends_on: [lm]\n"
                         "               ^\n"
                         "  hint: did you mean `llm`?\n" +
                         backend + ":5:1: error: `helth` is not a known key\n" +
                         "  helth: { http: /health }\n"
                         "  ^\n"
                         "  hint: did you mean `health`?\n" +
                         "deployctl: " + files.agent + " is not valid: 2 errors\n");
  const auto as_json = deployctl({"validate", "--config", files.agent, "-o", "json"});
  CHECK(as_json.code == 2);
  const auto view = json::parse(as_json.out);
  CHECK(view["valid"] == false);
  CHECK(view["services"] == json::array());
  REQUIRE(view["diagnostics"].size() == 2);
  CHECK(view["diagnostics"][1] == json{{"file", backend},
                                       {"line", 5},
                                       {"column", 1},
                                       {"key_path", "helth"},
                                       {"message", "`helth` is not a known key"},
                                       {"hint", "did you mean `health`?"}});
}

TEST_CASE(
    "what speaks against a service's Compose files is an error at its `compose`, or a note where it is not here") {
  const Files files;
  files.write("deploy.d/backend.yaml",
              "service: backend\n"
              "on: manual\n"
              "source: { image: \"backend:1\" }\n"
              "compose: { files: [../docker-compose.yml] }\n");
  const std::string backend = files.path("deploy.d/backend.yaml");
  const auto missing = deployctl({"validate", "--config", files.agent});
  CHECK(missing.code == 0);
  CHECK(missing.err == "note: service backend: there is no file " + files.path("docker-compose.yml") +
                           ": make it, or correct compose.files\n");
  // A `docker` that prints the same for each question.
  files.write("docker-compose.yml", "");
  files.write(
      "docker",
      "#!/bin/sh\n"
      "case \"$*\" in *version*) echo 2.26.1;; *) echo '{\"services\": {\"backend\": {\"tty\": true}}}';; esac\n");
  std::filesystem::permissions(files.path("docker"), std::filesystem::perms::owner_all);
  const std::string path = std::getenv("PATH");
  ::setenv("PATH", (files.folder.path().string() + ":" + path).c_str(), 1);
  const auto refused = deployctl({"validate", "--config", files.agent});
  ::setenv("PATH", path.c_str(), 1);
  CHECK(refused.code == 2);
  CHECK(refused.out.empty());
  CHECK(refused.err ==
        backend +
            ":4:10: error: service backend: services.backend.tty is not supported: nobody sits in front of it; "
            "what the service can do without, list under compose.ignore\n"
            "  compose: { files: [../docker-compose.yml] }\n"
            "           ^\n"
            "deployctl: " +
            files.agent + " is not valid: 1 error\n");
}

TEST_CASE("a configuration that is not there is exit code 2") {
  const TempDir folder;
  const std::string missing = folder / "agent.yaml";
  const auto ran = deployctl({"validate", "--config", missing});
  CHECK(ran.code == 2);
  CHECK(ran.err == missing + ": error: there is no such file\n  hint: check the path, or pass --config\ndeployctl: " +
                       missing + " is not valid: 1 error\n");
}
