// Looks at a host for `init`: asks the engine and Compose, and reads files. Changes nothing.
#pragma once

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "agent/adopt/survey.hpp"
#include "agent/config/schema.hpp"
#include "agent/ports/container_engine.hpp"
#include "agent/ports/process_runner.hpp"

namespace deploy::adopt {

/// The engine's own words on a container or an image; null where it knows none.
using InspectJson = std::function<Task<nlohmann::json>(std::string id)>;

struct SurveyTools {
  ports::ContainerEngine& engine;
  ports::ProcessRunner& runner;
  InspectJson container;
  InspectJson image;
};

struct SurveyWish {
  std::vector<std::string> folders;  // of Compose projects and repositories; none: what the containers name
  std::string agent_yaml;            // absolute
  std::optional<config::Configuration> configuration;  // where it is there already
  std::string state_folder;                            // of a new one
  std::string nginx;                                   // the container; empty: the one that there is
  std::string webhook_secret;
};

/// What is wrong with a user's files goes to `diagnostics`, and what else is in the way to `problems`. Throws Error
/// where the engine or Compose does not answer.
Task<Survey> look_at_host(SurveyTools tools, SurveyWish wish, config::Diagnostics& diagnostics,
                          std::vector<std::string>& problems);

}  // namespace deploy::adopt
