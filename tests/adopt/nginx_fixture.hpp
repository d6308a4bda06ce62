// Nginx configurations in memory, and what the editor makes of them.
#pragma once

#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "agent/adopt/nginx_edit.hpp"

namespace deploy::tests {

/// Files of an Nginx by path; what a pattern ending in "*.conf" means is every file of that folder.
class NginxFiles {
 public:
  static constexpr auto main_path = "/etc/nginx/nginx.conf";

  explicit NginxFiles(const std::string& main) { files_[main_path] = {main_path, main, true}; }
  NginxFiles& add(const std::string& path, const std::string& text, bool editable = true) {
    files_[path] = {path, text, editable};
    return *this;
  }
  const std::string& text(const std::string& path = main_path) const { return files_.at(path).text; }

  /// Fails the test where it cannot be read.
  adopt::NginxConf read() const {
    config::Diagnostics diagnostics;
    auto conf = adopt::NginxConf::read(files_.at(main_path), finder(), diagnostics);
    if (!conf) throw std::logic_error(diagnostics.render());
    return std::move(*conf);
  }
  std::string errors() const {
    config::Diagnostics diagnostics;
    const auto conf = adopt::NginxConf::read(files_.at(main_path), finder(), diagnostics);
    return conf ? "" : diagnostics.render();
  }
  /// Changes the files as the editor wants.
  adopt::NginxEdit edit(const adopt::NginxWish& wish) {
    const auto conf = read();
    auto edit = adopt::edit_nginx_conf(conf, wish);
    for (const auto& file : edit.files) files_[file.path] = file;
    return edit;
  }

 private:
  adopt::FindNginxFiles finder() const {
    return [this](const std::string& pattern) {
      std::vector<adopt::NginxFile> found;
      const auto star = pattern.find("/*.conf");
      for (const auto& [path, file] : files_) {
        const bool matches = star == std::string::npos ? path == pattern
                                                       : path.substr(0, path.rfind('/')) == pattern.substr(0, star) &&
                                                             path.ends_with(".conf");
        if (matches) found.push_back(file);
      }
      return found;
    };
  }

  std::map<std::string, adopt::NginxFile> files_;
};

inline constexpr auto upstreams_folder = "/etc/nginx/upstreams";

inline adopt::ServiceInNginx in_nginx(const std::string& name, std::uint16_t port, const std::string& upstream = "") {
  return {name, upstream.empty() ? name : upstream, {{name, port}}};
}

inline std::vector<std::string> lines_of(const std::vector<adopt::NginxFinding>& findings) {
  std::vector<std::string> lines;
  for (const auto& finding : findings) {
    const auto level = finding.level == adopt::NginxFinding::Level::changed ? "changed"
                       : finding.level == adopt::NginxFinding::Level::note  ? "note"
                                                                            : "left";
    lines.push_back(std::string(level) + " " + adopt::to_string(finding));
  }
  return lines;
}

}  // namespace deploy::tests
