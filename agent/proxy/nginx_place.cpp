#include "agent/proxy/nginx_place.hpp"

#include <sstream>

namespace deploy::proxy {

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
