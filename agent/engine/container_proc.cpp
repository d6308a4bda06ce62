#include "agent/engine/container_proc.hpp"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

namespace deploy::engine {

namespace {

constexpr std::string_view state_established = "01";
constexpr std::size_t processes_max = 10'000;
constexpr int list_tries = 10;

std::vector<std::string_view> fields_of(std::string_view line, std::size_t count_max) {
  std::vector<std::string_view> fields;
  while (fields.size() < count_max) {
    const auto begin = line.find_first_not_of(' ');
    if (begin == std::string_view::npos) break;
    line.remove_prefix(begin);
    const auto end = std::min(line.find(' '), line.size());
    fields.push_back(line.substr(0, end));
    line.remove_prefix(end);
  }
  return fields;
}

std::optional<std::uint16_t> port_of(std::string_view address) {
  const auto colon = address.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto digits = address.substr(colon + 1);
  std::uint16_t port = 0;
  const auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), port, 16);
  if (failure != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return port;
}

std::optional<std::string> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  std::ostringstream text;
  text << file.rdbuf();
  if (file.bad()) return std::nullopt;
  return std::move(text).str();
}

std::string folder_of(const std::string& proc_root, std::int64_t pid) { return proc_root + "/" + std::to_string(pid); }

bool is_in(const std::string& process, const std::string& container_id) {
  const auto groups = read_file(process + "/cgroup");
  return groups && groups->find(container_id) != std::string::npos;
}

/// The arguments, joined by spaces as ps does; what a program wrote over them may end with more than one NUL.
std::string title_of(std::string arguments) {
  arguments.erase(arguments.find_last_not_of('\0') + 1);
  std::replace(arguments.begin(), arguments.end(), '\0', ' ');
  return arguments;
}

std::vector<std::int64_t> children_once(const std::string& process) {
  std::vector<std::int64_t> children;
  std::error_code ended;  // then it has no children any more
  using Threads = std::filesystem::directory_iterator;
  for (Threads thread(process + "/task", ended); !ended && thread != Threads(); thread.increment(ended)) {
    std::istringstream words(read_file(thread->path() / "children").value_or(""));
    for (std::int64_t child = 0; words >> child;) children.push_back(child);
  }
  return children;
}

/// A child that ends while the kernel lists them can hide the next one, so two lists have to agree.
std::vector<std::int64_t> children_of(const std::string& process) {
  auto children = children_once(process);
  for (int tries = 0; tries < list_tries; ++tries) {
    auto again = children_once(process);
    if (again == children) break;
    children = std::move(again);
  }
  return children;
}

}  // namespace

std::optional<std::vector<ports::ProcessEntry>> processes_below(const std::string& proc_root, std::int64_t pid,
                                                                const std::string& container_id) {
  const auto process = folder_of(proc_root, pid);
  if (!is_in(process, container_id) || !std::filesystem::exists(process + "/task/" + std::to_string(pid) + "/children"))
    return std::nullopt;
  std::vector<ports::ProcessEntry> found{{pid, 0, ""}};
  for (std::size_t next = 0; next < found.size() && found.size() < processes_max; ++next) {
    const auto parent = found[next].pid;
    for (const auto child : children_of(folder_of(proc_root, parent))) found.push_back({child, parent, ""});
  }
  for (auto& entry : found)
    entry.title = title_of(read_file(folder_of(proc_root, entry.pid) + "/cmdline").value_or(""));
  std::erase_if(found, [](const auto& entry) { return entry.title.empty(); });  // ended since
  return found;
}

int count_established(std::string_view table, std::uint16_t port) {
  int count = 0;
  while (!table.empty()) {
    const auto line = table.substr(0, table.find('\n'));
    table.remove_prefix(std::min(table.size(), line.size() + 1));
    // "sl local_address rem_address st …"; the heading's second word is no address.
    const auto fields = fields_of(line, 4);
    if (fields.size() == 4 && fields[3] == state_established && port_of(fields[1]) == port) ++count;
  }
  return count;
}

std::optional<int> established_connections(const std::string& proc_root, std::int64_t pid,
                                           const std::string& container_id, std::uint16_t port) {
  const auto process = folder_of(proc_root, pid);
  if (!is_in(process, container_id)) return std::nullopt;
  const auto ipv4 = read_file(process + "/net/tcp");
  if (!ipv4) return std::nullopt;
  // Without IPv6 in the kernel there is no second table.
  const auto ipv6 = read_file(process + "/net/tcp6");
  return count_established(*ipv4, port) + (ipv6 ? count_established(*ipv6, port) : 0);
}

}  // namespace deploy::engine
