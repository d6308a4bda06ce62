#include "agent/adopt/nginx_files.hpp"

#include <glob.h>

#include <algorithm>
#include <memory>
#include <system_error>
#include <utility>

#include "agent/base/atomic_file.hpp"
#include "agent/proxy/upstream_file.hpp"

namespace deploy::adopt {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t conf_bytes_max = 4 << 20;
constexpr int links_max = 8;
constexpr auto usual_folder = "/etc/nginx/upstreams";

bool is_below(const std::string& path, const std::string& folder) {
  return path == folder || path.starts_with(folder.ends_with('/') ? folder : folder + "/");
}

/// A link inside of the container leads to where it leads there, and not on this host.
std::string resolved(const fs::path& root, std::string inside) {
  for (int links = 0; links < links_max; ++links) {
    std::error_code failure;
    const auto link = fs::read_symlink(fs::path(root.string() + inside), failure);
    if (failure) break;
    inside = link.is_absolute() ? link.string() : (fs::path(inside).parent_path() / link).lexically_normal().string();
  }
  return inside;
}

std::vector<std::string> matches(const fs::path& root, const std::string& pattern) {
  if (pattern.find_first_of("*?[") == std::string::npos) return {pattern};
  const auto prefix = root.string();
  glob_t found{};
  std::vector<std::string> paths;
  if (glob((prefix + pattern).c_str(), 0, nullptr, &found) == 0) {
    for (std::size_t i = 0; i < found.gl_pathc; ++i)
      paths.emplace_back(std::string(found.gl_pathv[i]).substr(prefix.size()));
  }
  globfree(&found);
  return paths;
}

/// The mount with the longest path that the file is below.
const BindMount* mount_of(const InspectedContainer& container, const std::string& inside) {
  const BindMount* best = nullptr;
  for (const auto& bind : container.binds) {
    if (is_below(inside, bind.inside) && (best == nullptr || bind.inside.size() > best->inside.size())) best = &bind;
  }
  return best;
}

}  // namespace

std::optional<std::string> host_path(const InspectedContainer& container, const std::string& inside) {
  const auto* bind = mount_of(container, inside);
  if (bind == nullptr) return std::nullopt;
  return bind->host + inside.substr(bind->inside.size());
}

NginxOnHost read_nginx(InspectedContainer container, const fs::path& root, const std::string& main,
                       config::Diagnostics& diagnostics) {
  NginxOnHost nginx;
  nginx.container = std::move(container);
  const auto load = [&](const std::string& path) -> std::optional<NginxFile> {
    const auto place = resolved(root, path);
    NginxFile file{path, "", false};
    try {
      file.text = read_file(fs::path(root.string() + place), conf_bytes_max);
    } catch (const Error&) {
      return std::nullopt;
    }
    if (auto host = host_path(nginx.container, place)) {
      file.editable = true;
      nginx.host_paths[path] = std::move(*host);
    }
    return file;
  };
  const FindNginxFiles find = [&](const std::string& pattern) {
    std::vector<NginxFile> files;
    for (const auto& path : matches(root, pattern)) {
      auto file = load(path);
      if (file && !file->text.starts_with(proxy::file_header)) files.push_back(std::move(*file));
    }
    return files;
  };
  auto first = load(main);
  if (!first) {
    diagnostics.add({main, 0, 0, "", "cannot be read in the container " + nginx.container.name,
                     "run this as root on the host that the container runs on"});
    return nginx;
  }
  nginx.conf = NginxConf::read(std::move(*first), find, diagnostics);
  return nginx;
}

void choose_upstreams_folder(NginxOnHost& nginx, const std::string& main) {
  const auto& binds = nginx.container.binds;
  const auto use = [&](const std::string& host, const std::string& inside) {
    nginx.upstreams = host;
    nginx.upstreams_inside = inside;
    nginx.sees_upstreams = true;
  };
  if (const auto known = host_path(nginx.container, usual_folder)) return use(*known, usual_folder);
  for (const auto& bind : binds) {
    std::error_code failure;
    const bool has_files =
        std::ranges::any_of(nginx.host_paths, [&](const auto& file) { return is_below(file.first, bind.inside); });
    if (has_files && fs::is_directory(bind.host, failure))
      return use(bind.host + "/upstreams", bind.inside + "/upstreams");
  }
  nginx.upstreams_inside = usual_folder;
  const auto conf = nginx.host_paths.find(main);
  const auto any = conf == nginx.host_paths.end() ? nginx.host_paths.begin() : conf;
  if (any != nginx.host_paths.end()) {
    nginx.upstreams = (fs::path(any->second).parent_path() / "upstreams").string();
  } else {
    nginx.upstreams =
        (fs::path(nginx.container.project_folder.empty() ? "/srv/nginx" : nginx.container.project_folder) / "upstreams")
            .string();
  }
}

}  // namespace deploy::adopt
