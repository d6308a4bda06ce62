#include "agent/source/git_library.hpp"

#include <array>

namespace deploy::source {

namespace {

class Library {
 public:
  Library() {
    git_libgit2_init();
    for (const int level :
         {GIT_CONFIG_LEVEL_PROGRAMDATA, GIT_CONFIG_LEVEL_SYSTEM, GIT_CONFIG_LEVEL_XDG, GIT_CONFIG_LEVEL_GLOBAL}) {
      git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, level, "");
    }
  }
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;
  ~Library() { git_libgit2_shutdown(); }
};

}  // namespace

void start_git_library() { static const Library library; }

std::string git_message() {
  const git_error* const error = git_error_last();
  return error != nullptr && error->message != nullptr ? error->message : "libgit2 gave no reason";
}

GitRepository open_bare(const std::string& path) {
  git_repository* opened = nullptr;
  if (git_repository_open_bare(&opened, path.c_str()) != 0) {
    throw Error(ErrorKind::failed, "cannot open the mirror " + path + ": " + git_message());
  }
  return GitRepository(opened);
}

std::string to_text(const git_oid& id) {
  std::array<char, GIT_OID_HEXSZ + 1> text{};
  git_oid_tostr(text.data(), text.size(), &id);
  return text.data();
}

}  // namespace deploy::source
