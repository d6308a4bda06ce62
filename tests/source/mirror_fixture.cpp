#include "tests/source/mirror_fixture.hpp"

#include <algorithm>
#include <fstream>
#include <stdexcept>
#include <utility>

#include "agent/base/process.hpp"
#include "agent/base/text.hpp"

namespace deploy::tests {

namespace fs = std::filesystem;

std::string run_program(std::vector<std::string> argv, std::map<std::string, std::string> environment) {
  ProcessOptions options;
  options.argv = argv;
  options.environment = std::move(environment);
  const ProcessOutcome outcome = run(run_process(std::move(options)));
  if (outcome.exit_code != 0) {
    std::string line;
    for (const auto& argument : argv) line += argument + " ";
    throw std::runtime_error(line + "failed: " + outcome.error_output);
  }
  return std::string(trim(outcome.output));
}

TestRepo::TestRepo(fs::path folder) : folder_(std::move(folder)) {
  fs::create_directories(folder_);
  git({"init", "--quiet", "--initial-branch=main"});
}

std::string TestRepo::git(std::vector<std::string> arguments) const {
  std::vector<std::string> argv = {"git", "-C", folder_.string()};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  // The same commits have the same ids on every machine.
  return run_program(std::move(argv), {{"GIT_CONFIG_GLOBAL", "/dev/null"},
                                       {"GIT_CONFIG_SYSTEM", "/dev/null"},
                                       {"GIT_AUTHOR_NAME", "A"},
                                       {"GIT_AUTHOR_EMAIL", "a@example.org"},
                                       {"GIT_AUTHOR_DATE", "1700000000 +0000"},
                                       {"GIT_COMMITTER_NAME", "A"},
                                       {"GIT_COMMITTER_EMAIL", "a@example.org"},
                                       {"GIT_COMMITTER_DATE", "1700000000 +0000"}});
}

void TestRepo::write(const std::string& path, std::string_view content) const {
  fs::create_directories((folder_ / path).parent_path());
  std::ofstream(folder_ / path, std::ios::binary) << content;
}

std::string TestRepo::commit(const std::string& message) const {
  git({"add", "--all"});
  git({"commit", "--quiet", "--allow-empty", "--message", message});
  return git({"rev-parse", "HEAD"});
}

domain::GitSource TestRepo::source() const {
  domain::GitSource source;
  source.url = "file://" + folder_.string();
  return source;
}

MirrorUnderTest::MirrorUnderTest(fs::path folder, std::chrono::milliseconds deadline, std::string program)
    : mirror_(source::GitMirrorOptions{std::move(folder), std::move(program), deadline}, runner_, pool_) {}

std::vector<std::string> MirrorUnderTest::fetch(domain::GitSource source) {
  std::vector<std::string> lines;
  run(mirror_.fetch(std::move(source), [&](std::string_view line) { lines.emplace_back(line); }));
  return lines;
}

std::string MirrorUnderTest::tip(domain::GitSource source, std::string branch) {
  return run(mirror_.tip(std::move(source), std::move(branch)));
}

std::string MirrorUnderTest::resolve(domain::GitSource source, std::string ref) {
  return run(mirror_.resolve(std::move(source), std::move(ref)));
}

std::unique_ptr<ports::SourceTree> MirrorUnderTest::tree(domain::GitSource source, std::string commit) {
  return run(mirror_.tree(std::move(source), std::move(commit)));
}

std::vector<std::string> names_below(const fs::path& folder) {
  std::vector<std::string> names;
  if (!fs::exists(folder)) return names;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    names.push_back(fs::relative(entry.path(), folder).string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace deploy::tests
