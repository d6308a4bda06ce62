#include "agent/proxy/nginx_place.hpp"

#include <sstream>

#include "agent/proxy/nginx_container.hpp"
#include "agent/proxy/nginx_on_host.hpp"

namespace deploy::proxy {

std::unique_ptr<NginxPlace> nginx_place(ports::ContainerEngine& engine, ports::ProcessRunner& runner,
                                        const std::string& container, const std::filesystem::path& pid_file) {
  if (container.empty()) return std::make_unique<NginxOnHost>(runner, pid_file);
  return std::make_unique<NginxContainer>(engine, container);
}

std::vector<std::string> path_arguments(const std::string& master_title) {
  std::istringstream words(master_title);
  std::vector<std::string> found;
  std::string word;
  while (words >> word) {
    if (word != "-c" && word != "-p") continue;
    std::string value;
    if (words >> value) found.insert(found.end(), {word, value});
  }
  return found;
}

}  // namespace deploy::proxy
