#include "agent/source/work_tree_files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>
#include <utility>

#include "agent/base/atomic_file.hpp"
#include "agent/base/error.hpp"

namespace deploy::source {

namespace {

using Kind = FileState::Kind;

constexpr int open_folder = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

std::string last_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

/// Every byte is one side's or the other's at its place, and the length is between theirs.
bool is_mixture(const std::string& text, const FileState& one, const FileState& other) {
  const auto* first = one.kind == Kind::file ? &one.content : nullptr;
  const auto* second = other.kind == Kind::file ? &other.content : nullptr;
  if (first == nullptr && second == nullptr) return false;
  const auto most = std::max(first != nullptr ? first->size() : 0, second != nullptr ? second->size() : 0);
  const auto least = first != nullptr && second != nullptr ? std::min(first->size(), second->size()) : 0;
  if (text.size() < least || text.size() > most) return false;
  const auto has = [](const std::string* side, std::size_t at, char byte) {
    return side != nullptr && at < side->size() && (*side)[at] == byte;
  };
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (!has(first, at, text[at]) && !has(second, at, text[at])) return false;
  }
  return true;
}

int write_at_start(int fd, std::string_view content) {
  off_t at = 0;
  while (!content.empty()) {
    const auto written = ::pwrite(fd, content.data(), content.size(), at);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    at += written;
    content.remove_prefix(static_cast<std::size_t>(written));
  }
  return 0;
}

/// In place: what it needs beyond what it has is reserved first, so that a full disk is found while nothing is written.
int overwrite(int fd, std::string_view content) {
  const auto size = static_cast<off_t>(content.size());
  const bool reserved = size == 0 || ::fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, size) == 0;
  if (!reserved && errno != EOPNOTSUPP && errno != ENOSYS) return errno;
  if (const int failure = write_at_start(fd, content)) return failure;
  if (::ftruncate(fd, size) != 0) return errno;
  return ::fsync(fd) == 0 ? 0 : errno;
}

int read_all(int fd, std::string& content) {
  std::array<char, 65536> buffer;
  while (content.size() <= work_tree_file_bytes_max) {
    const auto got = ::read(fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno;
    if (got == 0) return 0;
    content.append(buffer.data(), static_cast<std::size_t>(got));
  }
  return 0;
}

}  // namespace

bool is_between(const FileState& found, const FileState& one, const FileState& other) {
  if (found.same_text(one) || found.same_text(other)) return true;
  // A link, and what changes its kind, is removed before it is made anew.
  const bool made_anew = one.kind != other.kind || one.kind == Kind::symlink;
  if (found.kind == Kind::none) return made_anew;
  return found.kind == Kind::file && is_mixture(found.content, one, other);
}

WorkTreeFiles::WorkTreeFiles(const std::filesystem::path& folder)
    : folder_(folder), root_(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  struct stat status {};
  if (!root_.valid() || ::fstat(root_.get(), &status) != 0) fail("open", "", errno);
  owner_ = status.st_uid;
  group_ = status.st_gid;
}

void WorkTreeFiles::fail(const char* verb, const std::string& path, int error_number) const {
  throw file_error(verb, path.empty() ? folder_ : folder_ / path, error_number);
}

std::optional<UniqueFd> WorkTreeFiles::parent_of(const std::string& path, bool make) const {
  std::optional<UniqueFd> folder(::openat(root_.get(), ".", open_folder));
  if (!folder->valid()) fail("open", "", errno);
  for (auto slash = path.find('/'), begin = std::string::npos; slash != std::string::npos;
       slash = path.find('/', slash + 1)) {
    const auto name = path.substr(begin + 1, slash - begin - 1);
    const auto so_far = path.substr(0, slash);
    begin = slash;
    if (make) make_folder(folder->get(), name, so_far);
    UniqueFd next(::openat(folder->get(), name.c_str(), open_folder));
    if (!next.valid() && !make && errno == ENOENT) return std::nullopt;
    if (!next.valid()) fail("open", so_far, errno);
    folder = std::move(next);
  }
  return folder;
}

