#include "agent/base/atomic_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#include "agent/base/unique_fd.hpp"

namespace deploy {

namespace fs = std::filesystem;

namespace {

fs::path folder_of(const fs::path& path) { return path.has_parent_path() ? path.parent_path() : fs::path("."); }

int write_all(int fd, std::string_view content) {
  while (!content.empty()) {
    const ssize_t written = ::write(fd, content.data(), content.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return errno;
    }
    content.remove_prefix(static_cast<std::size_t>(written));
  }
  return 0;
}

int sync_folder(const fs::path& folder) {
  const UniqueFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid() || ::fsync(fd.get()) != 0) return errno;
  return 0;
}

int write_new_file(const fs::path& path, std::string_view content, mode_t mode) {
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
  if (!fd.valid()) return errno;
  // The umask must not decide who can read it.
  if (::fchmod(fd.get(), mode) != 0) return errno;
  if (const int failure = write_all(fd.get(), content)) return failure;
  if (::fsync(fd.get()) != 0) return errno;
  return fd.close();
}

std::string_view advice(std::string_view verb, int error_number) {
  switch (error_number) {
    case ENOSPC:
    case EDQUOT:
      return "; free some space and try again";
    case EACCES:
    case EPERM:
      return "; give the user that runs this program access to it";
    case EROFS:
      return "; mount the file system for writing";
    case ENOENT:
      return verb == "write" ? "; create its folder and try again" : "";
    default:
      return "";
  }
}

ErrorKind kind_for(int error_number) {
  switch (error_number) {
    case ENOSPC:
    case EDQUOT:
      return ErrorKind::disk_full;
    case ENOENT:
      return ErrorKind::not_found;
    default:
      return ErrorKind::failed;
  }
}

}  // namespace

Error file_error(std::string_view verb, const fs::path& path, int error_number) {
  std::string message = "cannot " + std::string(verb) + " " + path.string() + ": ";
  message += std::generic_category().message(error_number);
  message += advice(verb, error_number);
  return Error(kind_for(error_number), std::move(message));
}

void write_atomically(const fs::path& path, std::string_view content, mode_t mode) {
  const fs::path folder = folder_of(path);
  const fs::path temporary = folder / ("." + path.filename().string() + ".tmp");
  // One fixed name: what a killed writer left behind is replaced by the next one instead of piling up.
  if (::unlink(temporary.c_str()) != 0 && errno != ENOENT) throw file_error("write", path, errno);
  int failure = write_new_file(temporary, content, mode);
  if (failure == 0 && ::rename(temporary.c_str(), path.c_str()) != 0) failure = errno;
  if (failure != 0) {
    ::unlink(temporary.c_str());
    throw file_error("write", path, failure);
  }
  if (const int unsynced = sync_folder(folder)) throw file_error("write", path, unsynced);
}

std::string read_file(const fs::path& path, std::size_t bytes_max) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) throw file_error("read", path, errno);
  std::string content;
  std::array<char, 16384> buffer;
  while (true) {
    const ssize_t got = ::read(fd.get(), buffer.data(), buffer.size());
    if (got < 0) {
      if (errno == EINTR) continue;
      throw file_error("read", path, errno);
    }
    if (got == 0) return content;
    content.append(buffer.data(), static_cast<std::size_t>(got));
    if (content.size() > bytes_max) {
      throw Error(ErrorKind::invalid,
                  "cannot read " + path.string() + ": it is longer than " + std::to_string(bytes_max) + " bytes");
    }
  }
}

bool remove_file(const fs::path& path) {
  if (::unlink(path.c_str()) != 0) {
    if (errno == ENOENT) return false;
    throw file_error("remove", path, errno);
  }
  if (const int failure = sync_folder(folder_of(path))) throw file_error("remove", path, failure);
  return true;
}

}  // namespace deploy
