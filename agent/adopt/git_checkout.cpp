#include "agent/adopt/git_checkout.hpp"

#include <algorithm>
#include <cctype>
#include <system_error>

#include "agent/base/atomic_file.hpp"
#include "agent/base/text.hpp"
#include "agent/config/yaml_document.hpp"

namespace deploy::adopt {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t file_bytes_max = 1 << 20;
constexpr std::size_t files_max = 100;  // of one folder
constexpr std::size_t folders_max = 1000;
constexpr int levels_below = 2;

std::string text_of(const fs::path& file) {
  try {
    return read_file(file, file_bytes_max);
  } catch (const Error&) {
    return "";  // what cannot be read tells nothing
  }
}

/// The folder with git's own files: ".git", or where the file ".git" of a worktree or a submodule leads.
fs::path git_folder(const fs::path& root) {
  auto entry = root / ".git";
  std::error_code failure;
  if (!fs::is_regular_file(entry, failure)) return entry;
  const auto text = text_of(entry);
  constexpr std::string_view mark = "gitdir: ";
  if (!text.starts_with(mark)) return entry;
  return (root / std::string(trim(std::string_view(text).substr(mark.size())))).lexically_normal();
}

fs::path common_folder(const fs::path& git) {
  const auto text = text_of(git / "commondir");
  return text.empty() ? git : (git / std::string(trim(text))).lexically_normal();
}

std::string branch_of(const fs::path& git) {
  const auto head = text_of(git / "HEAD");
  constexpr std::string_view mark = "ref: refs/heads/";
  return head.starts_with(mark) ? std::string(trim(std::string_view(head).substr(mark.size()))) : "";
}

/// In the order of their names.
std::vector<fs::path> files_in(const fs::path& folder, const std::vector<std::string>& endings) {
  std::vector<fs::path> files;
  std::error_code failure;
  for (fs::directory_iterator at(folder, failure), end; !failure && at != end && files.size() < files_max;
       at.increment(failure)) {
    const auto ending = at->path().extension().string();
    if (std::ranges::find(endings, ending) != endings.end()) files.push_back(at->path());
  }
  std::ranges::sort(files);
  return files;
}

void read_workflows(GitCheckout& checkout) {
  for (const auto& file : files_in(checkout.root / ".github" / "workflows", {".yml", ".yaml"})) {
    const auto text = text_of(file);
    checkout.workflows.push_back({file.lexically_relative(checkout.root).string(), runs_on_push(text)});
    for (auto& path : asked_in(text)) checkout.asked.push_back(std::move(path));
  }
  for (const auto& folder : {checkout.root, checkout.root / "scripts"}) {
    for (const auto& file : files_in(folder, {".sh"})) {
      for (auto& path : asked_in(text_of(file))) checkout.asked.push_back(std::move(path));
    }
  }
  std::ranges::sort(checkout.asked);
  checkout.asked.erase(std::unique(checkout.asked.begin(), checkout.asked.end()), checkout.asked.end());
}

GitCheckout read_checkout(const fs::path& root) {
  GitCheckout checkout;
  checkout.root = root;
  const auto git = git_folder(root);
  checkout.url = origin_in(text_of(common_folder(git) / "config"));
  checkout.repository = repository_of(checkout.url);
  checkout.branch = branch_of(git);
  read_workflows(checkout);
  return checkout;
}

bool is_root(const fs::path& folder) {
  std::error_code failure;
  return fs::exists(folder / ".git", failure);
}

void look_below(const fs::path& folder, int levels, std::vector<GitCheckout>& found) {
  if (is_root(folder)) found.push_back(read_checkout(folder));
  if (levels == 0) return;
  std::vector<fs::path> folders;
  std::error_code failure;
  for (fs::directory_iterator at(folder, failure), end; !failure && at != end && folders.size() < folders_max;
       at.increment(failure)) {
    std::error_code not_a_folder;
    const auto name = at->path().filename().string();
    if (at->is_directory(not_a_folder) && !at->is_symlink(not_a_folder) && !name.starts_with('.')) {
      folders.push_back(at->path());
    }
  }
  std::ranges::sort(folders);
  for (const auto& inner : folders) look_below(inner, levels - 1, found);
}

/// Without "user:password@" in an address with a scheme.
std::string without_credentials(std::string url) {
  const auto scheme = url.find("://");
  if (scheme == std::string::npos || url.starts_with("ssh://")) return url;
  const auto begin = scheme + 3;
  const auto at = url.find('@', begin);
  if (at != std::string::npos && at < std::min(url.find('/', begin), url.size())) url.erase(begin, at + 1 - begin);
  return url;
}

bool is_path_character(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
         std::string_view("/_-.?=&").find(c) != std::string_view::npos;
}

}  // namespace

