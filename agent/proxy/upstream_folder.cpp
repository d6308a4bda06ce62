#include "agent/proxy/upstream_folder.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include <algorithm>

#include "agent/base/atomic_file.hpp"
#include "agent/base/error.hpp"

namespace deploy::proxy {

namespace {
constexpr std::size_t file_bytes_max = 4 << 20;
constexpr mode_t file_mode = 0644;  // Nginx's master may run as another user than root
constexpr std::string_view remembered_name = ".deployctl-previous.json";  // not *.conf: Nginx does not read it
constexpr std::string_view edited_suffix = ".edited";
constexpr std::string_view unproved_line = "# It was missing while Nginx did not run, and is not proved yet.\n";
}  // namespace

FileMap UpstreamFolder::own_files() const {
  std::error_code error;
  std::filesystem::directory_iterator entries(path_, error);
  if (error) {
    throw Error(
        ErrorKind::not_found,
        fmt::format(
            "cannot read the upstream folder {}: {}; create it, mount it into the container that Nginx runs in, if "
            "it runs in one, and include its *.conf files inside http {{}}",
            path_.string(), error.message()));
  }
  FileMap files;
  for (const auto& entry : entries) {
    if (entry.path().extension() != ".conf" || !entry.is_regular_file(error)) continue;
    std::string content = read_file(entry.path(), file_bytes_max);
    if (content.starts_with(file_header)) files.emplace(entry.path().filename().string(), std::move(content));
  }
  return files;
}

/// Returns where the text is now. Nginx does not read it: it is no *.conf file.
std::string UpstreamFolder::keep(const std::string& name, const std::string& text) const {
  for (int number = 1;; ++number) {
    const auto path = path_ / (name + std::string(edited_suffix) + (number == 1 ? "" : "-" + std::to_string(number)));
    std::error_code error;
    const bool taken = std::filesystem::exists(std::filesystem::symlink_status(path, error));
    if (taken && read_file(path, file_bytes_max) != text) continue;
    if (!taken) write_atomically(path, text, file_mode);
    return path.string();
  }
}

std::vector<std::string> UpstreamFolder::replace(const FileMap& wanted) const {
  const FileMap present = own_files();
  for (const auto& [name, content] : wanted) {
    std::error_code error;
    if (!present.contains(name) && std::filesystem::exists(std::filesystem::symlink_status(path_ / name, error))) {
      throw Error(ErrorKind::conflict,
                  fmt::format("{} was not written by deployctl and is left alone; move its settings to the "
                              "service's file in deploy.d and remove it",
                              (path_ / name).string()));
    }
  }
  std::vector<std::string> kept;
  for (const auto& name : edited_in(present)) {
    const auto file = wanted.find(name);
    const auto& text = present.at(name);
    if (file != wanted.end() && file->second == text) continue;
    kept.push_back(fmt::format("{} was changed by hand; {}, and what was there is in {}", (path_ / name).string(),
                               file == wanted.end() ? "it is not needed any more" : "it has deployd's own text again",
                               keep(name, text)));
  }
  const auto write = [&](const std::string& name, const std::string& content) {
    const auto old = present.find(name);
    if (old == present.end() || old->second != content) write_atomically(path_ / name, content, file_mode);
  };
  for (const auto& [name, content] : wanted) {
    if (name != internal_file) write(name, content);
  }
  for (const auto& [name, content] : present) {
    if (!wanted.contains(name)) remove_file(path_ / name);
  }
  const auto last = wanted.find(std::string(internal_file));
  if (last != wanted.end()) write(last->first, last->second);
  return kept;
}

void UpstreamFolder::write_missing(const FileMap& wanted) const {
  if (remembered()) return;
  auto files = own_files();
  for (const auto& [name, text] : wanted) {
    const auto present = files.find(name);
    const bool missing = present == files.end() || present->second.find(unproved_line) != std::string::npos;
    if (missing && name != internal_file) files[name] = sealed(unsealed(text) + std::string(unproved_line));
  }
  replace(files);
}

void UpstreamFolder::remember(const FileMap& files) const {
  write_atomically(path_ / remembered_name, nlohmann::json(files).dump(2) + "\n", 0600);
}

std::optional<FileMap> UpstreamFolder::remembered() const {
  const auto path = path_ / remembered_name;
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return std::nullopt;
  const auto value = nlohmann::json::parse(read_file(path, file_bytes_max), nullptr, false);
  const bool valid =
      value.is_object() && std::all_of(value.begin(), value.end(), [](const auto& entry) { return entry.is_string(); });
  if (!valid) {
    throw Error(ErrorKind::invalid,
                fmt::format("{} holds the upstream files from before an interrupted change and cannot be "
                            "read; compare the *.conf files beside it with nginx -t and remove it",
                            path.string()));
  }
  return value.get<FileMap>();
}

void UpstreamFolder::discard_unfinished() const {
  std::error_code error;
  std::vector<std::filesystem::path> unfinished;
  for (const auto& entry : std::filesystem::directory_iterator(path_, error)) {
    const auto name = entry.path().filename().string();
    // As write_atomically names them: of our *.conf files, and of the note.
    const bool ours = name.starts_with('.') && name.ends_with(".tmp") &&
                      (name.ends_with(".conf.tmp") || name.find(edited_suffix) != std::string::npos ||
                       name == "." + std::string(remembered_name) + ".tmp");
    if (ours) unfinished.push_back(entry.path());
  }
  for (const auto& path : unfinished) remove_file(path);
}

void UpstreamFolder::forget() const { remove_file(path_ / remembered_name); }

}  // namespace deploy::proxy
