#include "agent/adopt/compose_runner.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "agent/base/error.hpp"
#include "agent/base/text.hpp"

namespace deploy::adopt {

namespace {

constexpr std::chrono::seconds compose_deadline{20};
constexpr std::size_t model_bytes_max = 16 << 20;
constexpr std::size_t complaint_lines_max = 5;

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

std::filesystem::path project_folder(const ComposeFiles& files) {
  return std::filesystem::path(files.files.front()).parent_path();
}

std::vector<std::string> config_arguments(const ComposeFiles& files) {
  const auto variables = compose_variables_file(files);
  std::vector<std::string> words{"--project-directory", project_folder(files).string(),
                                 // Without it, .env in the folder that this process is in would count.
                                 "--env-file", variables.empty() ? "/dev/null" : variables};
  for (const auto& file : files.files) words.insert(words.end(), {"--file", file});
  if (!files.project.empty()) words.insert(words.end(), {"--project-name", files.project});
  for (const auto& profile : files.profiles) words.insert(words.end(), {"--profile", profile});
  words.insert(words.end(), {"config", "--format", "json"});
  return words;
}

std::vector<std::string> joined(std::vector<std::string> words, const std::vector<std::string>& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

/// nullopt: there is no such program.
Task<std::optional<ports::ProcessResult>> run_compose(ports::ProcessRunner& runner, std::vector<std::string> argv) {
  ports::ProcessSpec spec;
  spec.argv = std::move(argv);
  spec.deadline = compose_deadline;
  spec.output_bytes_max = model_bytes_max;
  try {
    co_return co_await runner.run(spec);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::not_found) throw error.with_context("compose: docker compose");
  }
  co_return std::nullopt;
}

/// "2.26.1", or "v2.26.1": not the first Compose, which was another program.
bool is_new_enough(std::string_view version) {
  if (version.starts_with('v')) version.remove_prefix(1);
  int major = 0;
  std::from_chars(version.data(), version.data() + version.size(), major);
  return major >= 2;
}

/// The words that call Compose on this host. Throws Error(not_found).
Task<std::vector<std::string>> find_compose(ports::ProcessRunner& runner) {
  const std::vector<std::vector<std::string>> programs{{"docker", "compose"}, {"docker-compose"}};
  for (const auto& program : programs) {
    auto question = joined(program, {"version", "--short"});
    const auto version = co_await run_compose(runner, std::move(question));
    if (version && version->exit_code == 0 && is_new_enough(version->output)) co_return program;
  }
  throw Error(ErrorKind::not_found,
              "compose: needs Docker Compose v2, and neither `docker compose` nor `docker-compose` is that here; "
              "install Docker's command line and docker-compose-plugin, or write the settings under `container`");
}

Task<ports::ProcessResult> run_config(ports::ProcessRunner& runner, ComposeFiles files, std::vector<std::string> argv) {
  auto result = co_await run_compose(runner, std::move(argv));
  if (!result || result->exit_code != 0) {
    const auto complaint = complaint_in(result ? result->error_output : "");
    const bool misses_file = complaint.find("no such file or directory") != std::string::npos;
    throw Error(misses_file ? ErrorKind::not_found : ErrorKind::invalid,
                fmt::format("compose: Docker Compose refuses {}: {}", fmt::join(files.files, ", "), complaint));
  }
  co_return std::move(*result);
}

nlohmann::json parse_model(const std::string& output) {
  auto model = nlohmann::json::parse(output, nullptr, false);
  if (model.is_object()) return model;
  throw Error(ErrorKind::invalid,
              "compose: what `docker compose config --format json` printed is not JSON; deployctl needs Compose v2");
}

}  // namespace

std::string compose_variables_file(const ComposeFiles& files) {
  const auto file = project_folder(files) / ".env";
  std::error_code problem;
  return std::filesystem::is_regular_file(file, problem) ? file.string() : "";
}

Task<ComposeModel> read_compose(ports::ProcessRunner& runner, ComposeFiles files) {
  const auto program = co_await find_compose(runner);
  auto argv = joined(program, config_arguments(files));
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
