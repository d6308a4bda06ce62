#include "agent/adopt/compose_runner.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "agent/base/error.hpp"
#include "agent/base/text.hpp"

namespace deploy::adopt {

namespace {

constexpr std::chrono::seconds compose_deadline{60};
constexpr std::size_t model_bytes_max = 16 << 20;
constexpr std::size_t complaint_lines_max = 5;

constexpr std::string_view what_to_install =
    "install Docker's command line and docker-compose-plugin, or write the settings under `container`";

/// What logrus prints: `time="…" level=warning msg="The \"A\" variable is not set. …"`.
std::string message_in(const std::string& line) {
  const std::string_view mark = "msg=\"";
  const auto begin = line.find(mark);
  if (begin == std::string::npos || !line.ends_with('"')) return line;
  const auto start = begin + mark.size();
  return replaced(line.substr(start, line.size() - start - 1), "\\\"", "\"");
}

std::vector<std::string> warnings_in(const std::string& output) {
  std::vector<std::string> warnings;
  for (const auto& line : split_lines(output)) {
    if (line.find("level=warning") == std::string::npos) continue;
    auto message = message_in(line);
    if (std::ranges::find(warnings, message) == warnings.end()) warnings.push_back(std::move(message));
  }
  return warnings;
}

/// What Compose says went wrong, without its warnings.
std::string complaint_in(const std::string& output) {
  std::vector<std::string> lines;
  for (const auto& line : split_lines(output)) {
    if (trim(line).empty() || line.find("level=warning") != std::string::npos) continue;
    if (lines.size() < complaint_lines_max) lines.push_back(message_in(line));
  }
  return lines.empty() ? "it does not say why" : fmt::format("{}", fmt::join(lines, "; "));
}

std::vector<std::string> arguments_of(const ComposeFiles& files) {
  std::vector<std::string> argv{"docker", "compose"};
  for (const auto& file : files.files) argv.insert(argv.end(), {"--file", file});
  if (!files.project.empty()) argv.insert(argv.end(), {"--project-name", files.project});
  for (const auto& profile : files.profiles) argv.insert(argv.end(), {"--profile", profile});
  argv.insert(argv.end(), {"config", "--format", "json"});
  return argv;
}

/// Of the runner's, with what it was for.
Task<ports::ProcessResult> run_docker(ports::ProcessRunner& runner, std::vector<std::string> argv) {
  ports::ProcessSpec spec;
  spec.argv = std::move(argv);
  spec.deadline = compose_deadline;
  spec.output_bytes_max = model_bytes_max;
  try {
    co_return co_await runner.run(spec);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::not_found) throw error.with_context("compose: docker compose");
  }
  throw Error(
      ErrorKind::not_found,
      fmt::format("compose: needs Docker Compose v2, and there is no program docker here; {}", what_to_install));
}

Task<ports::ProcessResult> run_config(ports::ProcessRunner& runner, ComposeFiles files, std::vector<std::string> argv) {
  auto result = co_await run_docker(runner, std::move(argv));
  if (result.exit_code != 0) {
    throw Error(ErrorKind::invalid, fmt::format("compose: Docker Compose refuses {}: {}", fmt::join(files.files, ", "),
                                                complaint_in(result.error_output)));
  }
  co_return result;
}

nlohmann::json parse_model(const std::string& output) {
  auto model = nlohmann::json::parse(output, nullptr, false);
  if (model.is_object()) return model;
  throw Error(ErrorKind::invalid,
              "compose: what `docker compose config --format json` printed is not JSON; deployctl needs Compose v2");
}

}  // namespace

Task<ComposeModel> read_compose(ports::ProcessRunner& runner, ComposeFiles files) {
  std::vector<std::string> question{"docker", "compose", "version", "--short"};
  const auto version = co_await run_docker(runner, std::move(question));
  if (version.exit_code != 0) {
    throw Error(
        ErrorKind::not_found,
        fmt::format("compose: needs Docker Compose v2, and `docker compose version` fails here; {}", what_to_install));
  }
  auto argv = arguments_of(files);
  const auto resolved = co_await run_config(runner, files, argv);
  argv.emplace_back("--no-interpolate");
  const auto written = co_await run_config(runner, files, argv);
  ComposeModel model;
  model.resolved = parse_model(resolved.output);
  model.written = parse_model(written.output);
  model.warnings = warnings_in(resolved.error_output);
  co_return model;
}

}  // namespace deploy::adopt
