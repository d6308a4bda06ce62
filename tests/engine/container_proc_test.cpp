#include "agent/engine/container_proc.hpp"

#include <catch2/catch_all.hpp>
#include <filesystem>
#include <fstream>

#include "tests/fakes/temp_dir.hpp"

namespace deploy::engine {
namespace {

/// A folder like /proc.
class ProcFolder {
 public:
  void add(int pid, const std::string& arguments, const std::string& children) const {
    const auto process = folder / std::to_string(pid);
    std::filesystem::create_directories(process / "task" / std::to_string(pid));
    std::ofstream(process / "cgroup") << "0::/system.slice/docker-c1.scope\n";
    std::ofstream(process / "cmdline") << arguments;
    std::ofstream(process / "task" / std::to_string(pid) / "children") << children;
  }
  std::string path() const { return folder.path().string(); }

 private:
  const tests::TempDir folder;
};

}  // namespace

TEST_CASE("only established connections to the local port count") {
  const std::string table =
      "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
      "   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0\n"
      "   1: 0100007F:1F90 0100007F:ECB0 01 00000000:00000000 02:000AFB4F 00000000     0        0 2 2 0 20 0 0 10 -1\n"
      "   2: 0100007F:ECB0 0100007F:1F90 01 00000000:00000000 00:00000000 00000000     0        0 3 1 0 20 0 0 10 -1\n"
      "   3: 0100007F:1F90 0100007F:ECB1 06 00000000:00000000 03:00000000 00000000     0        0 4 1 0 20 0 0 10 -1\n";
  const std::string table6 =
      "  sl  local_address                         remote_address                        st tx_queue\n"
      "  10: 0000000000000000FFFF00000100007F:1F90 0000000000000000FFFF00000100007F:E3F0 01 0:0\n"
      "  11: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 0A 0:0";
  CHECK(count_established(table, 0x1f90) == 1);
  CHECK(count_established(table, 0xecb0) == 1);
  CHECK(count_established(table, 80) == 0);
  CHECK(count_established(table6, 0x1f90) == 1);
  CHECK(count_established("", 80) == 0);
  CHECK(count_established("garbage\n 1: 2 3 01\n 1: :zz : 01\n 1: a:1F901 b 01\n", 0x1f90) == 0);
}

TEST_CASE("a container's processes are its init and what descends from it") {
  const ProcFolder proc;
  proc.add(10, std::string("nginx: master process nginx -g daemon off;\0\0\0", 45), "11 12 ");
  proc.add(11, "nginx: worker process", "");
  proc.add(12, std::string("nginx:\0worker process is shutting down", 38), "13");
  proc.add(14, "somebody else's", "");
  const auto found = processes_below(proc.path(), 10, "c1");
  REQUIRE(found.has_value());
  std::vector<std::string> shown;
  for (const auto& process : *found) {
    shown.push_back(std::to_string(process.pid) + " of " + std::to_string(process.parent) + ": " + process.title);
  }
  // 13 has ended since.
  CHECK(shown == std::vector<std::string>{"10 of 0: nginx: master process nginx -g daemon off;",
                                          "11 of 10: nginx: worker process",
                                          "12 of 10: nginx: worker process is shutting down"});
}

TEST_CASE("a process of another container, or none, is not taken for the container's") {
  const ProcFolder proc;
  proc.add(10, "sleep", "");
  CHECK_FALSE(processes_below(proc.path(), 10, "c2").has_value());
  CHECK_FALSE(processes_below(proc.path(), 11, "c1").has_value());
}

}  // namespace deploy::engine
