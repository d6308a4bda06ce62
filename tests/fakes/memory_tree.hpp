// A source tree held in memory.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "agent/base/error.hpp"
#include "agent/base/text.hpp"
#include "agent/ports/source_mirror.hpp"

namespace deploy::tests {

class MemoryTree final : public ports::SourceTree {
 public:
  using Kind = ports::TreeEntry::Kind;

  MemoryTree& add(std::string path, std::string content, Kind kind = Kind::file) {
    contents_[path] = std::move(content);
    std::erase_if(entries_, [&path](const auto& entry) { return entry.path == path; });
    const auto place =
        std::find_if(entries_.begin(), entries_.end(), [&path](const auto& entry) { return entry.path > path; });
    entries_.insert(place, ports::TreeEntry{path, kind, sha256_hex(contents_[path])});
    return *this;
  }

  const std::vector<ports::TreeEntry>& entries() const override { return entries_; }

  std::string load(const ports::TreeEntry& entry) const override {
    const auto found = contents_.find(entry.path);
    if (found == contents_.end()) throw Error(ErrorKind::failed, "no blob for " + entry.path);
    return found->second;
  }

  std::int64_t modified() const override { return 1'700'000'000; }

 private:
  std::vector<ports::TreeEntry> entries_;
  std::map<std::string, std::string> contents_;
};

}  // namespace deploy::tests
