// Small functions that several files of this module share.
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "agent/base/text.hpp"

namespace deploy::adopt {

inline bool has(const std::vector<std::string>& all, const std::string& one) {
  return std::find(all.begin(), all.end(), one) != all.end();
}

/// At the end, where it is not there yet and not empty.
inline void add_once(std::vector<std::string>& all, const std::string& one) {
  if (!one.empty() && !has(all, one)) all.push_back(one);
}

/// A text for a place where service files take templates.
inline std::string as_template(std::string text) { return replaced(std::move(text), "$", "$$"); }

}  // namespace deploy::adopt
