#include <catch2/catch_all.hpp>

#include "agent/base/memory.hpp"

using namespace deploy;

TEST_CASE("what memory is available is read in kilobytes") {
  CHECK(parse_available_memory("MemTotal:       24689764 kB\nMemAvailable:    1024 kB\nSwapFree: 0 kB\n") ==
        1024 * 1024);
  CHECK_FALSE(parse_available_memory("MemTotal: 1 kB\n").has_value());
  CHECK_FALSE(parse_available_memory("MemAvailable: lots\n").has_value());
  CHECK(available_memory().value_or(0) > 0);
}