/// Where there is none yet.
void WorkTreeFiles::make_folder(int parent, const std::string& name, const std::string& path) const {
  if (::mkdirat(parent, name.c_str(), 0755) != 0) {
    if (errno == EEXIST) return;
    fail("write", path, errno);
  }
  // The umask must not decide who can read it.
  const bool set = ::fchmodat(parent, name.c_str(), 0755, 0) == 0 &&
                   (::fchownat(parent, name.c_str(), owner_, group_, AT_SYMLINK_NOFOLLOW) == 0 || errno == EPERM);
  if (!set || ::fsync(parent) != 0) fail("write", path, errno);
}

FileState WorkTreeFiles::look(const std::string& path) const {
  FileState found;
  std::optional<UniqueFd> parent;
  try {
    parent = parent_of(path, false);
  } catch (const Error&) {
    // A file, a link or a folder that cannot be read is in the way.
    found.kind = Kind::other;
    return found;
  }
  const auto name = last_name(path);
  struct stat status {};
  if (!parent) return found;
  if (::fstatat(parent->get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return found;
    fail("read", path, errno);
  }
  if (S_ISLNK(status.st_mode)) {
    std::array<char, 4096> target;
    const auto size = ::readlinkat(parent->get(), name.c_str(), target.data(), target.size());
    if (size < 0) fail("read", path, errno);
    found.kind = Kind::symlink;
    found.content.assign(target.data(), static_cast<std::size_t>(size));
    return found;
  }
  found.kind = Kind::other;
  if (!S_ISREG(status.st_mode)) return found;
  const UniqueFd fd(::openat(parent->get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  const int failure = fd.valid() ? read_all(fd.get(), found.content) : errno;
  if (failure != 0) fail("read", path, failure);
  found.executable = (status.st_mode & S_IXUSR) != 0;
  if (found.content.size() <= work_tree_file_bytes_max) found.kind = Kind::file;
  return found;
}

void WorkTreeFiles::remove(int parent, const std::string& path) const {
  if (::unlinkat(parent, last_name(path).c_str(), 0) != 0 && errno != ENOENT) fail("remove", path, errno);
}

void WorkTreeFiles::write(const std::string& path, const FileState& wanted, bool mode_too) const {
  const auto found = look(path);
  const bool same_mode = !mode_too || found.executable == wanted.executable;
  if (found.same_text(wanted) && same_mode) return;
  if (found.kind == Kind::other) fail("write", path, EEXIST);
  const auto parent = parent_of(path, wanted.kind != Kind::none);
  if (!parent) return;
  if (found.kind == Kind::symlink || wanted.kind != Kind::file) remove(parent->get(), path);
  if (wanted.kind == Kind::file) write_file(parent->get(), path, wanted, mode_too);
  if (wanted.kind == Kind::symlink) {
    const auto name = last_name(path);
    if (::symlinkat(wanted.content.c_str(), parent->get(), name.c_str()) != 0) fail("write", path, errno);
    if (::fchownat(parent->get(), name.c_str(), owner_, group_, AT_SYMLINK_NOFOLLOW) != 0 && errno != EPERM) {
      fail("write", path, errno);
    }
  }
  if (::fsync(parent->get()) != 0) fail("write", path, errno);
}

void WorkTreeFiles::write_file(int parent, const std::string& path, const FileState& wanted, bool mode_too) const {
  const auto name = last_name(path);
  int opened = ::openat(parent, name.c_str(), O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
  const bool is_new = opened < 0 && errno == ENOENT;
  if (is_new) opened = ::openat(parent, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  UniqueFd fd(opened);
  if (!fd.valid()) fail("write", path, errno);
  if (is_new && ::fchown(fd.get(), owner_, group_) != 0 && errno != EPERM) fail("write", path, errno);
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) fail("write", path, errno);
  if (is_new || mode_too) {
    const mode_t base = is_new ? 0644 : status.st_mode & 07666U;
    const mode_t mode = wanted.executable ? base | ((base & 0444U) >> 2U) : base;
    if (::fchmod(fd.get(), mode) != 0) fail("write", path, errno);
  }
  if (const int failure = overwrite(fd.get(), wanted.content)) fail("write", path, failure);
  if (const int failure = fd.close()) fail("write", path, failure);
}

}  // namespace deploy::source
