#include "tests/crash/boundary.hpp"

#include <regex>
#include <utility>
#include <vector>

namespace deploy::crash {

std::string boundary_of(const std::string& effect) {
  static const std::vector<std::pair<std::regex, std::string>> replaced{
      {std::regex(R"(\?\S*)"), ""},
      {std::regex("/run/demo/"), ""},  // the folder of the tests' host
      {std::regex(R"((POST|DELETE) /v1\.\d+)"), "$1 "},
      {std::regex(R"((pack_git2_)[0-9a-f]+?(idx)?\b)"), "$1…"},
      {std::regex("[0-9a-f]{12,}"), "…"},
      {std::regex("(backend|llm)-[0-9a-f]{7}-[0-9a-f]{6}"), "$1-…"},
      {std::regex(R"(rollout-\d+)"), "rollout-…"},
  };
  std::string text = effect;
  for (const auto& [pattern, name] : replaced) text = std::regex_replace(text, pattern, name);
  return text;
}

}  // namespace deploy::crash