std::optional<GitCheckout> find_checkout(const fs::path& folder) {
  for (auto at = folder;; at = at.parent_path()) {
    if (is_root(at)) return read_checkout(at);
    if (!at.has_relative_path()) return std::nullopt;
  }
}

std::vector<GitCheckout> checkouts_below(const fs::path& folder) {
  std::vector<GitCheckout> found;
  look_below(folder, levels_below, found);
  return found;
}

std::string repository_of(std::string_view url) {
  const auto scheme = url.find("://");
  if (url.starts_with("file://")) return "";
  std::string_view path;
  if (scheme != std::string_view::npos) {
    const auto slash = url.find('/', scheme + 3);
    if (slash != std::string_view::npos) path = url.substr(slash + 1);
  } else if (const auto colon = url.find(':'); colon != std::string_view::npos) {
    path = url.substr(colon + 1);
  }
  while (path.ends_with('/')) path.remove_suffix(1);
  if (path.ends_with(".git")) path.remove_suffix(4);
  const bool has_form = std::ranges::count(path, '/') == 1 && !path.starts_with('/') && !path.ends_with('/') &&
                        std::ranges::all_of(path, [](char c) {
                          return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
                                 std::string_view("/_.-").find(c) != std::string_view::npos;
                        });
  return has_form ? std::string(path) : "";
}

std::string origin_in(std::string_view config) {
  bool in_origin = false;
  for (const auto& line : split_lines(config)) {
    const auto text = trim(line);
    if (text.starts_with('[')) {
      in_origin = text == "[remote \"origin\"]";
    } else if (in_origin && text.starts_with("url")) {
      const auto mark = text.find('=');
      if (mark != std::string_view::npos) return without_credentials(std::string(trim(text.substr(mark + 1))));
    }
  }
  return "";
}

bool runs_on_push(const std::string& text) {
  config::Diagnostics ignored;
  const auto document = config::Document::parse("workflow", text, ignored);
  if (!document) return false;
  const auto is_push = [](const config::Node& node) { return node.text == "push"; };
  for (const auto& [key, value] : document->root().entries) {
    if (key->text != "on") continue;
    if (is_push(*value)) return true;
    if (std::ranges::any_of(value->items, [&](const auto* item) { return is_push(*item); })) return true;
    for (const auto& [event, settings] : value->entries) {
      if (!is_push(*event)) continue;
      const auto only_tags =
          std::ranges::any_of(settings->entries, [](const auto& entry) { return entry.first->text == "tags"; }) &&
          std::ranges::none_of(settings->entries, [](const auto& entry) { return entry.first->text == "branches"; });
      return !only_tags;
    }
  }
  return false;
}

std::vector<std::string> asked_in(std::string_view text) {
  std::vector<std::string> found;
  constexpr std::string_view mark = "http://";
  for (auto at = text.find(mark); at != std::string_view::npos; at = text.find(mark, at + 1)) {
    const auto rest = text.substr(at + mark.size());
    const auto host_end = rest.find_first_of(":/ \t\r\n\"'");
    if (host_end == std::string_view::npos || rest[host_end] != ':') continue;
    auto path_end = host_end + 1;
    while (path_end < rest.size() && is_path_character(rest[path_end])) ++path_end;
    std::string asked(rest.substr(host_end + 1, path_end - host_end - 1));
    const auto slash = asked.find('/');
    const bool has_port =
        slash != std::string::npos && slash > 0 && slash <= 5 && asked.find_first_not_of("0123456789") == slash;
    while (asked.ends_with('.')) asked.pop_back();
    if (has_port && asked.size() > slash + 1) found.push_back(std::move(asked));
  }
  return found;
}

}  // namespace deploy::adopt
