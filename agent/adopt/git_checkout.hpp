// A work tree of git on this host: where it comes from, which branch it is on, and what runs for it on GitHub. Reads
// small files, and nothing of it is trusted: they are users' files.
// Source: git-config(1), gitrepository-layout(5); GitHub's documentation, "Workflow syntax".
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace deploy::adopt {

struct GitWorkflow {
  std::string path;      // ".github/workflows/ci.yml"
  bool on_push = false;  // a push to a branch starts it
};

struct GitCheckout {
  std::filesystem::path root;
  std::string url;         // of `origin`, without a user and a password; empty: it has none
  std::string repository;  // owner/name; empty: the url does not have that form
  std::string branch;      // empty: none is checked out
  std::vector<GitWorkflow> workflows;
  /// Paths that its workflows and scripts ask by HTTP, as "8080/actuator/health".
  std::vector<std::string> asked;
};

/// The work tree that the folder belongs to; nullopt where it belongs to none.
std::optional<GitCheckout> find_checkout(const std::filesystem::path& folder);

/// The work trees in the folder and two levels below it.
std::vector<GitCheckout> checkouts_below(const std::filesystem::path& folder);

/// "owner/name" of "git@github.com:owner/name.git", "https://github.com/owner/name" and their like; else empty.
std::string repository_of(std::string_view url);

/// The address of `origin` in a git configuration's text; empty: none.
std::string origin_in(std::string_view config);

/// Does a push to a branch start this workflow?
bool runs_on_push(const std::string& text);

/// What a text asks by HTTP of a port of the same host: "8080/health" of "curl -f http://localhost:8080/health".
std::vector<std::string> asked_in(std::string_view text);

}  // namespace deploy::adopt
