// A temporary folder, and the pieces that the tests of configuration files begin with.
#pragma once

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "agent/config/schema.hpp"

namespace deploy::tests {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    auto pattern = (std::filesystem::temp_directory_path() / "deploy-config-XXXXXX").string();
    if (!mkdtemp(pattern.data())) throw std::runtime_error("no temporary folder");
    path_ = pattern;
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

  /// Writes a file, its folders included, and returns its path.
  std::string write(const std::string& name, const std::string& text) const {
    auto path = path_ / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << text;
    return path.string();
  }

  /// A text with this folder's path replaced by "DIR", so that whole messages can be compared.
  std::string without_path(std::string text) const {
    for (auto at = text.find(path_.string()); at != std::string::npos; at = text.find(path_.string())) {
      text.replace(at, path_.string().size(), "DIR");
    }
    return text;
  }

 private:
  std::filesystem::path path_;
};

/// The service of a file that has no mistake.
inline domain::Service read_service(const std::string& text, const std::string& file = "s.yaml") {
  config::Diagnostics diagnostics;
  auto result = config::parse_service(file, text, diagnostics);
  if (diagnostics.size() > 0) throw std::logic_error(diagnostics.render());
  return result.value().service;
}

/// What is printed for a service file's text; the file is called "s.yaml".
inline std::string service_errors(const std::string& text) {
  config::Diagnostics diagnostics;
  config::parse_service("s.yaml", text, diagnostics);
  return diagnostics.render();
}

/// The same for agent.yaml.
inline std::string agent_errors(const std::string& text) {
  config::Diagnostics diagnostics;
  config::Place place;
  config::parse_agent("agent.yaml", text, diagnostics, place);
  return diagnostics.render();
}

/// What an agent.yaml that has no mistake says.
inline config::AgentConfig read_agent(const std::string& text, const std::string& file = "agent.yaml") {
  config::Diagnostics diagnostics;
  config::Place place;
  auto result = config::parse_agent(file, text, diagnostics, place);
  if (diagnostics.size() > 0) throw std::logic_error(diagnostics.render());
  return result.value();
}

/// The least that makes a service, without line breaks of its own so that a test's text begins at line 2.
inline const std::string least_service = "{ service: web, on: manual, source: { image: web } }\n";

}  // namespace deploy::tests
