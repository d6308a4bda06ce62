#include "agent/base/proc.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace deploy::proc {

namespace {

constexpr int list_tries = 10;

std::string folder_of(const std::string& root, std::int64_t pid) { return root + "/" + std::to_string(pid); }

std::vector<std::int64_t> children_once(const std::string& process) {
  std::vector<std::int64_t> children;
  std::error_code ended;  // then it has no children any more
  using Threads = std::filesystem::directory_iterator;
  for (Threads thread(process + "/task", ended); !ended && thread != Threads(); thread.increment(ended)) {
    std::istringstream words(read_file(thread->path() / "children").value_or(""));
    for (std::int64_t child = 0; words >> child;) children.push_back(child);
  }
  return children;
}

}  // namespace

std::optional<std::string> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  std::ostringstream text;
  text << file.rdbuf();
  if (file.bad()) return std::nullopt;
  return std::move(text).str();
}

/// A child that ends while the kernel lists them can hide the next one, so two lists have to agree.
std::vector<std::int64_t> children_of(const std::string& root, std::int64_t pid) {
  const auto process = folder_of(root, pid);
  auto children = children_once(process);
  for (int tries = 0; tries < list_tries; ++tries) {
    auto again = children_once(process);
    if (again == children) break;
    children = std::move(again);
  }
  return children;
}

bool lists_children(const std::string& root, std::int64_t pid) {
  std::error_code failure;
  return std::filesystem::exists(folder_of(root, pid) + "/task/" + std::to_string(pid) + "/children", failure);
}

std::optional<uid_t> owner_of(const std::string& root, std::int64_t pid) {
  struct stat status {};
  if (::stat(folder_of(root, pid).c_str(), &status) != 0) return std::nullopt;
  return status.st_uid;
}

/// What a program wrote over its arguments may end with more than one NUL.
std::string title_of(const std::string& root, std::int64_t pid) {
  auto arguments = read_file(folder_of(root, pid) + "/cmdline").value_or("");
  arguments.erase(arguments.find_last_not_of('\0') + 1);
  std::replace(arguments.begin(), arguments.end(), '\0', ' ');
  return arguments;
}

}  // namespace deploy::proc
