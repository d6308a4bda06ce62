// The text of a service's file that `init` proposes. Pure; config::parse_service reads it.
#pragma once

#include <string>
#include <vector>

#include "agent/adopt/health_search.hpp"
#include "agent/adopt/nginx_edit.hpp"
#include "agent/adopt/service_finder.hpp"

namespace deploy::adopt {

struct ServiceText {
  std::string text;
  std::vector<std::string> notes;            // what a person has to know or do
  std::vector<std::uint16_t> waiting_ports;  // ports of the host that Nginx takes over
  bool holds_secrets = false;                // values that look like secrets and are in no env file
};

/// How it is reached.
struct ServiceRoute {
  bool behind_nginx = false;  // there is an Nginx
  std::string upstream;       // empty: not reached from outside
  std::string server_parameters;
  std::vector<std::string> directives;
};

ServiceText service_text(const Survey& survey, const FoundService& service, const FoundHealth& health,
                         const ServiceRoute& route, const std::string& network);

/// The value as `${NAME}` where an env file has it: under the same name, or as the only one where it is long enough not
/// to be so by chance; long secrets inside of it, too. Adds the files that it takes to `used`. Texts are escaped as
/// templates are.
std::string with_variables(const std::string& name, const std::string& value,
                           const std::vector<EnvFileValues>& env_files, std::vector<std::string>& used);

}  // namespace deploy::adopt
