#include "agent/daemon/folders.hpp"

#include <system_error>

#include "agent/base/error.hpp"

namespace deploy::daemon {

void make_folder(const std::filesystem::path& folder, const std::string& key) {
  std::error_code failure;
  std::filesystem::create_directories(folder, failure);
  if (!failure) return;
  throw Error(ErrorKind::failed, "cannot create the folder " + folder.string() + ": " + failure.message() +
                                     "; run deployd as root, or set `" + key + "` in agent.yaml to another path");
}

std::filesystem::path made_private(const std::filesystem::path& folder) {
  make_folder(folder, "state");
  std::error_code failure;
  std::filesystem::permissions(folder, std::filesystem::perms::owner_all, failure);
  if (!failure) return folder;
  throw Error(ErrorKind::failed, "cannot make the state folder " + folder.string() +
                                     " private to deployd (mode 0700): " + failure.message() +
                                     "; give it to the user that deployd runs as, on a file system "
                                     "that can be written, or set `state` in agent.yaml to another path");
}

}  // namespace deploy::daemon
