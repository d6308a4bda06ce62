#include "agent/adopt/compose_settings.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>
#include <vector>

#include "agent/adopt/compose_edit.hpp"
#include "agent/adopt/compose_import.hpp"
#include "agent/adopt/lists.hpp"
#include "agent/base/error.hpp"
#include "agent/base/text.hpp"
#include "agent/config/scalars.hpp"
#include "agent/config/variables.hpp"

namespace deploy::adopt {

namespace {

using nlohmann::json;
using Texts = std::vector<std::string>;

bool holds(const Texts& texts, const std::string& text) { return std::ranges::find(texts, text) != texts.end(); }

bool is_there(const std::string& file) {
  std::error_code problem;
  return std::filesystem::exists(file, problem);
}

/// Compose says it in several forms; ours says what to correct.
void check_files(const Texts& files) {
  for (const auto& file : files) {
    if (is_there(file)) continue;
    throw Error(ErrorKind::not_found, fmt::format("there is no file {}: make it, or correct compose.files", file));
  }
}

void check_service(const json& model, const config::ComposeSource& source) {
  const auto names = compose_services(model);
  if (holds(names, source.service)) return;
  const auto hint = config::suggestion(source.service, names);
  throw Error(ErrorKind::invalid,
              fmt::format("{} has no service {}{}; one of a profile is there only where compose.profiles names it",
                          fmt::join(source.files, ", "), source.service, hint.empty() ? "" : "; " + hint));
}

/// Does $NAME or ${NAME…} stand in the text?
bool uses_variable(const std::string& text, const std::string& name) {
  for (std::size_t at = 0; (at = text.find(name, at)) != std::string::npos; at += name.size()) {
    const bool begins = at > 0 && (text[at - 1] == '$' || (at > 1 && text[at - 1] == '{' && text[at - 2] == '$'));
    const auto next = at + name.size() < text.size() ? text[at + name.size()] : ' ';
    if (begins && std::isalnum(static_cast<unsigned char>(next)) == 0 && next != '_') return true;
  }
  return false;
}

/// Compose puts nothing in the place of a variable that is not set, and only warns: `The "A" variable is not set. …`
void check_variables(const ComposeModel& model, const config::ComposeSource& source, const std::string& file) {
  const auto written = model.written.at("services").value(source.service, json()).dump();
  Texts unset;
  for (const auto& warning : model.warnings) {
    const auto begin = warning.find('"');
    const auto end = warning.find("\" variable is not set");
    if (begin == std::string::npos || end == std::string::npos || end <= begin) continue;
    auto name = warning.substr(begin + 1, end - begin - 1);
    if (uses_variable(written, name)) unset.push_back(std::move(name));
  }
  if (unset.empty()) return;
  throw Error(
      ErrorKind::not_found,
      fmt::format("services.{} uses the variable{} {}, which {} not set{}: set {} there, or give a default with "
                  "${{{}:-…}}",
                  source.service, unset.size() == 1 ? "" : "s", fmt::join(unset, ", "),
                  unset.size() == 1 ? "is" : "are",
                  file.empty() ? fmt::format(", and there is no .env beside {}", source.files.front()) : " in " + file,
                  unset.size() == 1 ? "it" : "them", unset.front()));
}

/// Where the containers differ, as the ways to what differs; no values.
Texts differences(const domain::ContainerSettings& ours, const domain::ContainerSettings& theirs) {
  domain::Service left;
  domain::Service right;
  left.container = ours;
  right.container = theirs;
  Texts ways;
  for (const auto& change : json::diff(domain::to_json_value(left), domain::to_json_value(right))) {
    const auto path = change.at("path").get<std::string>();  // "/container/environment/NAME"
    ways.push_back(replaced(path.substr(path.find('/', 1) + 1), "/", "."));
  }
  return ways;
}

class Completion {
 public:
  Completion(domain::Service service, const config::ComposeSource& source, std::string network)
      : service_(std::move(service)), source_(source), network_(std::move(network)) {}

  domain::Service run(const ComposeModel& model, const std::string& variables_file) {
    auto found = import_service(model.resolved, model.written, source_.service);
    std::swap(found.container.pre_stop, service_.container.pre_stop);
    service_.container = std::move(found.container);
    std::erase(service_.container.networks, network_);
    name_unsupported(found);
    choose_strategy();
    finish();
    take_values(model, found, variables_file);
    finish();
    return std::move(service_);
  }

 private:
  void fail(std::string problem) { problems_.push_back(std::move(problem)); }
  void finish() const {
    if (!problems_.empty()) throw Error(ErrorKind::invalid, fmt::format("{}", fmt::join(problems_, "; ")));
  }
  std::string way(const std::string& key) const { return "services." + source_.service + "." + key; }

