#include "agent/config/files_read.hpp"

#include <catch2/catch_all.hpp>

#include "tests/config/support.hpp"

using namespace deploy;
using deploy::tests::TemporaryFolder;

TEST_CASE("files that were written, added or removed since they were read are named") {
  const TemporaryFolder folder;
  const auto agent = folder.write("agent.yaml", "a");
  const auto backend = folder.write("deploy.d/backend.yaml", "b");
  const auto llm = folder.write("deploy.d/llm.yaml", "l");
  const auto same = folder.write("deploy.d/web.yaml", "w");
  const config::FilesRead files(agent, folder.path() / "deploy.d");
  CHECK(files.changed().empty());

  const auto soon = std::filesystem::last_write_time(agent) + std::chrono::seconds(1);
  folder.write("agent.yaml", "a later one");
  folder.write("deploy.d/backend.yaml", "a later one");
  for (const auto& file : {agent, backend, same}) std::filesystem::last_write_time(file, soon);
  std::filesystem::remove(llm);
  const auto added = folder.write("deploy.d/new.yml", "n");
  folder.write("deploy.d/.web.yaml.swp", "an editor's");
  folder.write("deploy.d/README", "not a service's");
  CHECK(files.changed() == std::vector<std::filesystem::path>{agent, backend, llm, added});
}

TEST_CASE("a folder of service files that was removed is a change, too") {
  const TemporaryFolder folder;
  const auto agent = folder.write("agent.yaml", "a");
  const auto backend = folder.write("deploy.d/backend.yaml", "b");
  const config::FilesRead files(agent, folder.path() / "deploy.d");
  std::filesystem::remove_all(folder.path() / "deploy.d");
  CHECK(files.changed() == std::vector<std::filesystem::path>{backend});
}
