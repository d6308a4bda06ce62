// What makes this installation itself: made once, kept in the state folder.
#pragma once

#include <filesystem>
#include <string>

#include "agent/store/database.hpp"

namespace deploy::daemon {

/// The value of our instance label: 16 hexadecimal digits, kept in the database.
std::string instance_id(store::Database& database);

/// The key of configuration hashes: 64 hexadecimal digits, kept in `state`/key (mode 0600) and nowhere else. Throws
/// Error.
std::string installation_key(const std::filesystem::path& state);

}  // namespace deploy::daemon
