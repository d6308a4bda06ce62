// A login for a registry that the configuration names.
#pragma once

#include <functional>
#include <string>

namespace deploy::domain {

struct RegistryUser {
  std::string host;  // as registry_of names it
  std::string username;
  std::function<std::string()> password;  // reads it, which blocks for a moment; throws Error
};

}  // namespace deploy::domain
