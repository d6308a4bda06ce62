#include "agent/engine/base_images.hpp"

#include <algorithm>
#include <cctype>
#include <sstream>

#include "agent/base/text.hpp"

namespace deploy::engine {

namespace {

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

bool has(const std::vector<std::string>& list, const std::string& wanted) {
  return std::find(list.begin(), list.end(), wanted) != list.end();
}

}  // namespace

std::vector<std::string> base_images(std::string_view dockerfile) {
  std::vector<std::string> images;
  std::vector<std::string> stages{"scratch"};
  for (const auto& line : split_lines(dockerfile)) {
    std::istringstream words(line);
    std::string word;
    if (!(words >> word) || lower(word) != "from" || !(words >> word)) continue;
    if (word.starts_with("--") && !(words >> word)) continue;  // --platform=…
    const bool known = has(stages, lower(word)) || has(images, word);
    if (!known && word.find('$') == std::string::npos) images.push_back(word);
    std::string as;
    std::string name;
    if (words >> as >> name && lower(as) == "as") stages.push_back(lower(name));
  }
  return images;
}

}  // namespace deploy::engine
