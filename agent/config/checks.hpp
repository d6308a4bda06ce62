// Checks of single values that agent.yaml and service files share. Each adds a diagnostic to the value and returns
// false where it is not as it must be.
#pragma once

#include <filesystem>
#include <string>

#include "agent/config/yaml_reader.hpp"

namespace deploy::config {

/// Names of services: [a-z0-9][a-z0-9-]{1,40}, so that they fit into host names, container names and Nginx files.
bool check_name(const Value& value, const std::string& name);

/// Names of upstreams, which the users' nginx.conf may have already: letters, digits, `_`, `-` and `.`; `deployctl` is
/// ours.
bool check_upstream_name(const Value& value, const std::string& name);

/// Names that Docker takes for containers, networks and volumes.
bool check_docker_name(const Value& value, const std::string& name);

/// No control characters: what goes into requests, headers and other files.
bool check_printable(const Value& value, const std::string& text);

/// A path of a request: begins with "/", and holds nothing that ends it.
bool check_url_path(const Value& value, const std::string& path);

/// What is written into Nginx's files may not end its own directive, open a block or a quote, or hide what follows.
bool check_nginx_text(const Value& value, const std::string& text);

/// "owner/name".
bool check_repository(const Value& value, const std::string& repo);

/// A path made relative to the folder of the file that it is written in.
std::filesystem::path beside(const std::string& file, const std::string& path);

/// Reads a path and makes it relative to the file's folder.
void read_path(Fields& fields, const std::string& key, std::filesystem::path& out);

}  // namespace deploy::config
