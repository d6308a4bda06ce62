#include "agent/engine/build_context.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "agent/base/error.hpp"
#include "agent/engine/dockerignore.hpp"

namespace deploy::engine {

namespace {

constexpr std::size_t block_bytes = 512;

/// The fields of a ustar header: offset and size.
struct Field {
  std::size_t offset;
  std::size_t size;
};
constexpr Field name_field{0, 100};
constexpr Field mode_field{100, 8};
constexpr Field owner_field{108, 8};
constexpr Field group_field{116, 8};
constexpr Field size_field{124, 12};
constexpr Field time_field{136, 12};
constexpr Field checksum_field{148, 8};
constexpr Field type_field{156, 1};
constexpr Field link_field{157, 100};
constexpr Field magic_field{257, 8};
constexpr Field prefix_field{345, 155};

struct Member {
  std::string name;
  char type = '0';
  int mode = 0644;
  std::string link;
  std::size_t size = 0;
  std::int64_t modified = 0;
};

void put(std::string& block, Field field, std::string_view text) {
  std::copy_n(text.begin(), std::min(text.size(), field.size),
              block.begin() + static_cast<std::ptrdiff_t>(field.offset));
}

/// Octal digits with leading zeros, one place left for the final NUL.
void put_number(std::string& block, Field field, std::uint64_t number) {
  std::string digits(field.size - 1, '0');
  for (auto place = digits.rbegin(); place != digits.rend(); ++place, number >>= 3)
    *place = static_cast<char>('0' + (number & 7));
  put(block, field, digits);
}

/// Where to cut a long name into prefix and name; nullopt where it does not fit.
std::optional<std::size_t> prefix_size(const std::string& name) {
  if (name.size() > prefix_field.size + 1 + name_field.size) return std::nullopt;
  const auto slash = name.rfind('/', prefix_field.size);
  if (slash == std::string::npos || slash == 0 || name.size() - slash - 1 > name_field.size ||
      slash + 1 == name.size()) {
    return std::nullopt;
  }
  return slash;
}

std::string header(const Member& member) {
  std::string block(block_bytes, '\0');
  const auto cut = member.name.size() > name_field.size ? prefix_size(member.name) : std::nullopt;
  if (cut) {
    put(block, prefix_field, member.name.substr(0, *cut));
    put(block, name_field, member.name.substr(*cut + 1));
  } else {
    put(block, name_field, member.name);
  }
  put_number(block, mode_field, static_cast<std::uint64_t>(member.mode));
  put_number(block, owner_field, 0);
  put_number(block, group_field, 0);
  put_number(block, size_field, member.size);
  put_number(block, time_field, static_cast<std::uint64_t>(std::max<std::int64_t>(member.modified, 0)));
  put(block, type_field, std::string(1, member.type));
  put(block, link_field, member.link);
  put(block, magic_field, std::string("ustar\00000", 8));
  // The sum counts its own field as spaces.
  put(block, checksum_field, "        ");
  std::uint64_t sum = 0;
  for (const char c : block) sum += static_cast<unsigned char>(c);
  put_number(block, {checksum_field.offset, checksum_field.size - 1}, sum);
  block[checksum_field.offset + checksum_field.size - 2] = '\0';
  return block;
}

void pad(std::string& archive) { archive.resize((archive.size() + block_bytes - 1) / block_bytes * block_bytes, '\0'); }

/// "<length> <key>=<value>\n"; the length counts its own digits.
std::string pax_record(std::string_view key, std::string_view value) {
  const std::size_t rest = key.size() + value.size() + 3;
  std::size_t length = rest + 1;
  while (std::to_string(length).size() + rest != length) length = std::to_string(length).size() + rest;
  std::string record = std::to_string(length);
  return record.append(" ").append(key).append("=").append(value).append("\n");
}

/// The member's headers: a pax header first where something does not fit.
std::string headers(const Member& member) {
  std::string records;
  if (member.name.size() > name_field.size && !prefix_size(member.name)) records += pax_record("path", member.name);
  if (member.link.size() > link_field.size) records += pax_record("linkpath", member.link);
  if (records.empty()) return header(member);
  Member extension;
  extension.name = "pax";
  extension.type = 'x';
  extension.size = records.size();
  extension.modified = member.modified;
  std::string archive = header(extension) + records;
  pad(archive);
  return archive + header(member);
}

std::string parent_of(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

const ports::TreeEntry* find_entry(const ports::SourceTree& tree, const std::string& path) {
  const auto& entries = tree.entries();
  const auto found =
      std::find_if(entries.begin(), entries.end(), [&path](const auto& entry) { return entry.path == path; });
  return found == entries.end() ? nullptr : &*found;
}

}  // namespace

std::string tar_member(const ports::TreeEntry& entry, std::string_view content, std::int64_t modified) {
  Member member;
  member.name = entry.path;
  member.modified = modified;
  if (entry.kind == ports::TreeEntry::Kind::symlink) {
    member.type = '2';
    member.mode = 0777;
    member.link = content;
    return headers(member);
  }
  if (entry.kind == ports::TreeEntry::Kind::executable) member.mode = 0755;
  member.size = content.size();
  std::string archive = headers(member);
  archive += content;
  pad(archive);
  return archive;
}

std::string tar_folder(const std::string& path, std::int64_t modified) {
  Member member;
  member.name = path + "/";
  member.type = '5';
  member.mode = 0755;
  member.modified = modified;
  return headers(member);
}

std::string tar_end() { return std::string(2 * block_bytes, '\0'); }

std::vector<ports::TreeEntry> context_entries(const ports::SourceTree& tree, const std::string& dockerfile) {
  if (find_entry(tree, dockerfile) == nullptr) {
    throw Error(ErrorKind::not_found,
                "the build context has no file \"" + dockerfile +
                    "\"; check source.git.context and source.git.dockerfile, and that it is committed");
  }
  // A file of the Dockerfile's own name comes before the common one.
  std::string name = dockerfile + ".dockerignore";
  const auto* rules = find_entry(tree, name);
  if (rules == nullptr) {
    name = ".dockerignore";
    rules = find_entry(tree, name);
  }
  if (rules == nullptr) return tree.entries();
  const DockerIgnore ignore(tree.load(*rules), name);
  std::vector<ports::TreeEntry> kept;
  for (const auto& entry : tree.entries()) {
    if (entry.path == dockerfile || entry.path == name || !ignore.ignores(entry.path)) kept.push_back(entry);
  }
  return kept;
}

struct TarBody::State {
  std::shared_ptr<ports::SourceTree> tree;
  std::vector<ports::TreeEntry> entries;
  std::size_t next = 0;
  std::unordered_set<std::string> folders;
  bool ended = false;

  void add_folders(std::string& archive, const std::string& path) {
    if (path.empty() || !folders.insert(path).second) return;
    add_folders(archive, parent_of(path));
    archive += tar_folder(path, tree->modified());
  }

  std::optional<std::string> produce() {
    if (ended) return std::nullopt;
    std::string archive;
    while (next < entries.size() && archive.size() < part_bytes) {
      const auto& entry = entries[next++];
      add_folders(archive, parent_of(entry.path));
      archive += tar_member(entry, tree->load(entry), tree->modified());
    }
    if (next == entries.size()) {
      archive += tar_end();
      ended = true;
    }
    return archive;
  }
};

TarBody::TarBody(asio::thread_pool& pool, std::shared_ptr<ports::SourceTree> tree,
                 std::vector<ports::TreeEntry> entries)
    : pool_(pool), state_(std::make_shared<State>()) {
  state_->tree = std::move(tree);
  state_->entries = std::move(entries);
}

Task<std::optional<std::string>> TarBody::next() {
  auto produce = [state = state_] { return state->produce(); };
  co_return co_await offload(pool_, std::move(produce));
}

}  // namespace deploy::engine
