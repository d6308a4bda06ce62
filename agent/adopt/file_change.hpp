// A file as it is and as it is to be; and the difference as git shows it. Pure.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

namespace deploy::adopt {

struct FileChange {
  std::string path;                   // absolute
  std::optional<std::string> before;  // nullopt: it is not there
  std::string after;
  mode_t mode = 0644;   // of a new file
  bool secret = false;  // its text is not shown
};

/// A unified diff that `git apply` takes; `shown_path` stands in it, without "a/" and "b/". Empty where nothing
/// differs. Throws Error(failed).
std::string unified_diff(const FileChange& change, const std::string& shown_path);

}  // namespace deploy::adopt
