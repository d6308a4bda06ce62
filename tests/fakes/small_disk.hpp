// A file system of a few blocks, so that a full disk is a real one.
#pragma once

#include <sched.h>
#include <sys/mount.h>

#include <cerrno>
#include <exception>
#include <filesystem>
#include <functional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>

namespace deploy::tests {

/// Mounts a tmpfs of this many KiB on `folder` and calls `body`, both on a thread with a mount namespace of its own:
/// nobody else sees the mount, it is gone with the thread, and threads and processes that `body` starts see it. A limit
/// on file sizes would not do: it gives another error (EFBIG). Needs root.
inline void on_small_disk(const std::filesystem::path& folder, int kib, const std::function<void()>& body) {
  std::exception_ptr failure;
  std::thread thread([&] {
    try {
      const auto require = [](int result, const char* what) {
        if (result != 0) throw std::system_error(errno, std::generic_category(), what);
      };
      require(::unshare(CLONE_NEWNS), "unshare");
      require(::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), "make mounts private");
      const std::string options = "size=" + std::to_string(kib) + "k";
      require(::mount("tmpfs", folder.c_str(), "tmpfs", 0, options.c_str()), "mount tmpfs");
      body();
    } catch (...) {
      failure = std::current_exception();
    }
  });
  thread.join();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace deploy::tests
