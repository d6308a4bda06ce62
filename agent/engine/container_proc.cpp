#include "agent/engine/container_proc.hpp"

#include <algorithm>
#include <charconv>
#include <vector>

#include "agent/base/proc.hpp"

namespace deploy::engine {

namespace {

constexpr std::string_view state_established = "01";
constexpr std::size_t processes_max = 10'000;

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

std::string folder_of(const std::string& proc_root, std::int64_t pid) { return proc_root + "/" + std::to_string(pid); }

bool is_in(const std::string& process, const std::string& container_id) {
  const auto groups = proc::read_file(process + "/cgroup");
  return groups && groups->find(container_id) != std::string::npos;
}

}  // namespace

std::optional<std::vector<ports::ProcessEntry>> processes_below(const std::string& proc_root, std::int64_t pid,
                                                                const std::string& container_id) {
  const auto process = folder_of(proc_root, pid);
  if (!is_in(process, container_id) || !proc::lists_children(proc_root, pid)) return std::nullopt;
  std::vector<ports::ProcessEntry> found{{pid, 0, ""}};
  for (std::size_t next = 0; next < found.size() && found.size() < processes_max; ++next) {
    const auto parent = found[next].pid;
    for (const auto child : proc::children_of(proc_root, parent)) found.push_back({child, parent, ""});
  }
  for (auto& entry : found) entry.title = proc::title_of(proc_root, entry.pid);
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
  const auto ipv4 = proc::read_file(process + "/net/tcp");
  if (!ipv4) return std::nullopt;
  // Without IPv6 in the kernel there is no second table.
  const auto ipv6 = proc::read_file(process + "/net/tcp6");
  return count_established(*ipv4, port) + (ipv6 ? count_established(*ipv6, port) : 0);
}

}  // namespace deploy::engine
