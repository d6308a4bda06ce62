// The build context as a tar archive, produced part by part while it is sent. Source: POSIX.1-2017, pax Interchange
// Format.
#pragma once

#include <boost/asio/thread_pool.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "agent/http/message.hpp"
#include "agent/ports/source_mirror.hpp"

namespace deploy::engine {

/// One member of an archive: its header, its content and its padding. Owner 0:0, fixed modes, `modified` in seconds
/// since 1970. A name or link target that does not fit the ustar header goes into a pax header before it.
std::string tar_member(const ports::TreeEntry& entry, std::string_view content, std::int64_t modified);

/// The header of a folder; `path` without a final '/'.
std::string tar_folder(const std::string& path, std::int64_t modified);

/// Two blocks of zeros.
std::string tar_end();

/// What of the tree is sent, in the tree's order, after <dockerfile>.dockerignore or else .dockerignore: all but what
/// these ignore. The Dockerfile and .dockerignore are always sent. Blocking. Throws Error(not_found) where the tree has
/// no such Dockerfile, Error(invalid) for a malformed ignore file.
std::vector<ports::TreeEntry> context_entries(const ports::SourceTree& tree, const std::string& dockerfile);

/// The archive of `tree`. Blobs are loaded on the pool, one at a time, a part of about a quarter of a megabyte for each
/// call of next(), or one larger blob.
class TarBody final : public http::BodySource {
 public:
  static constexpr std::size_t part_bytes = 256 * 1024;

  TarBody(asio::thread_pool& pool, std::shared_ptr<ports::SourceTree> tree, std::vector<ports::TreeEntry> entries);
  Task<std::optional<std::string>> next() override;

 private:
  struct State;

  asio::thread_pool& pool_;
  std::shared_ptr<State> state_;  // shared with a load that goes on after the call was cancelled
};

}  // namespace deploy::engine
