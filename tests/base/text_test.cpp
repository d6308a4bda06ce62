#include "agent/base/text.hpp"

#include <catch2/catch_all.hpp>

using namespace std::chrono_literals;
using namespace deploy;

TEST_CASE("sizes read as people write them") {
  CHECK(human_bytes(0) == "0 B");
  CHECK(human_bytes(1023) == "1023 B");
  CHECK(human_bytes(20 * 1024) == "20 KiB");
  CHECK(human_bytes(std::uint64_t{3} << 29) == "1.5 GiB");
  CHECK(human_bytes(std::uint64_t{9} << 50) == "9216 TiB");
}

TEST_CASE("hexadecimal is lower case with two digits a byte") {
  CHECK(to_hex(std::string_view("\x00\x0f\xff", 3)) == "000fff");
}

TEST_CASE("SHA-256 gives the values of FIPS 180-4") {
  CHECK(sha256_hex("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256_hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_CASE("HMAC-SHA-256 gives the values of RFC 4231") {
  CHECK(hmac_sha256_hex("Jefe", "what do ya want for nothing?") ==
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  CHECK(hmac_sha256_hex(std::string(131, '\xaa'), "Test Using Larger Than Block-Size Key - Hash Key First") ==
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST_CASE("constant-time equality") {
  CHECK(equal_in_constant_time("", ""));
  CHECK(equal_in_constant_time("secret", "secret"));
  CHECK_FALSE(equal_in_constant_time("secret", "secreT"));
  CHECK_FALSE(equal_in_constant_time("secret", "secrets"));
}

TEST_CASE("trim takes blanks from both ends only") {
  CHECK(trim(" \t a b \r\n") == "a b");
  CHECK(trim(" \n ").empty());
  CHECK(trim("").empty());
}

TEST_CASE("lines") {
  CHECK(split_lines("").empty());
  CHECK(split_lines("a") == std::vector<std::string>{"a"});
  CHECK(split_lines("a\r\n\nb\n") == std::vector<std::string>{"a", "", "b"});
}

TEST_CASE("durations for people") {
  CHECK(human_duration(0ms) == "0 ms");
  CHECK(human_duration(99ms) == "99 ms");
  CHECK(human_duration(100ms) == "0.1 s");
  CHECK(human_duration(1234ms) == "1.2 s");
  CHECK(human_duration(59'949ms) == "59.9 s");
  CHECK(human_duration(59'960ms) == "1 min 0 s");
  CHECK(human_duration(125'000ms) == "2 min 5 s");
  CHECK(human_duration(3'780'000ms) == "1 h 3 min");
}

TEST_CASE("things are counted for people") {
  CHECK(deploy::counted(0, "service") == "0 services");
  CHECK(deploy::counted(1, "service") == "1 service");
  CHECK(deploy::counted(2, "service") == "2 services");
}
