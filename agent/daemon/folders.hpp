// The folders that deployd makes for itself at its start.
#pragma once

#include <filesystem>
#include <string>

namespace deploy::daemon {

/// `key` of agent.yaml is where the folder was named. Throws Error(failed).
void make_folder(const std::filesystem::path& folder, const std::string& key);

/// Makes the state folder, which nobody else may read, and returns it. Throws Error(failed).
std::filesystem::path made_private(const std::filesystem::path& folder);

}  // namespace deploy::daemon
