// Lets Docker Compose read its own files. Runs `docker compose`, or `docker-compose` where that is Compose v2, never a
// shell; each call has a deadline. Compose looks at this process's environment before it looks at .env, as it does when
// a person calls it; the folder that this process is in does not matter.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "agent/ports/process_runner.hpp"

namespace deploy::adopt {

struct ComposeFiles {
  std::vector<std::string> files;     // absolute paths; the first one's folder is the project's
  std::string project;                // empty: Compose's own choice
  std::vector<std::string> profiles;  // services of others are left out
};

/// Holds secrets: never stored, never logged.
struct ComposeModel {
  nlohmann::json resolved;            // with the values of variables
  nlohmann::json written;             // with ${…} as in the files
  std::vector<std::string> warnings;  // Compose's own, such as a variable that is not set
};

/// The file beside the first one that Compose takes variables from; empty: there is none.
std::string compose_variables_file(const ComposeFiles& files);

/// Throws Error: not_found (Compose v2 is not here, or a file that these name), invalid (Compose refuses the files, in
/// its own words), timed_out.
Task<ComposeModel> read_compose(ports::ProcessRunner& runner, ComposeFiles files);

}  // namespace deploy::adopt
