// Why a pull or a build failed, and what to do about it, from what the engine says. Pure.
// Source: the messages of Docker Engine 20.10 to 28, BuildKit 0.8 to 0.17 and the registry API's error codes.
#pragma once

#include <string>
#include <string_view>

#include "agent/base/error.hpp"
#include "agent/domain/image_reference.hpp"
#include "agent/engine/registry_login.hpp"

namespace deploy::engine {

/// The error of a pull that failed with this status and message, asked for with this login: a registry that cannot be
/// reached may answer later, which the engine's status (500) does not say.
Error pull_error(const domain::Reference& image, int status, const std::string& message, const RegistryLogin& login);

/// The error of a build that failed with this message. BuildKit's words about its own parts are left out. `output` is
/// what the failing command wrote, may be empty.
Error build_error(const std::string& what, const std::string& dockerfile, std::string_view message,
                  const std::string& output);

}  // namespace deploy::engine
