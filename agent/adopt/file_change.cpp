#include "agent/adopt/file_change.hpp"

#include <fmt/format.h>
#include <git2.h>

#include <memory>

#include "agent/base/error.hpp"

namespace deploy::adopt {

namespace {

template <auto Free>
struct Freed {
  template <class T>
  void operator()(T* handle) const noexcept {
    Free(handle);
  }
};

[[noreturn]] void fail(const std::string& path) {
  const auto* error = git_error_last();
  throw Error(ErrorKind::failed, fmt::format("cannot compare {} with what it is to be: {}", path,
                                             error == nullptr ? "libgit2 does not say why" : error->message));
}

/// libgit2 names a file without content as one that is there.
std::string header_of(const FileChange& change, const std::string& path) {
  return fmt::format("diff --git a/{0} b/{0}\nnew file mode 100{1:o}\n--- /dev/null\n+++ b/{0}\n", path,
                     (change.mode & 0111) != 0 ? 0755 : 0644);
}

}  // namespace

std::string unified_diff(const FileChange& change, const std::string& shown_path) {
  if (change.before == change.after) return "";
  git_libgit2_init();
  const std::string none;
  const auto& before = change.before ? *change.before : none;
  git_diff_options options = GIT_DIFF_OPTIONS_INIT;
  options.flags = GIT_DIFF_FORCE_TEXT;
  git_patch* raw = nullptr;
  if (git_patch_from_buffers(&raw, before.data(), before.size(), shown_path.c_str(), change.after.data(),
                             change.after.size(), shown_path.c_str(), &options) != 0) {
    fail(change.path);
  }
  const std::unique_ptr<git_patch, Freed<git_patch_free>> patch(raw);
  git_buf buffer{};
  if (git_patch_to_buf(&buffer, patch.get()) != 0) fail(change.path);
  std::string text(buffer.ptr, buffer.size);
  git_buf_dispose(&buffer);
  if (change.before) return text;
  const auto hunks = text.find("@@ ");
  return header_of(change, shown_path) + (hunks == std::string::npos ? "" : text.substr(hunks));
}

}  // namespace deploy::adopt
