// What of a service's file is about repositories: the keys that its own and those of `rebuilt_by` have in common.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/config/yaml_reader.hpp"
#include "agent/domain/service.hpp"

namespace deploy::config {

void read_branch(Fields& fields, std::string& out);

/// `trigger`: nullopt where `on` could not be read.
void read_workflows(Fields& fields, std::optional<domain::Trigger> trigger, std::vector<std::string>& out);

/// Folders and files of a repository, each below its root.
std::vector<std::string> repository_paths(const Value& value);

/// The other repositories that make the service be built or pulled again. Requires service.repo and
/// service.source to be read already.
void read_rebuilt_by(Fields& fields, domain::Service& service);

}  // namespace deploy::config