  void name_unsupported(ComposeService& found) {
    if (found.replicas != service_.replicas) {
      found.unsupported.push_back({way("deploy.replicas"), fmt::format("write `replicas: {}` beside `compose`, not {}",
                                                                       found.replicas, service_.replicas)});
    }
    Texts ignored;
    bool can_ignore = false;
    for (const auto& problem : found.unsupported) {
      if (problem.path.starts_with(way("build"))) continue;  // `source` says where the image is from
      if (holds(source_.ignore, problem.path)) {
        ignored.push_back(problem.path);
      } else {
        fail(to_string(problem));
        can_ignore = true;
      }
    }
    if (can_ignore) problems_.back() += "; what the service can do without, list under compose.ignore";
    for (const auto& path : source_.ignore) {
      if (!holds(ignored, path)) fail("compose.ignore names " + path + ", and there is nothing to ignore: take it out");
    }
  }

  /// As config/service_schema does for what stands under `container`.
  void choose_strategy() {
    const auto& container = service_.container;
    for (const auto& name : source_.exclusive) {
      const bool is_volume =
          std::ranges::any_of(container.volumes, [&](const auto& volume) { return volume.starts_with(name + ":"); });
      const bool is_device =
          std::ranges::any_of(container.devices, [&](const auto& device) { return device.host == name; });
      if (!is_volume && !is_device) {
        fail(fmt::format("`exclusive` names {}, which its container has not; it has the volumes {}", name,
                         fmt::join(container.volumes, ", ")));
      }
    }
    const bool alone = !container.ports.empty() || !container.devices.empty();
    if (alone && !source_.strategy_is_named) service_.strategy = domain::StrategyKind::recreate;
    if (container.ports.empty()) return;
    const auto holds_port = fmt::format("publishes port {} of the host, which only one container at a time can have",
                                        container.ports.front().host);
    const std::string hint = ": let Nginx listen there and take it out, or write `strategy: recreate`";
    if (service_.strategy != domain::StrategyKind::recreate) fail(way("ports") + " " + holds_port + hint);
    if (service_.replicas > 1) fail(way("ports") + " " + holds_port + ": write `replicas: 1`");
  }

  /// Compose takes what stands in its files from .env, and what it hands on from the env files of the service. Here all
  /// of them are read as one; where that makes a difference in one order, it is tried in the other one.
  void take_values(const ComposeModel& model, const ComposeService& found, const std::string& variables_file) {
    domain::Service theirs;
    theirs.name = service_.name;
    theirs.container = import_service(model.resolved, nullptr, source_.service).container;
    std::erase(theirs.container.networks, network_);
    const auto wanted = config::resolve(theirs).container;
    Texts env_files;
    for (const auto& file : found.env_files) {
      if (!holds(found.optional_env_files, file) || is_there(file)) env_files.push_back(file);
    }
    const auto own = std::exchange(service_.vars, {});
    const auto dotenv = variables_file.empty() ? Texts{} : Texts{variables_file};
    Texts different;
    for (const auto& order : {std::vector{own, dotenv, env_files}, std::vector{own, env_files, dotenv}}) {
      service_.vars.clear();
      for (const auto& files : order) {
        for (const auto& file : files) {
          std::erase(service_.vars, file);
          service_.vars.push_back(file);
        }
      }
      auto container = config::resolve(service_).container;
      container.pre_stop.clear();  // not of Compose's files
      different = differences(container, wanted);
      if (different.empty()) return;
    }
    for (const auto& path : different) {
      fail(way(path) + " would have another value than Compose gives it: set its variables in one env file only");
    }
  }

  domain::Service service_;
  const config::ComposeSource& source_;
  std::string network_;
  Texts problems_;
};

Task<domain::Service> complete(ports::ProcessRunner& runner, domain::Service service, config::ComposeSource source,
                               std::string network) {
  check_files(source.files);
  const auto files = compose_files(source);
  const auto model = co_await read_compose(runner, files);
  const auto variables_file = compose_variables_file(files);
  check_service(model.resolved, source);
  check_variables(model, source, variables_file);
  co_return Completion(std::move(service), source, std::move(network)).run(model, variables_file);
}

}  // namespace

ComposeFiles compose_files(const config::ComposeSource& source) {
  ComposeFiles files{source.files, source.project, source.profiles};
  add_once(files.profiles, deployed_profile);
  return files;
}

Task<domain::Service> with_compose(ports::ProcessRunner& runner, domain::Service service, config::ComposeSource source,
                                   std::string network) {
  const auto context = "service " + service.name;
  try {
    co_return co_await complete(runner, std::move(service), std::move(source), std::move(network));
  } catch (const Error& error) {
    if (error.message().starts_with(context)) throw;
    throw error.with_context(context);
  }
}

}  // namespace deploy::adopt
