// The files of an Nginx that runs in a container of this host, read as its processes see them, and where each is on the
// host. Blocking reads of small files. Source: proc(5), /proc/pid/root.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "agent/adopt/inspected.hpp"
#include "agent/adopt/nginx_conf.hpp"
#include "agent/adopt/survey.hpp"

namespace deploy::adopt {

/// Where a path inside of the container is on this host; nullopt where no mount of it leads there.
std::optional<std::string> host_path(const InspectedContainer& container, const std::string& inside);

/// Reads the configuration that begins with `main`, below `root`, which is "/" as Nginx sees it. Files that deployctl
/// wrote are left out. nullopt, and findings in `diagnostics`, where it cannot be read.
NginxOnHost read_nginx(InspectedContainer container, const std::filesystem::path& root, const std::string& main,
                       config::Diagnostics& diagnostics);

/// Chooses the folder of upstreams: one that Nginx sees already where there is one, else a new mount.
void choose_upstreams_folder(NginxOnHost& nginx, const std::string& main);

}  // namespace deploy::adopt
